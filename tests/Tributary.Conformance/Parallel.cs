using Xunit;

// Most of these tests wait for processes, timeouts and retries: more of them at a time than there are processors fit a small machine.
[assembly: CollectionBehavior(MaxParallelThreads = 3)]
