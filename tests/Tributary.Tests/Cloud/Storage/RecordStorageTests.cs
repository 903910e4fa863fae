using System.Globalization;
using Orleans.Storage;
using Tributary.Cloud.Grains;
using Tributary.Cloud.Storage;
using Tributary.Tests.Cloud.Support;
using Xunit;

namespace Tributary.Tests.Cloud.Storage;

/// <summary>What grains need of their storage: one winner of each write, and nothing lost that was written.</summary>
public sealed class RecordStorageTests : IDisposable
{
    private const string State = "test";
    private static readonly GrainId Grain = GrainId.Create("test", "key of the test");
    private readonly TemporaryDirectory _directory = new();

    private string DatabaseFile => _directory.File(ControlDatabase.FileName);

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_record_that_was_never_written_has_its_defaults_and_no_tag()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);

        Found read = await ReadAsync(silo.Records);

        Assert.False(read.RecordExists);
        Assert.Null(read.ETag);
        Assert.Equal("", read.State.ClusterId);
    }

    [Fact]
    public async Task A_record_is_there_after_a_crash_as_it_was_written()
    {
        var written = new ClusterRecord { ClusterId = "cluster", NextProducerId = long.MaxValue }
            .Register("a", "host", 9092, "ignored")
            .List(new TopicListing { Name = "topic", Id = Guid.NewGuid(), Partitions = 3 });
        TestSilo first = await TestSilo.StartAsync(DatabaseFile);
        await WriteAsync(first.Records, new GrainState<ClusterRecord>(written));
        await first.KillAsync();
        await using TestSilo second = await TestSilo.StartAsync(DatabaseFile);

        Found read = await ReadAsync(second.Records);

        Assert.True(read.RecordExists);
        Assert.Equal("1", read.ETag);
        Assert.Equal(written.ClusterId, read.State.ClusterId);
        Assert.Equal(written.NextProducerId, read.State.NextProducerId);
        Assert.Equal(written.Brokers.AsEnumerable(), read.State.Brokers);
        Assert.Equal(written.Topics.AsEnumerable(), read.State.Topics);
    }

    [Fact]
    public async Task Of_many_first_writes_one_wins()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);

        bool[] won = await Task.WhenAll(Enumerable.Range(0, 32).Select(
            id => Task.Run(() => TryWriteAsync(silo.Records, new GrainState<ClusterRecord>(new ClusterRecord { NextProducerId = id })))));

        Assert.Single(won, true);
        Assert.Equal(Array.IndexOf(won, true), (await ReadAsync(silo.Records)).State.NextProducerId);
    }

    [Fact]
    public async Task A_write_with_a_stale_tag_is_refused_and_changes_nothing()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        await WriteAsync(silo.Records, new GrainState<ClusterRecord>(new ClusterRecord { NextProducerId = 1 }));
        GrainState<ClusterRecord> stale = (await ReadAsync(silo.Records)).Next(new ClusterRecord { NextProducerId = 3 });
        GrainState<ClusterRecord> fresh = (await ReadAsync(silo.Records)).Next(new ClusterRecord { NextProducerId = 2 });
        await WriteAsync(silo.Records, fresh);

        await Assert.ThrowsAsync<InconsistentStateException>(() => WriteAsync(silo.Records, stale));
        await Assert.ThrowsAsync<InconsistentStateException>(
            () => silo.Records.ClearStateAsync(State, Grain, new GrainState<ClusterRecord>(new(), stale.ETag) { RecordExists = true }));

        Found read = await ReadAsync(silo.Records);
        Assert.Equal(2, read.State.NextProducerId);
        Assert.Equal(fresh.ETag, read.ETag);
    }

    [Fact]
    public async Task Writers_that_compare_and_swap_lose_no_update()
    {
        const int writers = 8;
        const int updates = 25;
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        await WriteAsync(silo.Records, new GrainState<ClusterRecord>(new ClusterRecord()));

        await Task.WhenAll(Enumerable.Range(0, writers).Select(_ => Task.Run(async () =>
        {
            for (int done = 0; done < updates;)
            {
                Found found = await ReadAsync(silo.Records);
                ClusterRecord next = found.State with { NextProducerId = found.State.NextProducerId + 1 };
                done += await TryWriteAsync(silo.Records, found.Next(next)) ? 1 : 0;
            }
        })));

        Found read = await ReadAsync(silo.Records);
        Assert.Equal(writers * updates, read.State.NextProducerId);
        Assert.Equal((1 + (writers * updates)).ToString(CultureInfo.InvariantCulture), read.ETag);
    }

    [Fact]
    public async Task A_cleared_record_can_be_written_again_by_who_cleared_it_only()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        var mine = new GrainState<ClusterRecord>(new ClusterRecord { NextProducerId = 1 });
        await WriteAsync(silo.Records, mine);
        await silo.Records.ClearStateAsync(State, Grain, mine);

        bool strangers = await TryWriteAsync(silo.Records, new GrainState<ClusterRecord>(new ClusterRecord { NextProducerId = 2 }));
        mine.State = new ClusterRecord { NextProducerId = 3 };
        await WriteAsync(silo.Records, mine);

        Assert.False(strangers);
        Assert.Equal(3, (await ReadAsync(silo.Records)).State.NextProducerId);
    }

    [Fact]
    public async Task A_cleared_record_is_none_after_a_crash()
    {
        TestSilo first = await TestSilo.StartAsync(DatabaseFile);
        var mine = new GrainState<ClusterRecord>(new ClusterRecord { NextProducerId = 1 });
        await WriteAsync(first.Records, mine);
        await first.Records.ClearStateAsync(State, Grain, mine);
        await first.KillAsync();
        await using TestSilo second = await TestSilo.StartAsync(DatabaseFile);

        Found read = await ReadAsync(second.Records);

        Assert.False(read.RecordExists);
        Assert.Equal(0, read.State.NextProducerId);
        Assert.Equal(mine.ETag, read.ETag);
    }

    [Fact]
    public async Task Records_lie_where_programs_of_before_have_put_them()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        var topic = GrainId.Create("topic", ITopicGrain.KeyOf("t"));
        GrainId cluster = silo.Cluster.GetGrainId();
        await silo.ExecuteAsync("""
            INSERT INTO grain_record VALUES ('topic', 'topic/t', 0, 0, 3, 'now', CAST('{"name":"t"}' AS BLOB));
            INSERT INTO grain_record VALUES ('cluster', '', 0, 0, 5, 'now', CAST('{"clusterId":"c"}' AS BLOB));
            """);

        var topics = new GrainState<TopicRecord>();
        await silo.Records.ReadStateAsync("topic", topic, topics);
        var clusters = new GrainState<ClusterRecord>();
        await silo.Records.ReadStateAsync("cluster", cluster, clusters);

        Assert.Equal(("t", "3"), (topics.State!.Name, topics.ETag));
        Assert.Equal(("c", "5"), (clusters.State!.ClusterId, clusters.ETag));
    }

    [Fact]
    public async Task Nothing_of_it_runs_in_the_turn_of_a_grain()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        TaskScheduler turns = new ConcurrentExclusiveSchedulerPair().ExclusiveScheduler;
        var seen = new SchedulerProbe();

        await Task.Factory.StartNew(
            () => silo.Records.WriteStateAsync(State, Grain, new GrainState<SchedulerProbe>(seen)),
            CancellationToken.None, TaskCreationOptions.None, turns).Unwrap();

        Assert.Same(TaskScheduler.Default, seen.Serializer);
    }

    [Fact]
    public async Task A_record_with_a_member_that_a_newer_program_added_can_be_read()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        await WriteAsync(silo.Records, new GrainState<ClusterRecord>(new ClusterRecord { ClusterId = "cluster" }));
        await silo.ExecuteAsync("""UPDATE grain_record SET payload = CAST('{"clusterId":"cluster","later":[1]}' AS BLOB)""");

        ClusterRecord read = (await ReadAsync(silo.Records)).State;
        Assert.Equal(("cluster", 0), (read.ClusterId, read.NextProducerId));
        Assert.Equal([], read.Brokers);
        Assert.Empty(read.Topics);
    }

    [Fact]
    public async Task A_record_of_an_older_program_has_the_defaults_of_what_it_lacks()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        await silo.Records.WriteStateAsync(State, Grain, new GrainState<TopicRecord>(new TopicRecord { Name = "t" }));
        await silo.ExecuteAsync("""UPDATE grain_record SET payload = CAST('{"name":"t","partitions":[{"leaderEpoch":7}]}' AS BLOB)""");

        var state = new GrainState<TopicRecord>();
        await silo.Records.ReadStateAsync(State, Grain, state);
        TopicRecord read = state.State ?? throw new InvalidOperationException("no state was read");
        Assert.Empty(read.Configs);
        PartitionRecord partition = Assert.Single(read.Partitions);
        Assert.Equal((PartitionRecord.NoLeader, 7), (partition.Leader, partition.LeaderEpoch));
        Assert.Equal([], partition.Replicas);
    }

    private static async Task<Found> ReadAsync(IGrainStorage records)
    {
        var state = new GrainState<ClusterRecord>();
        await records.ReadStateAsync(State, Grain, state);
        return new Found(state.State ?? throw new InvalidOperationException("no state was read"), state.ETag, state.RecordExists);
    }

    private static Task WriteAsync(IGrainStorage records, GrainState<ClusterRecord> state) => records.WriteStateAsync(State, Grain, state);

    private static async Task<bool> TryWriteAsync(IGrainStorage records, GrainState<ClusterRecord> state)
    {
        try
        {
            await WriteAsync(records, state);
            return true;
        }
        catch (InconsistentStateException)
        {
            return false;
        }
    }

    /// <summary>Notes where it is serialized.</summary>
    private sealed class SchedulerProbe
    {
        [System.Text.Json.Serialization.JsonIgnore]
        public TaskScheduler? Serializer { get; private set; }

        public int Value
        {
            get
            {
                Serializer = TaskScheduler.Current;
                return 1;
            }
        }
    }

    private sealed record Found(ClusterRecord State, string? ETag, bool RecordExists)
    {
        public GrainState<ClusterRecord> Next(ClusterRecord state) => new(state, ETag) { RecordExists = RecordExists };
    }
}
