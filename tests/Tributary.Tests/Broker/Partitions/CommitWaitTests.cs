using Tributary.Broker.Partitions;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Partitions;

public sealed class CommitWaitTests
{
    [Fact]
    public void A_wait_for_nothing_is_over_at_once()
    {
        var wait = new CommitWait(0);
        Assert.True(wait.IsOver);
        Assert.True(wait.Task.IsCompletedSuccessfully);
    }

    [Fact]
    public async Task It_ends_with_the_last_slot_and_keeps_each_outcome()
    {
        var wait = new CommitWait(3);
        Task task = wait.Task.AsTask();
        wait.Complete(2, ErrorCode.None);
        wait.Complete(0, ErrorCode.KafkaStorageError);
        Assert.False(wait.IsOver);
        Assert.False(task.IsCompleted);
        wait.Complete(1, ErrorCode.None);
        await task.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(
            [ErrorCode.KafkaStorageError, ErrorCode.None, ErrorCode.None], Enumerable.Range(0, 3).Select(wait.Outcome));
    }

    [Fact]
    public void The_first_outcome_of_a_slot_counts()
    {
        var wait = new CommitWait(2);
        wait.Complete(0, ErrorCode.KafkaStorageError);
        wait.Complete(0, ErrorCode.None);
        Assert.False(wait.IsOver);
        wait.Complete(1, ErrorCode.None);
        Assert.Equal(ErrorCode.KafkaStorageError, wait.Outcome(0));
    }

    [Fact]
    public async Task At_the_deadline_open_slots_are_timed_out_and_what_comes_later_changes_nothing()
    {
        var wait = new CommitWait(2);
        Task task = wait.Task.AsTask();
        wait.Complete(0, ErrorCode.None);
        wait.Expire();
        await task.WaitAsync(TimeSpan.FromSeconds(30));
        wait.Complete(1, ErrorCode.None);
        wait.Expire();
        Assert.Equal(ErrorCode.None, wait.Outcome(0));
        Assert.Equal(ErrorCode.RequestTimedOut, wait.Outcome(1));
    }

    [Fact]
    public void A_continuation_does_not_run_on_the_thread_that_completes()
    {
        var wait = new CommitWait(1);
        using var ran = new ManualResetEventSlim();
        int thread = 0;
        wait.Task.GetAwaiter().OnCompleted(() =>
        {
            thread = Environment.CurrentManagedThreadId;
            ran.Set();
        });
        var writer = new Thread(() => wait.Complete(0, ErrorCode.None));
        writer.Start();
        Assert.True(ran.Wait(TimeSpan.FromSeconds(30)));
        Assert.NotEqual(writer.ManagedThreadId, thread);
        writer.Join();
    }

    [Fact]
    public async Task Slots_completed_by_many_threads_and_a_deadline_end_it_once()
    {
        for (int round = 0; round < 200; round++)
        {
            var wait = new CommitWait(4);
            Task task = wait.Task.AsTask();
            await Task.WhenAll(
                Enumerable.Range(0, 5).Select(slot => Task.Run(() =>
                {
                    if (slot == 4)
                    {
                        wait.Expire();
                    }
                    else
                    {
                        wait.Complete(slot, ErrorCode.None);
                    }
                })));
            await task.WaitAsync(TimeSpan.FromSeconds(30));
            Assert.All(Enumerable.Range(0, 4), slot => Assert.True(wait.Outcome(slot) is ErrorCode.None or ErrorCode.RequestTimedOut));
        }
    }
}
