using System.Collections.Immutable;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Broker.Metadata;
using Tributary.Cloud;
using Tributary.Cloud.Grains;
using Tributary.Cloud.Storage;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Cloud.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Cloud;

public sealed class GrainControlPlaneTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string DatabaseFile => _directory.File(ControlDatabase.FileName);

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task The_broker_knows_itself_and_has_taken_the_snapshot_before_anybody_sees_it()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);

        Started started = await StartAsync(silo);

        ClusterSnapshot snapshot = started.Control.Snapshot;
        Assert.Same(snapshot, Assert.Single(started.Applied));
        Assert.Equal(22, snapshot.ClusterId.Length);
        Assert.Equal(new BrokerNode(snapshot.NodeId, "cloud.example", 9092), Assert.Single(snapshot.Brokers));
        Assert.Empty(snapshot.Topics);
    }

    [Fact]
    public async Task A_created_topic_is_applied_and_visible_when_its_creator_hears_of_it()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started started = await StartAsync(silo);

        CreateTopicOutcome outcome = await started.Control.CreateTopicAsync(NewTopic("t", 3), default);

        Assert.Equal(ErrorCode.None, outcome.Error);
        Assert.Same(started.Control.Snapshot, started.Applied[^1]);
        TopicInfo topic = started.Control.Snapshot.Topics["t"];
        Assert.Equal((outcome.Topic!.Id, 3), (topic.Id, topic.Partitions.Length));
        Assert.Equal("5", topic.Configs["retention.ms"]);
        Assert.All(topic.Partitions, partition => Assert.Equal(started.Control.Snapshot.NodeId, partition.Leader));
    }

    [Fact]
    public async Task Topics_that_are_created_at_the_same_time_are_all_there()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started started = await StartAsync(silo);
        string[] names = [.. Enumerable.Range(0, 24).Select(i => $"t{i}")];

        await Task.WhenAll(names.Select(name => started.Control.CreateTopicAsync(NewTopic(name, 1), default)));

        Assert.Equal(names.Order(StringComparer.Ordinal), started.Control.Snapshot.Topics.Keys.Order(StringComparer.Ordinal));
        Assert.Same(started.Control.Snapshot, started.Applied[^1]);
    }

    [Fact]
    public async Task After_a_crash_the_topics_are_back_in_new_leader_epochs()
    {
        TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started first = await StartAsync(silo);
        await first.Control.CreateTopicAsync(NewTopic("a", 2), default);
        await first.Control.CreateTopicAsync(NewTopic("b", 1), default);
        await silo.KillAsync();
        await using TestSilo again = await TestSilo.StartAsync(DatabaseFile);

        Started second = await StartAsync(again);

        ClusterSnapshot before = first.Control.Snapshot;
        ClusterSnapshot after = second.Control.Snapshot;
        Assert.Equal((before.ClusterId, before.NodeId), (after.ClusterId, after.NodeId));
        Assert.Equal(before.Topics.Keys.Order(), after.Topics.Keys.Order());
        Assert.All(after.Topics.Values, topic => Assert.Equal(before.Topics[topic.Name].Id, topic.Id));
        Assert.All(after.Topics.Values.SelectMany(topic => topic.Partitions), partition => Assert.Equal(1, partition.LeaderEpoch));
    }

    [Fact]
    public async Task A_creation_whose_caller_has_gone_is_finished_and_applied()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        var gate = new TaskCompletionSource();
        Started started = await StartAsync(silo, gate.Task);
        using var caller = new CancellationTokenSource();

        Task<CreateTopicOutcome> creation = started.Control.CreateTopicAsync(NewTopic("t", 1), caller.Token);
        await caller.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => creation);
        gate.SetResult();
        // Without the first's, a second creation could be the one that succeeds.
        await Eventually.HoldsAsync(() => started.Control.Snapshot.Topics.ContainsKey("t"));
        CreateTopicOutcome again = await started.Control.CreateTopicAsync(NewTopic("t", 1), default);

        Assert.Equal(ErrorCode.TopicAlreadyExists, again.Error);
    }

    [Fact]
    public async Task A_topic_whose_creation_a_crash_cut_off_is_served_once_somebody_creates_it_again()
    {
        TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started first = await StartAsync(silo);
        await silo.ExecuteAsync(
            "CREATE TRIGGER refuse BEFORE UPDATE ON grain_record WHEN NEW.state = 'cluster' BEGIN SELECT RAISE(ABORT, 'the test refuses'); END");
        await Assert.ThrowsAnyAsync<Exception>(() => first.Control.CreateTopicAsync(NewTopic("t", 2), default));
        await silo.ExecuteAsync("DROP TRIGGER refuse");
        await silo.KillAsync();
        await using TestSilo again = await TestSilo.StartAsync(DatabaseFile);
        Started second = await StartAsync(again);
        bool wasThere = second.Control.Snapshot.Topics.ContainsKey("t");

        CreateTopicOutcome outcome = await second.Control.CreateTopicAsync(NewTopic("t", 2), default);

        Assert.False(wasThere);
        Assert.Equal(ErrorCode.TopicAlreadyExists, outcome.Error);
        Assert.Equal(2, second.Applied[^1].Topics["t"].Partitions.Length);
    }

    [Fact]
    public async Task A_topic_whose_record_is_gone_is_left_out_and_the_others_are_served()
    {
        TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started first = await StartAsync(silo);
        await first.Control.CreateTopicAsync(NewTopic("gone", 1), default);
        await first.Control.CreateTopicAsync(NewTopic("kept", 1), default);
        await silo.ExecuteAsync("DELETE FROM grain_record WHERE key = 'topic/gone'");
        await silo.KillAsync();
        await using TestSilo again = await TestSilo.StartAsync(DatabaseFile);

        Started second = await StartAsync(again);

        Assert.Equal("kept", Assert.Single(second.Control.Snapshot.Topics.Keys));
    }

    [Theory]
    [InlineData("no/slash", 1, ErrorCode.InvalidTopicException)]
    [InlineData("", 1, ErrorCode.InvalidTopicException)]
    [InlineData("..", 1, ErrorCode.InvalidTopicException)]
    [InlineData("t", 0, ErrorCode.InvalidPartitions)]
    [InlineData("t", 101, ErrorCode.PolicyViolation)]
    public async Task What_can_not_be_a_topic_is_refused_and_nothing_is_applied(string name, int partitions, ErrorCode expected)
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile, new ClusterLimits(10, 100));
        Started started = await StartAsync(silo);

        CreateTopicOutcome outcome = await started.Control.CreateTopicAsync(NewTopic(name, partitions), default);

        Assert.Equal(expected, outcome.Error);
        Assert.NotNull(outcome.Message);
        Assert.Single(started.Applied);
    }

    [Fact]
    public async Task To_validate_only_shows_the_topic_and_applies_nothing()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started started = await StartAsync(silo);

        CreateTopicOutcome outcome = await started.Control.CreateTopicAsync(NewTopic("t", 3) with { ValidateOnly = true }, default);

        Assert.Equal(3, outcome.Topic!.Partitions.Length);
        Assert.Empty(started.Control.Snapshot.Topics);
        Assert.Single(started.Applied);
    }

    [Fact]
    public async Task Producer_ids_never_repeat_over_blocks_and_crashes()
    {
        const int each = 1500;
        var ids = new List<long>();
        for (int life = 0; life < 2; life++)
        {
            TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
            Started started = await StartAsync(silo);
            ids.AddRange(await Task.WhenAll(Enumerable.Range(0, each).Select(_ => started.Control.NextProducerIdAsync(default).AsTask())));
            await silo.KillAsync();
        }

        Assert.Equal(2 * each, ids.Distinct().Count());
    }

    [Fact]
    public async Task The_broker_can_be_made_to_look_again_at_what_it_has()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started started = await StartAsync(silo);

        await started.Control.ReapplyAsync();

        Assert.Equal(2, started.Applied.Count);
        Assert.All(started.Applied, snapshot => Assert.Same(started.Control.Snapshot, snapshot));
    }

    private static async Task<Started> StartAsync(TestSilo silo, Task? gate = null, bool removalFails = false)
    {
        var followed = new List<DeletedTopic>();
        var started = new Started(
            new GrainControlPlane(silo.Grains, [new RecordingFollower(followed)], NullLogger<GrainControlPlane>.Instance), [], [], followed)
        {
            Gate = gate,
            RemovalFails = removalFails,
        };
        await started.Control.StartAsync(CloudOptions.BrokerName, new HostPort("cloud.example", 9092), started, default);
        return started;
    }

    private static NewTopic NewTopic(string name, int partitions) => new(
        name, partitions, -1, ImmutableDictionary<string, string>.Empty.Add("retention.ms", "5"), ValidateOnly: false);

    /// <summary>A control plane, the snapshots that it had the broker take and the deleted topics that it had removed and forgotten.</summary>
    private sealed record Started(
        GrainControlPlane Control, List<ClusterSnapshot> Applied, List<DeletedTopic> Removed, List<DeletedTopic> Followed) : IBrokerPartitions
    {
        public Task? Gate { get; init; }

        public bool RemovalFails { get; set; }

        public async Task ApplyAsync(ClusterSnapshot snapshot, CancellationToken cancellation)
        {
            await (Applied.Count > 0 && Gate is not null ? Gate : Task.CompletedTask);
            Applied.Add(snapshot);
        }

        public Task RemoveAsync(DeletedTopic topic, CancellationToken cancellation)
        {
            if (RemovalFails)
            {
                throw new IOException("the test fails this removal");
            }
            Removed.Add(topic);
            return Task.CompletedTask;
        }
    }

    private sealed class RecordingFollower(List<DeletedTopic> followed) : ITopicFollower
    {
        public Task TopicDeletedAsync(string name, Guid id)
        {
            followed.Add(new DeletedTopic(name, id, 0));
            return Task.CompletedTask;
        }
    }
}
