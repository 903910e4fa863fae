using System.Buffers.Binary;
using Tributary.Broker;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class ProduceTests
{
    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task Every_version_appends_and_answers_with_the_offset(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        Assert.Equal(0, (await client.AskAsync(Ask.Produce("t", Batches.Of(3)), version)).Single().BaseOffset);
        ProduceResponse.PartitionProduceResponse second = (await client.AskAsync(Ask.Produce("t", Batches.Of(2)), version)).Single();
        Assert.Equal((ErrorCode.None, 3, -1), (second.ErrorCode, second.BaseOffset, second.LogAppendTimeMs));
        Assert.Equal(version >= 5 ? 0 : -1, second.LogStartOffset);
        Assert.Equal(5, broker.Partition("t").HighWatermark);
        Assert.Equal(5, broker.Server.Metrics.ProducedRecords);
    }

    [Theory]
    [EveryVersion<ProduceRequest>(CompressionCodec.Gzip)]
    [EveryVersion<ProduceRequest>(CompressionCodec.Snappy)]
    [EveryVersion<ProduceRequest>(CompressionCodec.Lz4)]
    [EveryVersion<ProduceRequest>(CompressionCodec.Zstd, Since = 7)]
    public async Task A_compressed_batch_is_kept_as_it_came(short version, CompressionCodec codec)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        byte[] batch = Batches.Of(100, codec: codec);
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Ask.Produce("t", batch), version)).Single().ErrorCode);
        FetchResponse.PartitionData fetched = (await client.AskAsync(Ask.Fetch("t", 0), 10)).Single();
        Assert.True(fetched.Records.Span[BatchLayout.Magic..].SequenceEqual(batch.AsSpan(BatchLayout.Magic)));
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task Several_topics_and_partitions_of_a_request_each_get_their_own_answer(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("a", partitions: 2);
        await broker.CreateTopicAsync("b");
        await using TestClient client = broker.Connect();
        var request = new ProduceRequest
        {
            Acks = Ask.AcksAll,
            TimeoutMs = 30_000,
            TopicData =
            [
                new()
                {
                    Name = "a",
                    PartitionData =
                    [
                        new() { Index = 1, Records = Batches.Of(2) },
                        new() { Index = 2, Records = Batches.Of() },
                        new() { Index = 0, Records = Batches.Of() },
                    ],
                },
                new() { Name = "none", PartitionData = [new() { Index = 0, Records = Batches.Of() }] },
                new() { Name = "b", PartitionData = [new() { Index = 0, Records = new byte[] { 1 } }] },
            ],
        };
        ProduceResponse response = await client.AskAsync(request, version);
        Assert.Equal(["a", "none", "b"], response.Responses.Select(topic => topic.Name));
        Assert.Equal(
            [
                (1, ErrorCode.None, 0), (2, ErrorCode.UnknownTopicOrPartition, -1), (0, ErrorCode.None, 0),
                (0, ErrorCode.UnknownTopicOrPartition, -1), (0, ErrorCode.CorruptMessage, -1),
            ],
            response.Responses.SelectMany(topic => topic.PartitionResponses).Select(one => (one.Index, one.ErrorCode, one.BaseOffset)));
    }

    [Theory]
    [EveryVersion<ProduceRequest>((short)1)]
    [EveryVersion<ProduceRequest>(Ask.AcksAll)]
    public async Task Nothing_is_acknowledged_before_it_is_flushed(short version, short acks)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        broker.Storage.Close();
        int id = await client.SendAsync(Ask.Produce("t", Batches.Of(), acks), version);
        await Eventually.HoldsAsync(() => broker.Storage.HeldUp > 0);
        Assert.False(client.HasResponse());
        Assert.Equal(0, broker.Partition("t").HighWatermark);
        broker.Storage.Open();
        Assert.Equal(ErrorCode.None, (await client.ReceiveAsync<ProduceResponse>(id, version)).Single().ErrorCode);
    }

    [Theory]
    [EveryVersion<ProduceRequest>((short)1)]
    [EveryVersion<ProduceRequest>(Ask.AcksAll)]
    public async Task A_failed_flush_is_told_and_its_batch_is_not_in_the_log(short version, short acks)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await client.AskAsync(Ask.Produce("t", Batches.Of(2)), version);
        broker.Storage.FailNextFlush();
        Assert.Equal(
            version >= 4 ? ErrorCode.KafkaStorageError : ErrorCode.NotLeaderOrFollower, // what clients of version 3 try again
            (await client.AskAsync(Ask.Produce("t", Batches.Of(7), acks), version)).Single().ErrorCode);
        Assert.Equal(2, (await client.AskAsync(Ask.Produce("t", Batches.Of(3), acks), version)).Single().BaseOffset);
        FetchResponse.PartitionData fetched = (await client.AskAsync(Ask.Fetch("t", 0), 11)).Single();
        Assert.Equal([(0, 2), (2, 3)], Batches.Split(fetched.Records.Span));
    }

    [Fact]
    public async Task Requests_are_appended_while_earlier_ones_wait_for_their_flush_and_answered_in_order()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", partitions: 2);
        await using TestClient client = broker.Connect();
        broker.Storage.Close();
        var ids = new List<int>();
        for (int i = 0; i < 20; i++)
        {
            ids.Add(await client.SendAsync(Ask.Produce("t", Batches.Of(), partition: i % 2), 9));
        }
        int last = await client.SendAsync(Ask.Metadata("t"), 9);
        await Eventually.HoldsAsync(() => broker.Partition("t", 0).Log.AppendedEnd + broker.Partition("t", 1).Log.AppendedEnd == 20);
        Assert.False(client.HasResponse());
        broker.Storage.Open();
        for (int i = 0; i < ids.Count; i++)
        {
            Assert.Equal(i / 2, (await client.ReceiveAsync<ProduceResponse>(ids[i], 9)).Single().BaseOffset);
        }
        Assert.Equal(ErrorCode.None, (await client.ReceiveAsync<MetadataResponse>(last, 9)).Topics.Single().ErrorCode);
    }

    [Fact]
    public async Task More_requests_than_may_overlap_are_all_answered()
    {
        await using var broker = new TestBroker(new BrokerOptions { MaxPipelinedProduces = 2, MaxConnectionRequestBytes = 500 });
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        for (int round = 0; round < 50; round++)
        {
            var ids = new List<int>();
            for (int i = 0; i < 10; i++)
            {
                ids.Add(await client.SendAsync(Ask.Produce("t", Batches.Of(valueBytes: 8 + (10 * i))), 9));
            }
            int offsets = await client.SendAsync(Ask.Offsets("t", -1), 7);
            foreach (int id in ids)
            {
                Assert.Equal(ErrorCode.None, (await client.ReceiveAsync<ProduceResponse>(id, 9)).Single().ErrorCode);
            }
            Assert.Equal(10 * (round + 1), (await client.ReceiveAsync<ListOffsetsResponse>(offsets, 7)).Single().Offset);
        }
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task Without_acks_there_is_no_answer_and_the_next_request_gets_its_own(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await client.SendAsync(Ask.Produce("t", Batches.Of(4), acks: 0), version);
        Assert.Equal(4, (await client.AskAsync(Ask.Produce("t", Batches.Of()), version)).Single().BaseOffset);
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task Without_acks_a_failure_closes_the_connection_with_a_counted_reason(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        await client.SendAsync(Ask.Produce("none", Batches.Of(), acks: 0), version);
        Assert.Null(await client.ReceiveFrameAsync());
        await client.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.UnacknowledgedFailure));
    }

    [Theory]
    [EveryVersion<ProduceRequest>((short)2)]
    [EveryVersion<ProduceRequest>((short)-2)]
    public async Task Acks_that_mean_nothing_are_refused(short version, short acks)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        Assert.Equal(ErrorCode.InvalidRequiredAcks, (await client.AskAsync(Ask.Produce("t", Batches.Of(), acks), version)).Single().ErrorCode);
        Assert.Equal(0, broker.Partition("t").Log.AppendedEnd);
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task A_flush_that_takes_longer_than_the_client_waits_is_a_timeout_and_the_batch_stays(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        broker.Storage.Close();
        int id = await client.SendAsync(Ask.Produce("t", Batches.Of(), timeoutMs: 1000), version);
        await Eventually.HoldsAsync(() => broker.Partition("t").Waiters.Waiting == 1);
        broker.Time.Advance(TimeSpan.FromMilliseconds(999));
        Assert.False(client.HasResponse());
        await Eventually.HoldsAsync(() =>
        {
            broker.Time.Advance(TimeSpan.FromMilliseconds(1)); // the wait may begin a little after the append
            return client.HasResponse();
        });
        ProduceResponse.PartitionProduceResponse late = (await client.ReceiveAsync<ProduceResponse>(id, version)).Single();
        Assert.Equal((ErrorCode.RequestTimedOut, -1), (late.ErrorCode, late.BaseOffset));
        broker.Storage.Open();
        Assert.Equal(1, (await client.AskAsync(Ask.Produce("t", Batches.Of()), version)).Single().BaseOffset);
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task With_too_few_in_sync_replicas_acks_all_is_refused_before_the_append_and_acks_1_is_not(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1, ("min.insync.replicas", "2"));
        await using TestClient client = broker.Connect();
        Assert.Equal(ErrorCode.NotEnoughReplicas, (await client.AskAsync(Ask.Produce("t", Batches.Of()), version)).Single().ErrorCode);
        Assert.Equal(0, (await client.AskAsync(Ask.Produce("t", Batches.Of(), acks: 1), version)).Single().BaseOffset);
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task A_topic_with_LogAppendTime_gets_the_brokers_time_and_a_duplicate_is_told_that_of_its_original(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1, ("message.timestamp.type", "LogAppendTime"));
        await using TestClient client = broker.Connect();
        long now = broker.Time.GetUtcNow().ToUnixTimeMilliseconds();
        byte[] batch = Batches.Of(3, new BatchProducer(7, 0, 0));
        Assert.Equal(now, (await client.AskAsync(Ask.Produce("t", batch), version)).Single().LogAppendTimeMs);
        broker.Time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(now, (await client.AskAsync(Ask.Produce("t", batch), version)).Single().LogAppendTimeMs);

        FetchResponse.PartitionData fetched = (await client.AskAsync(Ask.Fetch("t", 0), 11)).Single();
        Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(fetched.Records.Span, out RecordBatch stored));
        Assert.True(stored.IsCrcValid());
        Assert.Equal((now, BatchAttributes.LogAppendTime), (stored.MaxTimestamp, stored.Attributes));
        Assert.Equal(0, (await client.AskAsync(Ask.Offsets("t", now), 7)).Single().Offset);
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task Who_leads_the_partition_instead_is_told(short version)
    {
        await using var broker = new TestBroker();
        await broker.Control.ApplyAsync(
            broker.Control.Snapshot with { Brokers = [new BrokerNode(1, "here", 1), new BrokerNode(2, "there", 9094)] });
        await broker.Control.SetAsync(TestControlPlane.Make("t", Guid.NewGuid(), 1, leaderEpoch: 5, leader: 2));
        await using TestClient client = broker.Connect();
        ProduceResponse response = await client.AskAsync(Ask.Produce("t", Batches.Of()), version);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, response.Single().ErrorCode);
        if (version >= 10)
        {
            Assert.Equal((2, 5), (response.Single().CurrentLeader!.LeaderId, response.Single().CurrentLeader!.LeaderEpoch));
            Assert.Equal((2, "there", 9094), response.NodeEndpoints.Select(node => (node.NodeId, node.Host, node.Port)).Single());
        }
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task A_partition_that_is_given_up_fails_what_waits_for_it(short version)
    {
        await using var broker = new TestBroker();
        Guid id = await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        broker.Storage.Close();
        int sent = await client.SendAsync(Ask.Produce("t", Batches.Of()), version);
        await Eventually.HoldsAsync(() => broker.Partition("t").Waiters.Waiting == 1);
        Partition partition = broker.Partition("t");
        await broker.Control.SetAsync(TestControlPlane.Make("t", id, 1, leaderEpoch: 1, leader: 2));
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await client.ReceiveAsync<ProduceResponse>(sent, version)).Single().ErrorCode);
        broker.Storage.Open();
        Assert.Equal((0, 0), partition.Waiters);
    }

    public static TheoryData<string, ErrorCode, short> BadRecords
    {
        get
        {
            var data = new TheoryData<string, ErrorCode, short>();
            foreach ((string what, ErrorCode expected, short until) in Faults)
            {
                for (short version = ProduceRequest.MinVersion; version <= until; version++)
                {
                    data.Add(what, expected, version);
                }
            }
            return data;
        }
    }

    private static (string What, ErrorCode Expected, short Until)[] Faults =>
    [
        ("none", ErrorCode.InvalidRecord, ProduceRequest.MaxVersion),
        ("null", ErrorCode.InvalidRecord, ProduceRequest.MaxVersion),
        ("two", ErrorCode.InvalidRecord, ProduceRequest.MaxVersion),
        ("magic 1", ErrorCode.InvalidRecord, ProduceRequest.MaxVersion),
        ("cut", ErrorCode.CorruptMessage, ProduceRequest.MaxVersion),
        ("crc", ErrorCode.CorruptMessage, ProduceRequest.MaxVersion),
        ("large", ErrorCode.MessageTooLarge, ProduceRequest.MaxVersion),
        ("count", ErrorCode.InvalidRecord, ProduceRequest.MaxVersion),
        ("records", ErrorCode.InvalidRecord, ProduceRequest.MaxVersion),
        ("control", ErrorCode.InvalidRecord, ProduceRequest.MaxVersion),
        ("transactional", ErrorCode.InvalidRecord, ProduceRequest.MaxVersion),
        ("append time", ErrorCode.InvalidTimestamp, ProduceRequest.MaxVersion),
        ("codec 5", ErrorCode.UnsupportedCompressionType, ProduceRequest.MaxVersion),
        ("zstd", ErrorCode.UnsupportedCompressionType, 6),
        ("no sequence", ErrorCode.InvalidRecord, ProduceRequest.MaxVersion),
    ];

    [Theory]
    [MemberData(nameof(BadRecords))]
    public async Task Records_that_are_not_one_good_batch_are_refused_and_nothing_is_appended(
        string what, ErrorCode expected, short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", 1, ("max.message.bytes", "1000"));
        await using TestClient client = broker.Connect();
        ProduceResponse.PartitionProduceResponse answer = (await client.AskAsync(Ask.Produce("t", Bad(what)), version)).Single();
        Assert.Equal(expected, answer.ErrorCode);
        Assert.Equal(version >= 8, answer.ErrorMessage is not null);
        Assert.Equal(0, broker.Partition("t").Log.AppendedEnd);
    }

    private static RecordBytes Bad(string what)
    {
        byte[] batch = Batches.Of(2);
        return what switch
        {
            "none" => Array.Empty<byte>(),
            "null" => RecordBytes.Null,
            "two" => (byte[])[.. batch, .. batch],
            "magic 1" => Changed(batch, BatchLayout.Magic, 1),
            "cut" => batch[..^1],
            "crc" => Changed(batch, batch.Length - 1, (byte)(batch[^1] ^ 1)),
            "large" => Batches.Of(1, valueBytes: 1000),
            "count" => Sealed(Changed(batch, BatchLayout.RecordCount + 3, 1)),
            "records" => Sealed(Changed(batch, BatchLayout.HeaderSize, 0x7F)),
            "control" => Sealed(Changed(batch, BatchLayout.Attributes + 1, (byte)BatchAttributes.Control)),
            "transactional" => Sealed(Changed(batch, BatchLayout.Attributes + 1, (byte)BatchAttributes.Transactional)),
            "append time" => Sealed(Changed(batch, BatchLayout.Attributes + 1, (byte)BatchAttributes.LogAppendTime)),
            "codec 5" => Sealed(Changed(batch, BatchLayout.Attributes + 1, 5)),
            "zstd" => Batches.Of(2, codec: CompressionCodec.Zstd),
            "no sequence" => Batches.Of(2, new BatchProducer(5, 0, -1)),
            _ => throw new ArgumentOutOfRangeException(nameof(what)),
        };
    }

    private static byte[] Changed(byte[] batch, int position, byte value)
    {
        batch[position] = value;
        return batch;
    }

    private static byte[] Sealed(byte[] batch)
    {
        BinaryPrimitives.WriteUInt32BigEndian(batch.AsSpan(BatchLayout.Crc), Crc32C.Compute(batch.AsSpan(BatchLayout.Attributes)));
        return batch;
    }
}
