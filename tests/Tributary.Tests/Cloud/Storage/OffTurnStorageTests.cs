using Orleans.Storage;
using Tributary.Cloud.Storage;
using Xunit;

namespace Tributary.Tests.Cloud.Storage;

public sealed class OffTurnStorageTests
{
    [Fact]
    public async Task Nothing_that_the_storage_does_runs_in_the_turn_of_a_grain()
    {
        TaskScheduler turns = new ConcurrentExclusiveSchedulerPair().ExclusiveScheduler;
        var recorder = new SchedulerRecorder();
        var storage = new OffTurnStorage(recorder);
        var state = new GrainState<string>("state");

        await Task.Factory.StartNew(
            async () =>
            {
                await storage.ReadStateAsync("name", default, state);
                await storage.WriteStateAsync("name", default, state);
                await storage.ClearStateAsync("name", default, state);
            },
            CancellationToken.None, TaskCreationOptions.None, turns).Unwrap();

        Assert.Equal(3, recorder.Seen.Count);
        Assert.All(recorder.Seen, seen => Assert.Same(TaskScheduler.Default, seen));
    }

    private sealed class SchedulerRecorder : IGrainStorage
    {
        public List<TaskScheduler> Seen { get; } = [];

        public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => Record();

        public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => Record();

        public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => Record();

        private Task Record()
        {
            Seen.Add(TaskScheduler.Current);
            return Task.CompletedTask;
        }
    }
}
