using System.Collections.Immutable;
using Orleans.Storage;
using Tributary.Cloud.Grains;
using Tributary.Cloud.Storage;
using Tributary.Tests.Cloud.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Cloud.Grains;

public sealed class TopicGrainTests : IDisposable
{
    private const string RefuseListing =
        "CREATE TRIGGER refuse BEFORE UPDATE ON grain_record WHEN NEW.state = 'cluster' BEGIN SELECT RAISE(ABORT, 'the test refuses'); END";

    private readonly TemporaryDirectory _directory = new();

    private string DatabaseFile => _directory.File(ControlDatabase.FileName);

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_created_topic_is_listed_and_there_after_a_crash()
    {
        TestSilo silo = await StartAsync();
        TopicCreationAnswer created = await silo.Topic("t").CreateAsync(Spec("t", 3));
        await silo.KillAsync();

        await using TestSilo again = await StartAsync();
        TopicRecord? found = await again.Topic("t").BrokerStartedAsync(again.Registration!.Broker.NodeId);

        Assert.Null(created.Refusal);
        Assert.Equal(created.Topic!.ToListing(), Assert.Single(again.Registration.Topics));
        Assert.Equal(created.Topic!.Id, found!.Id);
        Assert.Equal(3, found.Partitions.Length);
        Assert.Equal("1", found.Configs["min.insync.replicas"]);
    }

    [Fact]
    public async Task Leader_epochs_rise_at_each_start_of_the_broker()
    {
        TestSilo silo = await StartAsync();
        await silo.Topic("t").CreateAsync(Spec("t", 2));
        var epochs = new List<int>();
        for (int life = 0; life < 3; life++)
        {
            await silo.KillAsync();
            silo = await StartAsync();
            TopicRecord? topic = await silo.Topic("t").BrokerStartedAsync(silo.Registration!.Broker.NodeId);
            epochs.AddRange(topic!.Partitions.Select(partition => partition.LeaderEpoch));
        }
        await silo.DisposeAsync();

        Assert.Equal([1, 1, 2, 2, 3, 3], epochs);
    }

    [Fact]
    public async Task Of_many_who_create_one_topic_at_the_same_time_one_does()
    {
        await using TestSilo silo = await StartAsync();

        TopicCreationAnswer[] answers = await Task.WhenAll(Enumerable.Range(1, 16).Select(n => silo.Topic("t").CreateAsync(Spec("t", n))));

        Assert.Single(answers, answer => answer.Refusal is null);
        Assert.All(answers.Where(answer => answer.Refusal is not null), answer => Assert.Equal(ErrorCode.TopicAlreadyExists, answer.Refusal!.Error));
        Assert.Single(answers.Select(answer => (answer.Topic!.Id, answer.Topic.Partitions.Length)).Distinct());
    }

    [Fact]
    public async Task A_creation_that_was_cut_off_between_its_two_writes_is_finished_by_the_next_one()
    {
        TestSilo silo = await StartAsync();
        await silo.ExecuteAsync(RefuseListing);
        await Assert.ThrowsAnyAsync<Exception>(() => silo.Topic("t").CreateAsync(Spec("t", 2)));
        await silo.ExecuteAsync("DROP TRIGGER refuse");
        await silo.KillAsync();

        TestSilo again = await StartAsync();
        TopicCreationAnswer answer = await again.Topic("t").CreateAsync(Spec("t", 2));
        await again.KillAsync();
        await using TestSilo last = await StartAsync();

        Assert.Empty(again.Registration!.Topics);
        Assert.Equal(ErrorCode.TopicAlreadyExists, answer.Refusal?.Error);
        Assert.Equal(answer.Topic!.ToListing(), Assert.Single(last.Registration!.Topics));
    }

    [Fact]
    public async Task To_validate_only_stores_nothing()
    {
        await using TestSilo silo = await StartAsync();

        TopicCreationAnswer would = await silo.Topic("t").CreateAsync(Spec("t", 2) with { ValidateOnly = true });
        TopicCreationAnswer created = await silo.Topic("t").CreateAsync(Spec("t", 2));
        TopicCreationAnswer wouldNot = await silo.Topic("t").CreateAsync(Spec("t", 2) with { ValidateOnly = true });

        Assert.Null(would.Refusal);
        Assert.Equal(2, would.Topic!.Partitions.Length);
        Assert.Null(created.Refusal);
        Assert.Equal(ErrorCode.TopicAlreadyExists, wouldNot.Refusal?.Error);
    }

    [Fact]
    public async Task A_topic_that_is_refused_leaves_room_for_others()
    {
        await using TestSilo silo = await StartAsync(new ClusterLimits(MaxTopics: 10, MaxPartitions: 4));

        TopicCreationAnswer refused = await silo.Topic("large").CreateAsync(Spec("large", 5));
        TopicCreationAnswer created = await silo.Topic("small").CreateAsync(Spec("small", 4));

        Assert.Equal(ErrorCode.PolicyViolation, refused.Refusal?.Error);
        Assert.Null(refused.Topic);
        Assert.Null(created.Refusal);
    }

    [Fact]
    public async Task Topics_whose_names_look_like_one_hexadecimal_number_or_uuid_are_different_topics()
    {
        string uuid = Guid.NewGuid().ToString("N");
        string[] names = ["ab", "AB", "00ab", "0xab", uuid, uuid.ToUpperInvariant()];
        await using TestSilo silo = await StartAsync();

        TopicCreationAnswer[] answers = await Task.WhenAll(names.Select((name, i) => silo.Topic(name).CreateAsync(Spec(name, i + 1))));
        foreach (string name in names)
        {
            await silo.DeactivateAsync(silo.Topic(name));
        }
        TopicRecord?[] read = await Task.WhenAll(names.Select(name => silo.Topic(name).BrokerStartedAsync(1)));

        Assert.All(answers, answer => Assert.Null(answer.Refusal));
        Assert.Equal(names, read.Select(topic => topic!.Name));
    }

    [Fact]
    public async Task A_decision_on_a_record_that_somebody_else_changed_fails_and_the_next_one_starts_from_what_is_stored()
    {
        await using TestSilo silo = await StartAsync();
        TopicRecord topic = (await silo.Topic("t").CreateAsync(Spec("t", 1))).Topic!;
        var elsewhere = new GrainState<TopicRecord>();
        await silo.Records.ReadStateAsync(TopicGrain.StateName, silo.IdOf("t"), elsewhere);
        elsewhere.State = topic.BrokerStarted(1).BrokerStarted(1);
        await silo.Records.WriteStateAsync(TopicGrain.StateName, silo.IdOf("t"), elsewhere);

        await Assert.ThrowsAsync<InconsistentStateException>(() => silo.Topic("t").BrokerStartedAsync(1));
        TopicRecord? next = await silo.Topic("t").BrokerStartedAsync(1);

        Assert.Equal(3, Assert.Single(next!.Partitions).LeaderEpoch);
    }

    [Fact]
    public async Task There_is_no_topic_before_it_is_created()
    {
        await using TestSilo silo = await StartAsync();

        Assert.Null(await silo.Topic("t").BrokerStartedAsync(1));
    }

    private async Task<TestSilo> StartAsync(ClusterLimits? limits = null)
    {
        TestSilo silo = await TestSilo.StartAsync(DatabaseFile, limits);
        await silo.RegisterAsync();
        return silo;
    }

    private static TopicSpec Spec(string name, int partitions) => new(
        name, partitions, -1, ImmutableDictionary<string, string>.Empty.Add("min.insync.replicas", "1"), ValidateOnly: false);
}
