using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Edge.Uplink;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Edge;

/// <summary>Ingest, buffer and uplink in this process, over a link that is cut at random, to a real broker's gateway.</summary>
public sealed partial class EdgeToBrokerTests
{
    private const int Devices = 6;
    private const int Partitions = 3;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Whatever_is_cut_and_restarted_each_message_comes_once_and_in_order(int seed)
    {
        var random = new Random(seed);
        await using var broker = new TestBroker(time: TimeProvider.System);
        await broker.CreateTopicAsync(RouteTable.TelemetryTopic, Partitions);
        await using var link = await BrokerLink.StartAsync(broker);
        var sent = new Sent();
        var storage = new MemoryStorage();
        EdgeParts edge = EdgeParts.Start(storage, link.Port);
        for (int step = 0; step < 25; step++)
        {
            for (int i = random.Next(1, 200); i > 0; i--)
            {
                sent.Publish(edge.Ingest, random.Next(Devices));
            }
            if (random.Next(3) == 0)
            {
                await Waiting.Until(() => edge.IsDrained);
            }
            switch (random.Next(6))
            {
                case 0:
                    link.Cut();
                    break;
                case 1:
                    await broker.RestartAsync();
                    break;
                case 2:
                    (edge, storage) = await PowerCutAsync(edge, storage, link, sent);
                    break;
                case 3:
                    await edge.DisposeAsync();
                    sent.Settle();
                    edge = EdgeParts.Start(storage, link.Port);
                    break;
            }
        }
        await Waiting.Until(() => sent.AllCommitted && edge.IsDrained);
        sent.Settle();
        Assert.Equal((0L, 0L), edge.Losses);
        await edge.DisposeAsync();

        sent.Check([.. ReadAll(broker, RouteTable.TelemetryTopic, Partitions).Select(record => (record.Key, int.Parse(record.Value)))]);
    }

    [Fact]
    public async Task What_was_dropped_while_the_cloud_was_away_is_told_in_a_topic_of_its_own_and_the_rest_comes()
    {
        await using var broker = new TestBroker(time: TimeProvider.System);
        await broker.CreateTopicAsync(RouteTable.TelemetryTopic, Partitions);
        await broker.CreateTopicAsync("edge.events", 1);
        await using var link = await BrokerLink.StartAsync(broker);
        link.IsUp = false;
        var sent = new Sent();
        var storage = new MemoryStorage();
        EdgeBufferOptions small = EdgeParts.Buffer with { MaxTopics = 2, MaxDiskBytes = 1 << 20, Policy = FullPolicy.DropOldest };
        EdgeParts edge = EdgeParts.Start(storage, link.Port, small);
        for (int i = 0; i < 4; i++)
        {
            for (int n = 0; n < 5000; n++)
            {
                sent.Publish(edge.Ingest, n % Devices);
                if (n % 100 == 0)
                {
                    await Waiting.Until(() => sent.AllCommitted);
                }
            }
            sent.Settle();
            await edge.DisposeAsync(); // records are given up before the cloud has ever answered, and after a start
            edge = EdgeParts.Start(storage, link.Port, small);
        }
        link.IsUp = true;
        await Waiting.Until(() => edge.IsDrained && edge.Losses.Gap > 0);
        long gap = edge.Losses.Gap;
        await Waiting.Until(() => edge.IsDrained);
        await edge.DisposeAsync();

        List<(string Device, int Number)> stored = [.. ReadAll(broker, RouteTable.TelemetryTopic, Partitions).Select(record => (record.Key, int.Parse(record.Value)))];
        Assert.Equal(stored.Count, stored.Distinct().Count());
        Assert.All(stored.GroupBy(record => record.Device), device => Assert.Equal(device.Order(), device));
        Assert.InRange(gap, 5000, 19_999);
        Assert.Equal(20_000 - gap, stored.Count);
        using JsonDocument told = JsonDocument.Parse(Assert.Single(ReadAll(broker, "edge.events", 1)).Value);
        Assert.Equal("gap", told.RootElement.GetProperty("event").GetString());
        Assert.Equal("edge-1", told.RootElement.GetProperty("edge").GetString());
        Assert.Equal(RouteTable.TelemetryTopic, told.RootElement.GetProperty("topic").GetString());
        Assert.Equal((0, gap, gap), (
            told.RootElement.GetProperty("from").GetInt64(), told.RootElement.GetProperty("to").GetInt64(),
            told.RootElement.GetProperty("records").GetInt64()));
    }

    /// <summary>What was not flushed is gone. The old agent must not send any more once the new disk is what it is.</summary>
    private static async Task<(EdgeParts Edge, MemoryStorage Storage)> PowerCutAsync(
        EdgeParts edge, MemoryStorage storage, BrokerLink link, Sent sent)
    {
        link.IsUp = false;
        link.Cut();
        sent.Settle();
        MemoryStorage later = storage.Crash();
        await edge.DisposeAsync();
        link.IsUp = true;
        return (EdgeParts.Start(later, link.Port), later);
    }

    private static List<(string Key, string Value)> ReadAll(TestBroker broker, string topic, int partitions)
    {
        var records = new List<(string, string)>();
        byte[]? decompressed = null;
        for (int index = 0; index < partitions; index++)
        {
            Partition partition = broker.Partition(topic, index);
            for (long at = 0; at < partition.HighWatermark;)
            {
                using LogRead read = partition.Log.Read(at, 1 << 20, partition.HighWatermark);
                ReadOnlySpan<byte> bytes = System.Buffers.BuffersExtensions.ToArray(read.Bytes);
                while (!bytes.IsEmpty)
                {
                    Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(bytes, out RecordBatch batch));
                    ReadOnlySpan<byte> payload = batch.Payload;
                    if (batch.Codec != CompressionCodec.None)
                    {
                        int size = Compression.Decompress(batch.Codec, batch.Payload, ref decompressed, 16 << 20);
                        payload = decompressed.AsSpan(0, size);
                    }
                    var reader = new RecordReader(payload, batch.RecordCount);
                    while (reader.Read(out Contracts.Records.Record record))
                    {
                        records.Add((Encoding.UTF8.GetString(record.Key), Encoding.UTF8.GetString(record.Value)));
                    }
                    bytes = bytes[batch.Size..];
                }
                at = read.NextOffset;
            }
        }
        return records;
    }

    /// <summary>What was published, and what became of it.</summary>
    private sealed class Sent : ICommitListener
    {
        private readonly int[] _next = new int[Devices];
        private readonly List<(int Device, int Number, IngestTicket Ticket)> _open = [];
        private readonly HashSet<(string, int)> _acknowledged = [];
        private readonly HashSet<(string, int)> _unacknowledged = [];
        private readonly IngestClient _client = new("client");

        public bool AllCommitted => _open.TrueForAll(open => open.Ticket.Stream!.Committed > open.Ticket.Number);

        public void Publish(Ingestor ingest, int device)
        {
            int number = _next[device]++;
            IngestTicket ticket = ingest.Accept(
                _client,
                new IngestMessage(Encoding.UTF8.GetBytes($"devices/d{device}/level"), Encoding.UTF8.GetBytes($"{number}")), this);
            Assert.Equal(IngestRefusal.None, ticket.Refusal);
            _open.Add((device, number, ticket));
        }

        /// <summary>The agent is gone: what was acknowledged must come, the rest may.</summary>
        public void Settle()
        {
            foreach ((int device, int number, IngestTicket ticket) in _open)
            {
                (ticket.Stream!.Committed > ticket.Number ? _acknowledged : _unacknowledged).Add(($"d{device}", number));
            }
            _open.Clear();
        }

        public void Check(List<(string Device, int Number)> stored)
        {
            Assert.Equal(stored.Count, stored.Distinct().Count());
            Assert.Empty(_acknowledged.Except(stored));
            Assert.Empty(stored.Except(_acknowledged).Except(_unacknowledged));
            Assert.All(stored.GroupBy(record => record.Device), device => Assert.Equal(device.Order(), device));
        }

        public void OnCommitted(ICommitStream stream)
        {
        }

        public void OnLost(ICommitStream stream, string reason)
        {
        }
    }

    /// <summary>The agent without its listeners.</summary>
    private sealed class EdgeParts : IAsyncDisposable
    {
        private readonly EdgeBuffer _buffer;
        private readonly EdgeUplink _uplink;

        private EdgeParts(EdgeBuffer buffer, EdgeUplink uplink, Ingestor ingest)
        {
            _buffer = buffer;
            _uplink = uplink;
            Ingest = ingest;
        }

        public Ingestor Ingest { get; }

        public bool IsDrained => _buffer.Partitions.All(partition =>
            _uplink.Partitions.Any(way => way.Topic == partition.Topic && way.AckedOffset == partition.Log.AppendedEnd));

        public long Acked => _uplink.Partitions.Sum(way => way.AckedOffset);

        public (long Refused, long Gap) Losses =>
            (_uplink.Partitions.Sum(partition => partition.Refused), _uplink.Partitions.Sum(partition => partition.GapRecords));

        public static EdgeBufferOptions Buffer { get; } = new() { SegmentBytes = 64 << 10 };

        public static UplinkOptions Uplink { get; } = new()
        {
            CloudHost = "127.0.0.1",
            CloudPort = 1,
            FirstBackoff = TimeSpan.FromMilliseconds(1),
            MaxBackoff = TimeSpan.FromMilliseconds(50),
            QuietPeriod = TimeSpan.FromMilliseconds(50),
            CheckpointInterval = TimeSpan.FromMilliseconds(10),
            MaxBatchBytes = 2048,
            MaxRoundBytes = 8192,
            PipelineRecords = 8,
        };

        public static EdgeParts Start(
            MemoryStorage storage, int cloudPort, EdgeBufferOptions? bufferOptions = null, UplinkOptions? uplinkOptions = null)
        {
            UplinkOptions options = (uplinkOptions ?? Uplink) with { CloudPort = cloudPort };
            EdgeBuffer buffer = EdgeBuffer.Open(
                storage, "data", bufferOptions ?? Buffer, TimeProvider.System, NullLoggerFactory.Instance);
            buffer.Space.BeginToDrop();
            var counters = new UplinkCounters();
            var cloud = new KafkaCloud(options, counters, TimeProvider.System, NullLoggerFactory.Instance);
            var uplink = new EdgeUplink(
                buffer, storage, buffer.DeadLetters, options, cloud, counters, TimeProvider.System, NullLoggerFactory.Instance,
                new EdgeEvents(buffer, "edge-1", NullLogger.Instance));
            uplink.Start();
            var ingest = new Ingestor(
                RouteTable.Default, buffer,
                new IngestOptions { EdgeId = "edge-1", MaxBatchBytes = 4 << 10, MaxRecordBytes = 2 << 10 },
                TimeProvider.System, NullLoggerFactory.Instance);
            return new EdgeParts(buffer, uplink, ingest);
        }

        public async ValueTask DisposeAsync()
        {
            await _uplink.DisposeAsync();
            await _buffer.DisposeAsync();
        }
    }

    /// <summary>The broker's gateway on a loopback port, with connections that can be cut.</summary>
    private sealed class BrokerLink(TestBroker broker) : ConnectionHandler, IAsyncDisposable
    {
        private readonly ConcurrentDictionary<ConnectionContext, bool> _connections = new();
        private LoopbackPort? _port;

        public int Port => _port!.EndPoint.Port;

        /// <summary>Whether new connections are served.</summary>
        public bool IsUp { get; set; } = true;

        public static async Task<BrokerLink> StartAsync(TestBroker broker)
        {
            var link = new BrokerLink(broker);
            link._port = await LoopbackPort.OpenAsync(link);
            await broker.Control.ApplyAsync(
                broker.Control.Snapshot with { Brokers = [new BrokerNode(TestControlPlane.NodeId, "127.0.0.1", link.Port)] });
            return link;
        }

        /// <summary>Ends all connections at once.</summary>
        public void Cut()
        {
            foreach (ConnectionContext connection in _connections.Keys)
            {
                connection.Abort();
            }
        }

        public async ValueTask DisposeAsync()
        {
            Cut();
            await _port!.DisposeAsync();
        }

        public override async Task OnConnectedAsync(ConnectionContext connection)
        {
            _connections[connection] = true;
            try
            {
                if (IsUp)
                {
                    await broker.Server.Connections.OnConnectedAsync(connection);
                }
            }
            finally
            {
                _connections.TryRemove(connection, out _);
            }
        }
    }
}
