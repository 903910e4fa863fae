using System.Buffers.Text;
using Tributary.Cloud.Grains;
using Tributary.Cloud.Storage;
using Tributary.Tests.Cloud.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Cloud.Grains;

public sealed class ClusterGrainTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string DatabaseFile => _directory.File(ControlDatabase.FileName);

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task The_cluster_keeps_its_id_and_a_broker_its_number_whatever_ends_the_silo()
    {
        BrokerRegistration first;
        TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        first = await silo.Cluster.RegisterBrokerAsync("silo-1", "host", 9092);
        await silo.KillAsync();
        await using TestSilo again = await TestSilo.StartAsync(DatabaseFile);

        BrokerRegistration second = await again.Cluster.RegisterBrokerAsync("silo-1", "elsewhere", 9093);

        Assert.Equal(22, first.ClusterId.Length);
        Assert.True(Base64Url.IsValid(first.ClusterId));
        Assert.Equal(first.ClusterId, second.ClusterId);
        Assert.Equal(new BrokerRecord { Name = "silo-1", NodeId = 1, Epoch = 0, Host = "host", Port = 9092 }, first.Broker);
        Assert.Equal(new BrokerRecord { Name = "silo-1", NodeId = 1, Epoch = 1, Host = "elsewhere", Port = 9093 }, second.Broker);
    }

    [Fact]
    public async Task Blocks_of_producer_ids_never_overlap_over_kills_and_concurrent_requests()
    {
        var blocks = new List<ProducerIdBlock>();
        for (int life = 0; life < 3; life++)
        {
            TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
            blocks.AddRange(await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => silo.Cluster.TakeProducerIdsAsync())));
            await silo.KillAsync();
        }

        Assert.All(blocks, block => Assert.Equal(ClusterRecord.ProducerIdBlockSize, block.Count));
        Assert.Equal(
            Enumerable.Range(0, blocks.Count).Select(i => (long)i * ClusterRecord.ProducerIdBlockSize), blocks.Select(block => block.First).Order());
    }

    [Fact]
    public async Task A_producer_id_block_that_could_not_be_stored_is_not_handed_out()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        ProducerIdBlock before = await silo.Cluster.TakeProducerIdsAsync();
        await silo.ExecuteAsync(
            "CREATE TRIGGER full BEFORE UPDATE ON grain_record BEGIN SELECT RAISE(ABORT, 'the test refuses'); END");

        Exception failure = await Assert.ThrowsAnyAsync<Exception>(silo.Cluster.TakeProducerIdsAsync);
        await silo.ExecuteAsync("DROP TRIGGER full");
        ProducerIdBlock after = await silo.Cluster.TakeProducerIdsAsync();

        Assert.Contains("the test refuses", failure.Message, StringComparison.Ordinal);
        Assert.Equal(before.First + before.Count, after.First);
    }

    [Fact]
    public async Task Topics_and_partitions_are_limited_and_the_refusal_names_the_setting()
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile, new ClusterLimits(MaxTopics: 2, MaxPartitions: 10));
        await silo.Cluster.RegisterBrokerAsync("silo-1", "host", 9092);
        Assert.Null(await silo.Cluster.ListTopicAsync(Listing("a", 4)));

        Placement tooManyPartitions = await silo.Cluster.PlaceTopicAsync("b", 7, -1);
        Placement fits = await silo.Cluster.PlaceTopicAsync("b", 6, -1);
        Assert.Null(await silo.Cluster.ListTopicAsync(Listing("b", 6)));
        Refusal? tooManyTopics = await silo.Cluster.ListTopicAsync(Listing("c", 0));

        Assert.Null(fits.Refusal);
        Assert.Equal(ErrorCode.PolicyViolation, tooManyPartitions.Refusal?.Error);
        Assert.Contains("maxPartitions is 10", tooManyPartitions.Refusal?.Message, StringComparison.Ordinal);
        Assert.Equal(ErrorCode.PolicyViolation, tooManyTopics?.Error);
        Assert.Contains("maxTopics is 2", tooManyTopics?.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public async Task A_replication_factor_that_the_brokers_can_not_hold_is_refused(int factor)
    {
        await using TestSilo silo = await TestSilo.StartAsync(DatabaseFile);
        await silo.Cluster.RegisterBrokerAsync("silo-1", "host", 9092);

        Placement placement = await silo.Cluster.PlaceTopicAsync("t", 1, factor);

        Assert.Equal(ErrorCode.InvalidReplicationFactor, placement.Refusal?.Error);
    }

    private static TopicListing Listing(string name, int partitions) => new() { Name = name, Id = Guid.NewGuid(), Partitions = partitions };
}
