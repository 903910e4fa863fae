using System.Buffers.Binary;
using Tributary.Broker;
using Tributary.Broker.Gateway;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Edge.Uplink;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class HostileClientTests
{
    private const int CorrelationId = 1;

    /// <summary>What a client may be closed for, whatever it sends. InternalError is not among it.</summary>
    private static readonly CloseReason[] Deserved =
        [CloseReason.ClosedByClient, CloseReason.Broken, CloseReason.Malformed, CloseReason.Unsupported, CloseReason.UnacknowledgedFailure];

    [Fact]
    public async Task A_body_that_ends_early_closes_the_connection_wherever_it_ends()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        int refused = 0;
        foreach (byte[] whole in Requests(broker.Control.Snapshot.Topics["t"].Id))
        {
            for (int length = 1; length < whole.Length; length += 1 + (whole.Length / 40))
            {
                await using TestClient client = broker.Connect();
                await client.SendFrameAsync(whole[..length]);
                Assert.Null(await client.ReceiveFrameAsync());
                await client.Ended;
                refused++;
            }
        }
        Assert.Equal(refused, broker.Server.Metrics.Closed(CloseReason.Malformed));
        Assert.Equal(0, broker.Partition("t").Log.AppendedEnd);
        await AssertServesAsync(broker);
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(1_000_000)]
    [InlineData(-2)]
    public async Task A_count_that_its_frame_cannot_hold_closes_the_connection(int count)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        byte[] body = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(body, count);
        await client.SendFrameAsync([0, 3, 0, 8, 0, 0, 0, 1, 0xFF, 0xFF, .. body, 0, 0, 0, 0]);
        Assert.Null(await client.ReceiveFrameAsync());
        await client.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.Malformed));
    }

    /// <summary>A flipped bit in what makes another request of it, and in the checksum itself; and one that took the checksum away.</summary>
    [Theory]
    [InlineData(-1)]
    [InlineData(20)]
    [InlineData(null)]
    public async Task A_request_that_is_not_what_its_checksum_says_closes_the_connection(int? damagedAt)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        await client.SendFrameAsync(Checked(1));
        Assert.NotNull(await client.ReceiveFrameAsync());
        byte[] damaged = damagedAt is null ? TestClient.Encode(Question, InitProducerIdRequest.MaxVersion, 2) : Checked(2);
        if (damagedAt is { } at)
        {
            damaged[at < 0 ? damaged.Length + at : at] ^= 1;
        }
        await client.SendFrameAsync(damaged);
        Assert.Null(await client.ReceiveFrameAsync());
        await client.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.Malformed));
        await AssertServesAsync(broker);
    }

    [Fact]
    public async Task Whoever_asks_with_a_checksum_is_answered_with_one()
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        await client.SendFrameAsync(Checked(7));
        byte[] content = (await client.ReceiveFrameAsync())![sizeof(int)..];
        FrameCheck check = KafkaFrame.ReadCheck<InitProducerIdResponse>(content, InitProducerIdRequest.MaxVersion)!.Value;
        Assert.True(check.HoldsBehind(7, content));
        Assert.Equal(
            ErrorCode.None, KafkaFrame.ReadResponse<InitProducerIdResponse>(content, InitProducerIdRequest.MaxVersion).ErrorCode);
    }

    private static InitProducerIdRequest Question => new() { TransactionTimeoutMs = 12_345 };

    private static byte[] Checked(int correlationId)
    {
        using RequestFrame frame = RequestFrame.Of(Question, InitProducerIdRequest.MaxVersion, correlationId, "edge-1");
        return [.. frame.Pieces.SelectMany(piece => piece).Skip(sizeof(int))];
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    public async Task A_length_that_cannot_be_closes_the_connection(int length)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        byte[] field = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(field, length);
        await client.Output.WriteAsync(field);
        Assert.Null(await client.ReceiveFrameAsync());
        await client.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.FrameLength));
    }

    [Fact]
    public async Task What_was_appended_before_a_bad_request_is_answered_before_the_connection_closes()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        broker.Storage.Close();
        int good = await client.SendAsync(Ask.Produce("t", Batches.Of()), 9);
        await client.SendFrameAsync([1, 2, 3]);
        await Eventually.HoldsAsync(() => broker.Storage.HeldUp > 0);
        broker.Storage.Open();
        Assert.Equal(ErrorCode.None, (await client.ReceiveAsync<ProduceResponse>(good, 9)).Single().ErrorCode);
        Assert.Null(await client.ReceiveFrameAsync());
        await client.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.Malformed));
    }

    [Fact]
    public async Task A_client_that_does_not_take_its_last_answers_loses_its_socket_after_a_while()
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        await client.SendAsync(new ApiVersionsRequest(), 0);
        await client.SendFrameAsync([1, 2, 3]);
        await client.Ended;
        broker.Time.Advance(new BrokerOptions().FrameGrace - TimeSpan.FromSeconds(1));
        Assert.False(client.IsAborted);
        broker.Time.Advance(TimeSpan.FromSeconds(1));
        await Eventually.HoldsAsync(() => client.IsAborted);
    }

    [Theory]
    [InlineData("me", " (me)")]
    [InlineData("", "")]
    [InlineData(null, "")]
    [InlineData("a\nWARN forged", " (id not printable)")]
    public void What_a_client_calls_itself_cannot_forge_a_line_of_the_log(string? id, string shown) =>
        Assert.Equal("unknown" + shown, new ClientInfo("1", null, null).Describe(id));

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Damaged_requests_are_answered_or_close_their_connection_and_harm_nobody_else(int seed)
    {
        await using var broker = new TestBroker(
            new BrokerOptions { MaxPartitionsPerTopic = 8, MaxTopicsPerCreate = 8, MaxFrameBytes = 1 << 20 });
        Guid id = await broker.CreateTopicAsync("t");
        await using TestClient before = broker.Connect();
        await before.AskAsync(Ask.Produce("t", Batches.Of(10, new BatchProducer(1, 0, 0))), 9);
        byte[][] requests = [.. Requests(id)];
        var random = new Random(seed);
        const int Clients = 500;
        for (int i = 0; i < Clients; i++)
        {
            await using TestClient client = broker.Connect();
            for (int sent = random.Next(1, 4); sent > 0; sent--)
            {
                byte[] damaged = Mutations.Damage(requests[random.Next(requests.Length)], random);
                if (damaged.Length > 0)
                {
                    await client.TrySendFrameAsync(damaged);
                }
            }
            await client.CloseAsync();
            await client.Ended;
        }
        Assert.Equal(Clients, Deserved.Sum(broker.Server.Metrics.Closed));
        Assert.Equal(0, broker.Server.Metrics.RequestBytesHeld);
        Assert.Equal(1, broker.Server.Metrics.Connections);
        Assert.Equal((0, 0), broker.Partition("t").Waiters);
        Assert.Equal(ErrorCode.None, (await before.AskAsync(Ask.Fetch("t", 0), 11)).Single().ErrorCode);
        await AssertServesAsync(broker);
    }

    [Fact]
    public async Task A_client_that_says_nothing_is_closed_after_the_idle_limit_and_not_before()
    {
        await using var broker = new TestBroker(ShortLimits);
        await using TestClient client = broker.Connect();
        await client.AskAsync(new ApiVersionsRequest(), 0);
        broker.Time.Advance(ShortLimits.IdleLimit - TimeSpan.FromSeconds(1));
        await client.AskAsync(new ApiVersionsRequest(), 0);
        broker.Time.Advance(ShortLimits.IdleLimit - TimeSpan.FromSeconds(1));
        Assert.False(client.HasResponse());
        broker.Time.Advance(ShortLimits.IdleLimit);
        Assert.Null(await client.ReceiveFrameAsync());
        await client.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.Idle));
    }

    [Fact]
    public async Task A_client_whose_join_waits_for_longer_than_the_idle_limit_is_not_idle()
    {
        BrokerOptions options = ShortLimits with { Groups = new GroupOptions { InitialRebalanceDelay = 4 * ShortLimits.IdleLimit } };
        await using var broker = new TestBroker(options);
        await using TestClient client = broker.Connect();
        await using var member = new GroupTestMember(client, "g", join: 3)
        {
            SessionTimeoutMs = 1_200_000,
            RebalanceTimeoutMs = (int)(4 * ShortLimits.IdleLimit).TotalMilliseconds,
        };
        Task<JoinGroupResponse> joining = member.JoinAsync();
        await Eventually.HoldsAsync(() => broker.Groups.Context.Metrics.Members == 1);
        for (int i = 0; i < 3; i++)
        {
            broker.Time.Advance(ShortLimits.IdleLimit + TimeSpan.FromSeconds(1));
        }
        Assert.False(joining.IsCompleted);
        Assert.Equal(0, broker.Server.Metrics.Closed(CloseReason.Idle));
        broker.Time.Advance(ShortLimits.IdleLimit);
        Assert.Equal(ErrorCode.None, (await joining).ErrorCode);
        Assert.Equal(ErrorCode.None, (await member.SyncAsync()).ErrorCode);
        broker.Time.Advance(ShortLimits.IdleLimit + TimeSpan.FromSeconds(1));
        Assert.Null(await client.ReceiveFrameAsync());
        await client.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.Idle));
    }

    [Fact]
    public async Task A_request_that_arrives_too_slowly_closes_the_connection()
    {
        await using var broker = new TestBroker(ShortLimits);
        await using TestClient client = broker.Connect();
        await client.Output.WriteAsync(new byte[] { 0, 0, 4, 0, 0, 3 });
        await Eventually.HoldsAsync(() => broker.Server.Metrics.RequestBytesHeld == 1024);
        broker.Time.Advance(ShortLimits.FrameGrace + TimeSpan.FromSeconds(1));
        broker.Time.Advance(ShortLimits.FrameGrace);
        Assert.Null(await client.ReceiveFrameAsync());
        await client.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.FrameTimeout));
        Assert.Equal(0, broker.Server.Metrics.RequestBytesHeld);
    }

    [Fact]
    public async Task A_client_that_does_not_read_its_answers_is_closed_and_its_memory_given_back()
    {
        await using var broker = new TestBroker(ShortLimits);
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        for (int i = 0; i < 10; i++)
        {
            await client.AskAsync(Ask.Produce("t", Batches.Of(valueBytes: 100_000)), 9);
        }
        await client.SendAsync(Ask.Fetch("t", 0), 11);
        await Eventually.HoldsAsync(client.HasResponse);
        await Eventually.HoldsAsync(() => broker.Server.Metrics.ResponseBytesHeld > 900_000);
        broker.Time.Advance(ShortLimits.TransferLimit(1_100_000));
        broker.Time.Advance(ShortLimits.FrameGrace);
        await client.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.SlowReader));
        Assert.Equal(0, broker.Server.Metrics.ResponseBytesHeld);
    }

    [Fact]
    public async Task One_connection_more_than_allowed_is_closed_at_once_and_the_others_go_on()
    {
        await using var broker = new TestBroker(new BrokerOptions { MaxConnections = 1 });
        await using TestClient first = broker.Connect();
        await first.AskAsync(new ApiVersionsRequest(), 0);
        await using TestClient second = broker.Connect();
        await second.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.TooManyConnections));
        await first.AskAsync(new ApiVersionsRequest(), 0);
    }

    [Fact]
    public async Task One_connection_more_from_an_address_than_allowed_is_closed_at_once()
    {
        await using var broker = new TestBroker(new BrokerOptions { MaxConnectionsPerAddress = 1 });
        await using (TestClient first = broker.Connect())
        {
            await first.AskAsync(new ApiVersionsRequest(), 0);
            await using TestClient second = broker.Connect();
            await second.Ended;
            Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.TooManyFromAddress));
            await first.AskAsync(new ApiVersionsRequest(), 0);
            await first.CloseAsync();
            await first.Ended;
        }
        await using TestClient third = broker.Connect();
        await third.AskAsync(new ApiVersionsRequest(), 0);
    }

    [Fact]
    public async Task A_client_that_never_asks_anything_is_closed_after_the_grace()
    {
        await using var broker = new TestBroker(ShortLimits);
        await using TestClient client = broker.Connect();
        await Eventually.HoldsAsync(() => broker.Server.Metrics.Connections == 1);
        await Eventually.HoldsAsync(() =>
        {
            broker.Time.Advance(ShortLimits.FrameGrace);
            return broker.Server.Metrics.Closed(CloseReason.FrameTimeout) == 1;
        });
        await client.Ended;
    }

    [Fact]
    public async Task A_request_with_more_elements_than_allowed_closes_the_connection()
    {
        await using var broker = new TestBroker(new BrokerOptions { MaxRequestElements = 1024 });
        await using TestClient client = broker.Connect();
        await client.AskAsync(Names(1024), 9);
        await client.SendAsync(Names(1025), 9);
        Assert.Null(await client.ReceiveFrameAsync());
        await client.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.Malformed));
        Assert.Equal(0, broker.Server.Metrics.RequestBytesHeld);
    }

    [Fact]
    public async Task What_elements_of_waiting_requests_take_is_counted_until_they_are_answered()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        FetchRequest fetch = Ask.Fetch("t", 0, maxWaitMs: 60_000);
        fetch.Topics[0].Partitions = [.. Enumerable.Repeat(fetch.Topics[0].Partitions[0], 1000)];
        int asked = await client.SendAsync(fetch, 11);
        await Eventually.HoldsAsync(() => broker.Partition("t").Waiters.Readers == 1);
        Assert.InRange(broker.Server.Metrics.RequestBytesHeld, 1000 * RequestMemory.ElementBytes, 2000 * RequestMemory.ElementBytes);
        await using TestClient writer = broker.Connect();
        await writer.AskAsync(Ask.Produce("t", Batches.Of()), 9);
        await client.ReceiveAsync<FetchResponse>(asked, 11);
        await Eventually.HoldsAsync(() => broker.Server.Metrics.RequestBytesHeld == 0);
    }

    [Fact]
    public async Task Elements_of_produces_that_wait_for_their_flush_are_given_back_when_the_client_goes()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        broker.Storage.Close();
        for (int i = 0; i < 3; i++)
        {
            ProduceRequest produce = Ask.Produce("t", Batches.Of());
            produce.TopicData[0].PartitionData = [.. produce.TopicData[0].PartitionData, .. Enumerable.Range(1, 200).Select(index =>
                new ProduceRequest.PartitionProduceData { Index = index })];
            await client.SendAsync(produce, 9);
        }
        await Eventually.HoldsAsync(() => broker.Server.Metrics.RequestBytesHeld >= 3 * 200 * RequestMemory.ElementBytes);
        await client.CloseAsync();
        broker.Storage.Open();
        await client.Ended;
        Assert.Equal(0, broker.Server.Metrics.RequestBytesHeld);
    }

    [Fact]
    public async Task Metadata_for_a_topic_that_is_named_often_tells_of_it_once()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", partitions: 100);
        await using TestClient client = broker.Connect();
        MetadataRequest often = Names(0);
        often.Topics = [.. Enumerable.Repeat(new MetadataRequest.MetadataRequestTopic { Name = "t" }, 10_000)];
        MetadataResponse answer = await client.AskAsync(often, 9);
        Assert.Equal(100, Assert.Single(answer.Topics).Partitions.Length);
    }

    [Fact]
    public async Task Offsets_of_a_partition_that_is_named_twice_are_not_told()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        ListOffsetsRequest twice = Ask.Offsets("t", Batches.Time);
        twice.Topics = [twice.Topics[0], twice.Topics[0]];
        ListOffsetsResponse answer = await client.AskAsync(twice, 5);
        Assert.All(answer.Topics, topic => Assert.Equal(ErrorCode.InvalidRequest, topic.Partitions.Single().ErrorCode));
    }

    private static MetadataRequest Names(int count) => new()
    {
        Topics = [.. Enumerable.Range(0, count).Select(i => new MetadataRequest.MetadataRequestTopic { Name = $"n{i}" })],
        AllowAutoTopicCreation = false,
    };

    [Fact]
    public async Task A_broker_that_stops_answers_what_was_appended_and_ends_long_polls()
    {
        var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient writer = broker.Connect();
        await using TestClient reader = broker.Connect();
        await reader.SendAsync(Ask.Fetch("t", 0, maxWaitMs: 60_000, minBytes: 1_000_000), 11);
        await Eventually.HoldsAsync(() => broker.Partition("t").Waiters.Readers == 1);
        broker.Storage.Close();
        int sent = await writer.SendAsync(Ask.Produce("t", Batches.Of()), 9);
        await Eventually.HoldsAsync(() => broker.Storage.HeldUp > 0);
        Task stopping = Task.Run(async () => await broker.Server.DisposeAsync());
        Assert.Null(await reader.ReceiveFrameAsync());
        broker.Storage.Open();
        Assert.Equal(ErrorCode.None, (await writer.ReceiveAsync<ProduceResponse>(sent, 9)).Single().ErrorCode);
        Assert.Null(await writer.ReceiveFrameAsync());
        await stopping.WaitAsync(TimeSpan.FromSeconds(60));
        await broker.Logs.DisposeAsync();
    }

    private static readonly BrokerOptions ShortLimits = new()
    {
        IdleLimit = TimeSpan.FromSeconds(60),
        FrameGrace = TimeSpan.FromSeconds(20),
        MinFrameBytesPerSecond = 1 << 20,
        MaxFetchWait = TimeSpan.FromSeconds(10),
        MaxProduceWait = TimeSpan.FromSeconds(10),
        MaxCreateWait = TimeSpan.FromSeconds(10),
    };

    /// <summary>A request of each API in its lowest and highest version.</summary>
    private static IEnumerable<byte[]> Requests(Guid id) =>
    [
        .. Both(Ask.Produce("t", Batches.Of(3))), .. Both(Ask.Produce("t", Batches.Of(3, new BatchProducer(1, 0, 10)), acks: 1)),
        .. Both(Ask.Fetch("t", 0, maxWaitMs: 100, id: id)), .. Both(Ask.Offsets("t", Batches.Time + 1)), .. Both(Ask.Metadata("t2")),
        .. Both(new ApiVersionsRequest { ClientSoftwareName = "a", ClientSoftwareVersion = "1" }, lowest: 3),
        .. Both(new CreateTopicsRequest
        {
            Topics = [new() { Name = "c", NumPartitions = 2, ReplicationFactor = 1, Configs = [new() { Name = "retention.ms", Value = "1" }] }],
        }),
        .. Both(new InitProducerIdRequest()), .. Both(Ask.Producers("t", 1)),
    ];

    private static byte[][] Both<TRequest, TResponse>(IKafkaRequest<TRequest, TResponse> request, short? lowest = null)
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse> =>
    [
        TestClient.Encode(request, lowest ?? TRequest.Api.MinVersion, CorrelationId),
        TestClient.Encode(request, TRequest.Api.MaxVersion, CorrelationId),
    ];

    private static async Task AssertServesAsync(TestBroker broker)
    {
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Metadata("healthy"), 9);
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Ask.Produce("healthy", Batches.Of()), 9)).Single().ErrorCode);
        Assert.NotEqual(0, (await client.AskAsync(Ask.Fetch("healthy", 0), 11)).Single().Records.Size);
    }
}
