using System.Buffers;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Edge.Uplink;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>The client side of Kafka's protocol, against scripted brokers on real sockets.</summary>
public sealed class KafkaCloudTests : IAsyncLifetime
{
    private const string Topic = FakeCluster.Topic;
    private static readonly Guid First = new(1, 0, 0, [0, 0, 0, 0, 0, 0, 0, 1]);
    private static readonly Guid Second = new(2, 0, 0, [0, 0, 0, 0, 0, 0, 0, 2]);
    private readonly FakeCluster _cluster = new(brokers: 2, partitions: 4);
    private readonly UplinkCounters _counters = new();
    private readonly List<KafkaCloud> _clouds = [];

    private UplinkOptions Options => UplinkSimulation.DefaultOptions with
    {
        CloudHost = "127.0.0.1",
        CloudPort = _cluster.Brokers[0].Port,
        FirstBackoff = TimeSpan.FromMilliseconds(1),
        MaxBackoff = TimeSpan.FromMilliseconds(20),
    };

    public ValueTask InitializeAsync()
    {
        _cluster.Cloud.KnowsClaims = false; // tests write without asking first
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (KafkaCloud cloud in _clouds)
        {
            await cloud.DisposeAsync();
        }
        await _cluster.DisposeAsync();
    }

    [Fact]
    public async Task Metadata_tell_cluster_topic_and_partitions()
    {
        KafkaCloud cloud = Connect();
        TopicMetadata metadata = await cloud.GetMetadataAsync(Topic, allowCreate: false, CancellationToken.None);

        Assert.Equal(new TopicMetadata("cluster-a", _cluster.Cloud.TopicId, 4), metadata);
        Assert.True(cloud.IsConnected);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_topic_is_made_only_when_that_is_allowed(bool allowed)
    {
        _cluster.HasTopic = false;
        KafkaCloud cloud = Connect();
        Task<TopicMetadata> metadata = cloud.GetMetadataAsync(Topic, allowed, CancellationToken.None);
        if (allowed)
        {
            Assert.Equal(4, (await metadata).Partitions);
            return;
        }
        CloudException unknown = await Assert.ThrowsAsync<CloudException>(() => metadata);
        Assert.Contains("UnknownTopicOrPartition", unknown.Message, StringComparison.Ordinal);
        Assert.False(_cluster.HasTopic);
    }

    [Fact]
    public async Task Positions_come_from_the_leader_of_each_partition()
    {
        KafkaCloud cloud = Connect();
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        (long id, short epoch) = await cloud.InitProducerIdAsync(CancellationToken.None);
        await Produce(cloud, id, epoch, target: 1, records: 7);
        await Produce(cloud, id, epoch, target: 2, records: 5);

        CloudPosition[] positions = await cloud.GetPositionsAsync(Topic, id, new ProducerClaim(First, 1), targets: 4, CancellationToken.None);

        Assert.Equal([new(-1, -1, 0), new(0, 6, 7), new(0, 4, 5), new(-1, -1, 0)], positions);
        Assert.Equal([0, 1], _cluster.Requests.Where(r => r.ApiKey == DescribeProducersRequest.ApiKey).Select(r => r.Node).Order());
        Assert.True(
            LastNumber(DescribeProducersRequest.ApiKey, node: 0) < LastNumber(ListOffsetsRequest.ApiKey, node: 0),
            "the ends must be asked for after the positions");
    }

    [Fact]
    public async Task Batches_go_to_the_leader_and_each_gets_its_answer()
    {
        KafkaCloud cloud = Connect();
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        ICloudNode node = await cloud.GetLeaderAsync(Topic, 1, CancellationToken.None);
        Assert.Same(node, await cloud.GetLeaderAsync(Topic, 3, CancellationToken.None));
        _cluster.Leaders[3] = 0;
        RoundBatch[] batches = [Batch(1000, 0, target: 1, baseOrdinal: 0, records: 3), Batch(1000, 0, target: 3, baseOrdinal: 0, records: 2)];

        IReadOnlyList<ProduceAnswer> answers = await node.Produce(Topic, First, batches);

        Assert.Equal(
            [new ProduceAnswer(batches[0], ErrorCode.None, 0), new ProduceAnswer(batches[1], ErrorCode.NotLeaderOrFollower, -1)], answers);
        Assert.Equal(3, _cluster.Committed().Count);
        Assert.Equal(1, _counters.Requests);
        Assert.True(_counters.BytesSent > 0);
    }

    [Fact]
    public async Task A_batch_gives_its_bytes_to_the_request()
    {
        KafkaCloud cloud = Connect();
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        ICloudNode node = await cloud.GetLeaderAsync(Topic, 0, CancellationToken.None);
        RoundBatch batch = Batch(1000, 0, target: 0, baseOrdinal: 0, records: 3);
        Task<IReadOnlyList<ProduceAnswer>> answers = node.Produce(Topic, First, [batch]);

        Assert.Throws<InvalidOperationException>(() => batch.Bytes);
        batch.ReleaseBytes();
        Assert.Equal(ErrorCode.None, Assert.Single(await answers).Error);
    }

    [Fact]
    public async Task Requests_are_pipelined_in_their_order()
    {
        KafkaCloud cloud = Connect();
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        ICloudNode node = await cloud.GetLeaderAsync(Topic, 0, CancellationToken.None);
        _cluster.HoldProducesUntil = 4;
        Task<IReadOnlyList<ProduceAnswer>>[] answers =
            [.. Enumerable.Range(0, 4).Select(i => node.Produce(Topic, First, [Batch(1000, 0, target: 0, baseOrdinal: i * 10, records: 10)]))];

        Assert.All(await Task.WhenAll(answers), answer => Assert.Equal(ErrorCode.None, Assert.Single(answer).Error));
        Assert.Equal(Enumerable.Range(0, 40).Select(id => (long)id), _cluster.Committed().Select(record => record.Id));
    }

    [Fact]
    public async Task The_later_process_claims_the_producer_id_and_the_earlier_one_is_refused_and_learns_of_it()
    {
        _cluster.Cloud.KnowsClaims = true;
        KafkaCloud first = Connect();
        KafkaCloud second = Connect();
        await first.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        await second.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        (long id, short epoch) = await first.InitProducerIdAsync(CancellationToken.None);
        Assert.Equal(new CloudPosition(-1, -1, 0, ClaimState.Ours), (await first.GetPositionsAsync(Topic, id, new ProducerClaim(First, 1), targets: 1, CancellationToken.None))[0]);
        await Produce(first, id, epoch, target: 0, records: 3);
        Assert.Equal(new CloudPosition(0, 2, 3, ClaimState.Ours), (await second.GetPositionsAsync(Topic, id, new ProducerClaim(Second, 2), targets: 1, CancellationToken.None))[0]);

        ICloudNode node = await first.GetLeaderAsync(Topic, 0, CancellationToken.None);
        Assert.Equal(ErrorCode.InvalidProducerEpoch, (await node.Produce(Topic, First, [Batch(id, epoch, 0, 0, 3)])).Single().Error);
        Assert.Equal(ClaimState.Others, (await first.GetPositionsAsync(Topic, id, new ProducerClaim(First, 1), targets: 1, CancellationToken.None))[0].Claim);
    }

    [Fact]
    public async Task Answers_may_come_byte_by_byte()
    {
        _cluster.Script = _ => Fault.Trickle;
        KafkaCloud cloud = Connect();
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        (long id, short epoch) = await cloud.InitProducerIdAsync(CancellationToken.None);
        await Produce(cloud, id, epoch, target: 0, records: 9);

        Assert.Equal(new CloudPosition(0, 8, 9), (await cloud.GetPositionsAsync(Topic, id, new ProducerClaim(First, 1), targets: 1, CancellationToken.None))[0]);
    }

    [Theory]
    [InlineData(Fault.CloseBefore, "")]
    [InlineData(Fault.CloseAfter, "")]
    [InlineData(Fault.CutAnswer, "")]
    [InlineData(Fault.WrongId, "answered request")]
    [InlineData(Fault.Garbage, "can't be read")]
    [InlineData(Fault.HugeFrame, "a frame of")]
    [InlineData(Fault.Silence, "no answer within")]
    internal async Task A_spoiled_answer_ends_the_connection_and_the_next_question_makes_a_new_one(Fault fault, string reason)
    {
        _cluster.Script = request => request is { ApiKey: InitProducerIdRequest.ApiKey, Number: 1 } ? fault : Fault.None;
        KafkaCloud cloud = Connect(Options with { RequestTimeout = TimeSpan.FromMilliseconds(fault == Fault.Silence ? 100 : 30_000) });

        CloudException lost = await Assert.ThrowsAsync<CloudException>(() => cloud.InitProducerIdAsync(CancellationToken.None));

        Assert.Contains(reason, lost.Message, StringComparison.Ordinal);
        Assert.True((await cloud.InitProducerIdAsync(CancellationToken.None)).ProducerId > 0);
        Assert.Equal(2, _cluster.Requests.Count(request => request.ApiKey == ApiVersionsRequest.ApiKey));
    }

    [Fact]
    public async Task When_the_connection_is_lost_all_that_wait_hear_of_it()
    {
        _cluster.Script = request => request is { ApiKey: ProduceRequest.ApiKey, Number: 2 } ? Fault.CloseBefore : Fault.None;
        KafkaCloud cloud = Connect();
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        ICloudNode node = await cloud.GetLeaderAsync(Topic, 0, CancellationToken.None);
        Task<IReadOnlyList<ProduceAnswer>>[] answers =
            [.. Enumerable.Range(0, 4).Select(i => node.Produce(Topic, First, [Batch(1000, 0, target: 0, baseOrdinal: i, records: 1)]))];

        Assert.Equal(ErrorCode.None, Assert.Single(await answers[0]).Error);
        foreach (Task<IReadOnlyList<ProduceAnswer>> answer in answers[1..])
        {
            await Assert.ThrowsAsync<CloudException>(() => answer);
        }
        await Assert.ThrowsAsync<CloudException>(() => node.Produce(Topic, First, [Batch(1000, 0, target: 0, baseOrdinal: 1, records: 1)]));
        Assert.NotSame(node, await cloud.GetLeaderAsync(Topic, 0, CancellationToken.None));
    }

    [Theory]
    [InlineData(MetadataRequest.ApiKey)]
    [InlineData(InitProducerIdRequest.ApiKey)]
    [InlineData(DescribeProducersRequest.ApiKey)]
    [InlineData(ListOffsetsRequest.ApiKey)]
    public async Task An_error_is_told_by_its_name(short api)
    {
        _cluster.Errors[api] = ErrorCode.KafkaStorageError;
        KafkaCloud cloud = Connect();
        CloudException error = await Assert.ThrowsAsync<CloudException>(async () =>
        {
            await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
            (long id, _) = await cloud.InitProducerIdAsync(CancellationToken.None);
            await cloud.GetPositionsAsync(Topic, id, new ProducerClaim(First, 1), targets: 4, CancellationToken.None);
        });

        Assert.Contains("KafkaStorageError", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_partition_without_a_leader_is_an_error_of_its_own_only()
    {
        _cluster.Leaders[2] = -1;
        KafkaCloud cloud = Connect();
        Assert.Equal(4, (await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None)).Partitions);

        Assert.NotNull(await cloud.GetLeaderAsync(Topic, 1, CancellationToken.None));
        CloudException none = await Assert.ThrowsAsync<CloudException>(async () => await cloud.GetLeaderAsync(Topic, 2, CancellationToken.None));
        Assert.Contains("partition 2 of telemetry has no leader", none.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_that_knows_only_an_older_handshake_is_asked_again()
    {
        _cluster.Versions[ApiVersionsRequest.ApiKey] = (0, 2);
        KafkaCloud cloud = Connect();
        await cloud.InitProducerIdAsync(CancellationToken.None);

        Assert.Equal([3, 2], _cluster.Requests.Where(request => request.ApiKey == ApiVersionsRequest.ApiKey).Select(request => request.Version));
    }

    [Fact]
    public async Task The_highest_version_that_both_sides_know_is_used()
    {
        _cluster.Versions[ProduceRequest.ApiKey] = (0, 8);
        _cluster.Versions[MetadataRequest.ApiKey] = (4, 99);
        KafkaCloud cloud = Connect();
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        await Produce(cloud, 1000, 0, target: 0, records: 3);

        Assert.Equal(8, _cluster.Requests.Single(request => request.ApiKey == ProduceRequest.ApiKey).Version);
        Assert.Equal(MetadataRequest.MaxVersion, _cluster.Requests.Single(request => request.ApiKey == MetadataRequest.ApiKey).Version);
        Assert.Equal(3, _cluster.Committed().Count);
    }

    [Theory]
    [InlineData(InitProducerIdRequest.ApiKey, "InitProducerId")]
    [InlineData(ProduceRequest.ApiKey, "Produce")]
    public async Task A_cluster_that_is_too_old_is_refused_in_a_sentence(short api, string name)
    {
        if (api == ProduceRequest.ApiKey)
        {
            _cluster.Versions[api] = (0, 6);
        }
        else
        {
            _cluster.Versions.Remove(api);
        }
        KafkaCloud cloud = Connect();
        CloudException old = await Assert.ThrowsAsync<CloudException>(() => cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None));

        Assert.Contains($"does not serve {name} in any version", old.Message, StringComparison.Ordinal);
        Assert.Contains("Kafka 2.1", old.Message, StringComparison.Ordinal);
        Assert.False(cloud.IsConnected);
    }

    [Fact]
    public async Task A_cluster_that_does_not_describe_producers_tells_its_ends_alone()
    {
        _cluster.Versions.Remove(DescribeProducersRequest.ApiKey);
        KafkaCloud cloud = Connect();
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        await Produce(cloud, 1000, 0, target: 1, records: 3);
        CloudPosition[] positions = await cloud.GetPositionsAsync(Topic, 1000, default, 2, CancellationToken.None);

        Assert.Equal([CloudPosition.Untold, CloudPosition.Untold with { LogEnd = 3 }], positions);
    }

    [Fact]
    public async Task A_request_that_is_still_on_its_way_is_waited_for_and_one_that_has_arrived_is_not()
    {
        const int Step = 1 << 20;
        var time = new FakeTimeProvider();
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 16 << 10 };
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var options = UplinkSimulation.DefaultOptions with { ConnectTimeout = TimeSpan.FromSeconds(20) };
        var endpoint = new NodeEndpoint("127.0.0.1", ((IPEndPoint)listener.LocalEndPoint!).Port);
        await using NodeConnection connection = await NodeConnection.ConnectAsync(endpoint, null, options, time, CancellationToken.None);
        using Socket server = await listener.AcceptAsync();

        byte[] bytes = ArrayPool<byte>.Shared.Rent(32 << 20);
        var batch = new RoundBatch(0, 0, 1, 0, 0, bytes, bytes.Length);
        var request = new ProduceRequest
        {
            Acks = -1,
            TopicData =
            [
                new ProduceRequest.TopicProduceData
                {
                    Name = Topic,
                    PartitionData = [new ProduceRequest.PartitionProduceData { Index = 0, Records = new BatchRecords(batch) }],
                },
            ],
        };
        var timeout = TimeSpan.FromSeconds(1);
        Task<ReadOnlyMemory<byte>> answer = connection.RequestAsync(RequestFrame.Of(request, 9, 7, "c"), 7, timeout);
        byte[] buffer = new byte[64 << 10];
        (int read, int due) = (0, Step);
        while (read < bytes.Length)
        {
            int more = await server.ReceiveAsync(buffer.AsMemory(), SocketFlags.None);
            Assert.True(more > 0, $"it was given up after {read} of {bytes.Length} bytes");
            read += more;
            if (read >= due)
            {
                due += Step;
                time.Advance(timeout);
            }
        }
        await Until(() =>
        {
            time.Advance(timeout);
            return answer.IsCompleted;
        });
        CloudException late = await Assert.ThrowsAsync<CloudException>(() => answer);
        Assert.Contains("no answer within 1 s", late.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_that_lets_in_and_closes_is_tried_at_the_pace_of_one_that_is_away()
    {
        await using var cluster = new FakeCluster(brokers: 1, partitions: 1) { Script = _ => Fault.None };
        var minutes = TimeSpan.FromMinutes(10);
        KafkaCloud cloud = Connect(Options with { CloudPort = cluster.Brokers[0].Port, FirstBackoff = minutes, MaxBackoff = minutes, StablePeriod = minutes });
        cluster.Script = request => request.ApiKey == MetadataRequest.ApiKey ? Fault.CloseBefore : Fault.None;
        for (int i = 0; i < 4; i++)
        {
            await Assert.ThrowsAnyAsync<CloudException>(() => cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None));
            await Until(() => !cloud.IsConnected);
        }
        int asked = cluster.Requests.Count;
        await Assert.ThrowsAnyAsync<CloudException>(() => cloud.InitProducerIdAsync(CancellationToken.None));

        Assert.Equal(asked, cluster.Requests.Count);
    }

    [Fact]
    public async Task While_the_configured_address_is_away_nodes_that_were_known_are_asked()
    {
        KafkaCloud cloud = Connect();
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        await _cluster.Brokers[0].StopAsync();
        await Until(() => !cloud.IsConnected);

        Assert.Equal(4, (await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None)).Partitions);
        Assert.True(cloud.IsConnected);
    }

    [Fact]
    public async Task A_connection_is_kept_up_while_nothing_is_asked()
    {
        await _cluster.Brokers[0].StopAsync();
        KafkaCloud cloud = Connect();
        cloud.Start();
        await Until(() => _counters.LastError is not null);
        Assert.Contains($"127.0.0.1:{_cluster.Brokers[0].Port}", _counters.LastError, StringComparison.Ordinal);
        Assert.False(cloud.IsConnected);

        _cluster.Brokers[0].Restart();
        await Until(() => cloud.IsConnected);
        await _cluster.Brokers[0].StopAsync();
        await Until(() => !cloud.IsConnected);
        _cluster.Brokers[0].Restart();
        await Until(() => cloud.IsConnected);
    }

    [Fact]
    public async Task An_advertised_address_that_cannot_be_reached_is_named()
    {
        _cluster.Advertised = _ => ("no-such-host.invalid", 9092);
        KafkaCloud cloud = Connect();
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        CloudException away = await Assert.ThrowsAsync<CloudException>(async () => await cloud.GetLeaderAsync(Topic, 0, CancellationToken.None));

        Assert.Contains("no-such-host.invalid:9092", away.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("somewhere", 0)]
    [InlineData("somewhere", 65536)]
    [InlineData("", 9092)]
    public async Task An_advertised_address_that_is_none_is_named(string host, int port)
    {
        _cluster.Advertised = _ => (host, port);
        KafkaCloud cloud = Connect();
        CloudException none = await Assert.ThrowsAsync<CloudException>(
            () => cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None));

        Assert.Contains($"{host}:{port}", none.Message, StringComparison.Ordinal);
        Assert.Contains("advertised address", none.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Disposing_fails_what_still_waits()
    {
        _cluster.Script = request => request.ApiKey == InitProducerIdRequest.ApiKey ? Fault.Silence : Fault.None;
        var cloud = new KafkaCloud(Options, _counters, TimeProvider.System, NullLoggerFactory.Instance);
        Task<(long, short)> asked = cloud.InitProducerIdAsync(CancellationToken.None);
        await Until(() => _cluster.Requests.Any(request => request.ApiKey == InitProducerIdRequest.ApiKey));
        await cloud.DisposeAsync();

        await Assert.ThrowsAsync<CloudException>(() => asked);
    }

    private static RoundBatch Batch(long producerId, short epoch, int target, long baseOrdinal, int records)
    {
        using var builder = new RecordBatchBuilder();
        for (int i = 0; i < records; i++)
        {
            builder.Add(0, "k"u8, System.Text.Encoding.UTF8.GetBytes($"{baseOrdinal + i}"), new EncodedHeaders([]));
        }
        Memory<byte> bytes = builder.Build(new BatchProducer(producerId, epoch, Sequence.FromOrdinal(baseOrdinal)));
        byte[] pooled = System.Buffers.ArrayPool<byte>.Shared.Rent(bytes.Length);
        bytes.CopyTo(pooled);
        return new RoundBatch(target, baseOrdinal, records, baseOrdinal, baseOrdinal + records - 1, pooled, bytes.Length);
    }

    private static async Task Produce(KafkaCloud cloud, long producerId, short epoch, int target, int records)
    {
        ICloudNode node = await cloud.GetLeaderAsync(Topic, target, CancellationToken.None);
        IReadOnlyList<ProduceAnswer> answers = await node.Produce(Topic, First, [Batch(producerId, epoch, target, 0, records)]);
        Assert.Equal(ErrorCode.None, Assert.Single(answers).Error);
    }

    private static Task Until(Func<bool> condition) => Waiting.Until(condition);

    private KafkaCloud Connect(UplinkOptions? options = null)
    {
        var cloud = new KafkaCloud(options ?? Options, _counters, TimeProvider.System, NullLoggerFactory.Instance);
        _clouds.Add(cloud);
        return cloud;
    }

    private int LastNumber(short api, int node) =>
        _cluster.Requests.Select((request, at) => (request, at)).Last(r => r.request.ApiKey == api && r.request.Node == node).at;
}
