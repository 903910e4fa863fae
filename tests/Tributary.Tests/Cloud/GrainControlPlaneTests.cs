using System.Collections.Immutable;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Broker.Configs;
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

    [Fact]
    public async Task A_deleted_topic_is_gone_everywhere_and_its_name_is_free()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started started = await StartAsync(silo);
        Guid old = (await started.Control.CreateTopicAsync(NewTopic("t", 3), default)).Topic!.Id;

        TopicOutcome outcome = await started.Control.DeleteTopicAsync("t", old, default);
        TopicOutcome again = await started.Control.DeleteTopicAsync("t", old, default);
        Guid now = (await started.Control.CreateTopicAsync(NewTopic("t", 1), default)).Topic!.Id;

        Assert.Equal((ErrorCode.None, ErrorCode.UnknownTopicOrPartition), (outcome.Error, again.Error));
        Assert.Equal(new DeletedTopic("t", old, 3), Assert.Single(started.Removed));
        Assert.Equal(old, Assert.Single(started.Followed).Id);
        Assert.NotEqual(old, now);
        Assert.Equal(now, started.Control.Snapshot.Topics["t"].Id);
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, (await started.Control.DeleteTopicAsync("t", old, default)).Error);
    }

    [Fact]
    public async Task What_is_left_of_a_deleted_topic_keeps_its_name_until_it_can_be_removed()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started started = await StartAsync(silo);
        Guid id = (await started.Control.CreateTopicAsync(NewTopic("t", 1), default)).Topic!.Id;
        started.RemovalFails = true;

        TopicOutcome outcome = await started.Control.DeleteTopicAsync("t", id, default);
        CreateTopicOutcome refused = await started.Control.CreateTopicAsync(NewTopic("t", 1), default);
        await started.Control.ReapplyAsync();
        started.RemovalFails = false;
        await started.Control.ReapplyAsync();
        CreateTopicOutcome created = await started.Control.CreateTopicAsync(NewTopic("t", 1), default);

        Assert.Equal(ErrorCode.None, outcome.Error);
        Assert.Equal((ErrorCode.TopicAlreadyExists, "Topic 't' is marked for deletion."), (refused.Error, refused.Message));
        Assert.Equal(id, Assert.Single(started.Removed).Id);
        Assert.Equal(ErrorCode.None, created.Error);
    }

    [Theory]
    [InlineData("the record", "CREATE TRIGGER refuse BEFORE UPDATE ON grain_record WHEN NEW.state = 'topic' BEGIN SELECT RAISE(ABORT, 'no'); END")]
    [InlineData("the files", null)]
    public async Task A_deletion_that_a_crash_cut_off_is_finished_by_the_next_start(string left, string? refuse)
    {
        TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started first = await StartAsync(silo);
        Guid id = (await first.Control.CreateTopicAsync(NewTopic("t", 2), default)).Topic!.Id;
        first.RemovalFails = true;
        if (refuse is not null)
        {
            await silo.ExecuteAsync(refuse);
            await Assert.ThrowsAnyAsync<Exception>(() => first.Control.DeleteTopicAsync("t", id, default));
            await silo.ExecuteAsync("DROP TRIGGER refuse");
        }
        else
        {
            await first.Control.DeleteTopicAsync("t", id, default);
        }
        Assert.Empty(first.Control.Snapshot.Topics);
        await silo.KillAsync();
        await using TestSilo again = await TestSilo.StartAsync(DatabaseFile);

        Started second = await StartAsync(again);

        Assert.Empty(second.Control.Snapshot.Topics);
        Assert.True(new DeletedTopic("t", id, 2) == Assert.Single(second.Removed), left);
        Assert.Single(second.Followed);
        Assert.Null(await again.Topic("t").GetAsync());
        Assert.NotEqual(id, (await second.Control.CreateTopicAsync(NewTopic("t", 1), default)).Topic!.Id);
    }

    [Fact]
    public async Task Changes_are_applied_when_their_caller_hears_of_them_and_there_after_a_crash()
    {
        TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started first = await StartAsync(silo);
        await first.Control.CreateTopicAsync(NewTopic("t", 1), default);

        TopicOutcome more = await first.Control.CreatePartitionsAsync(new MorePartitions("t", 3, ValidateOnly: false), default);
        TopicOutcome altered = await first.Control.AlterConfigsAsync(Alteration("segment.ms", "7"), default);

        Assert.Equal((TopicOutcome.Done, TopicOutcome.Done), (more, altered));
        AssertChanged(first.Control.Snapshot.Topics["t"]);
        Assert.Same(first.Control.Snapshot, first.Applied[^1]);
        await silo.KillAsync();
        await using TestSilo again = await TestSilo.StartAsync(DatabaseFile);
        AssertChanged((await StartAsync(again)).Control.Snapshot.Topics["t"]);

        static void AssertChanged(TopicInfo topic)
        {
            Assert.Equal([0, 1, 2], topic.Partitions.Select(partition => partition.Index));
            Assert.Equal([("retention.ms", "5"), ("segment.ms", "7")], topic.Configs.Select(config => (config.Key, config.Value)));
        }
    }

    [Fact]
    public async Task Changes_that_cannot_be_are_refused_and_a_check_changes_nothing()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile, new ClusterLimits(10, 5));
        Started started = await StartAsync(silo);
        await started.Control.CreateTopicAsync(NewTopic("t", 2), default);
        ClusterSnapshot before = started.Control.Snapshot;

        Assert.Equal(ErrorCode.InvalidPartitions, await MoreAsync(2));
        Assert.Equal(ErrorCode.InvalidPartitions, await MoreAsync(1));
        Assert.Equal(ErrorCode.PolicyViolation, await MoreAsync(6));
        Assert.Equal(ErrorCode.PolicyViolation, await MoreAsync(6, validateOnly: true));
        Assert.Equal(ErrorCode.None, await MoreAsync(5, validateOnly: true));
        Assert.Equal(ErrorCode.InvalidConfig, (await started.Control.AlterConfigsAsync(Alteration("retention.ms", "soon"), default)).Error);
        Assert.Equal(
            ErrorCode.None, (await started.Control.AlterConfigsAsync(Alteration("retention.ms", "6") with { ValidateOnly = true }, default)).Error);
        Assert.Equal(
            ErrorCode.UnknownTopicOrPartition, (await started.Control.AlterConfigsAsync(Alteration("retention.ms", "6") with { Topic = "u" }, default)).Error);
        Assert.Same(before, started.Control.Snapshot);
        Assert.Equal(ErrorCode.None, await MoreAsync(5));

        async Task<ErrorCode> MoreAsync(int count, bool validateOnly = false) =>
            (await started.Control.CreatePartitionsAsync(new MorePartitions("t", count, validateOnly), default)).Error;
    }

    [Fact]
    public async Task Of_changes_made_at_the_same_time_the_last_state_is_applied()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started started = await StartAsync(silo);
        await started.Control.CreateTopicAsync(NewTopic("t", 1), default);

        await Task.WhenAll(Enumerable.Range(1, 24).Select(i => started.Control.AlterConfigsAsync(
            i % 2 == 0 ? Alteration("segment.ms", $"{i}") : Alteration("retention.bytes", $"{i}"), default)));

        TopicRecord stored = (await silo.Topic("t").GetAsync())!;
        Assert.Equal(stored.Configs.OrderBy(config => config.Key), started.Control.Snapshot.Topics["t"].Configs.OrderBy(config => config.Key));
        Assert.Equal(3, stored.Configs.Count);
    }

    [Fact]
    public async Task A_change_whose_outcome_was_not_known_is_looked_up()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started started = await StartAsync(silo);
        await started.Control.CreateTopicAsync(NewTopic("t", 1), default);
        await silo.ExecuteAsync(
            "CREATE TRIGGER refuse BEFORE UPDATE ON grain_record WHEN NEW.state = 'topic' BEGIN SELECT RAISE(ABORT, 'no'); END");
        await Assert.ThrowsAnyAsync<Exception>(() => started.Control.AlterConfigsAsync(Alteration("segment.ms", "7"), default));
        await silo.ExecuteAsync("DROP TRIGGER refuse");
        await silo.Topic("t").AlterConfigsAsync([new StoredConfigEdit("segment.ms", 0, "7")], replaceAll: false, validateOnly: false);
        Assert.False(started.Control.Snapshot.Topics["t"].Configs.ContainsKey("segment.ms"));

        await started.Control.ReapplyAsync();

        Assert.Equal("7", started.Control.Snapshot.Topics["t"].Configs["segment.ms"]);
    }

    [Fact]
    public async Task Configs_of_brokers_are_applied_when_their_caller_hears_of_it_and_there_after_a_crash()
    {
        TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started first = await StartAsync(silo);
        Assert.Equal(TopicOutcome.Done, await first.Control.AlterBrokerConfigsAsync(OfBrokers(false, "message.max.bytes", "7"), default));
        Assert.Equal(TopicOutcome.Done, await first.Control.AlterBrokerConfigsAsync(OfBrokers(true, "message.max.bytes", "8"), default));
        Assert.Same(first.Control.Snapshot, first.Applied[^1]);
        AssertSet(first.Control.Snapshot.Overrides);
        await first.Control.CreateTopicAsync(NewTopic("t", 1), default);
        AssertSet(first.Control.Snapshot.Overrides);
        await silo.KillAsync();
        await using TestSilo again = await TestSilo.StartAsync(DatabaseFile);
        Started second = await StartAsync(again);
        AssertSet(Assert.Single(second.Applied).Overrides);

        Assert.Equal(
            TopicOutcome.Done,
            await second.Control.AlterBrokerConfigsAsync(new BrokerConfigAlteration(true, [], ReplaceAll: true, ValidateOnly: false), default));
        Assert.Empty(second.Control.Snapshot.Overrides.OfNode);
        Assert.Equal("7", second.Control.Snapshot.Overrides.Find("message.max.bytes"));

        static void AssertSet(BrokerOverrides overrides)
        {
            Assert.Equal([KeyValuePair.Create("message.max.bytes", "8")], overrides.OfNode);
            Assert.Equal([KeyValuePair.Create("message.max.bytes", "7")], overrides.OfAll);
        }
    }

    [Fact]
    public async Task Configs_of_brokers_that_can_not_be_are_refused_and_a_check_changes_nothing()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started started = await StartAsync(silo);
        ClusterSnapshot before = started.Control.Snapshot;

        TopicOutcome wrong = await started.Control.AlterBrokerConfigsAsync(OfBrokers(true, "message.max.bytes", "many"), default);
        TopicOutcome check = await started.Control.AlterBrokerConfigsAsync(
            OfBrokers(true, "message.max.bytes", "7") with { ValidateOnly = true }, default);

        Assert.Equal(
            (ErrorCode.InvalidRequest, "Invalid value many for configuration message.max.bytes: Not a number of type INT"), (wrong.Error, wrong.Message));
        Assert.Equal(TopicOutcome.Done, check);
        Assert.Same(before, started.Control.Snapshot);
        Assert.Empty((await silo.Cluster.GetBrokerConfigsAsync(before.NodeId)).OfNode);
    }

    [Fact]
    public async Task A_change_of_brokers_whose_outcome_was_not_known_is_looked_up()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        Started started = await StartAsync(silo);
        await silo.ExecuteAsync(
            "CREATE TRIGGER refuse BEFORE UPDATE ON grain_record WHEN NEW.state = 'cluster' BEGIN SELECT RAISE(ABORT, 'no'); END");
        await Assert.ThrowsAnyAsync<Exception>(() => started.Control.AlterBrokerConfigsAsync(OfBrokers(true, "message.max.bytes", "7"), default));
        await silo.ExecuteAsync("DROP TRIGGER refuse");
        Assert.Null(await silo.Cluster.AlterBrokerConfigsAsync(
            started.Control.Snapshot.NodeId, true, [new StoredConfigEdit("message.max.bytes", 0, "7")], replaceAll: false, validateOnly: false));
        Assert.Empty(started.Control.Snapshot.Overrides.OfNode);

        await started.Control.ReapplyAsync();

        Assert.Equal("7", started.Control.Snapshot.Overrides.Find("message.max.bytes"));
    }

    private static BrokerConfigAlteration OfBrokers(bool ofNode, string name, string value) =>
        new(ofNode, [new ConfigEdit(name, ConfigOperation.Set, value)], ReplaceAll: false, ValidateOnly: false);

    private static ConfigAlteration Alteration(string name, string value) =>
        new("t", [new ConfigEdit(name, ConfigOperation.Set, value)], ReplaceAll: false, ValidateOnly: false);

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
