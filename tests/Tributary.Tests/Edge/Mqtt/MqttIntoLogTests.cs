using System.Buffers;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Edge.Routes;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;
using Record = Tributary.Contracts.Records.Record;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>The broker on the real ingest, buffer and log, in memory: PUBACK means flushed.</summary>
public sealed class MqttIntoLogTests : IAsyncLifetime
{
    private const string Path = "data";
    private readonly MemoryStorage _memory = new();
    private readonly GatedStorage _storage;
    private readonly EdgeBuffer _buffer;
    private readonly Ingestor _ingest;
    private readonly MqttServer _server;

    public MqttIntoLogTests()
    {
        _storage = new GatedStorage(_memory);
        _buffer = Open(_storage);
        var options = new IngestOptions { EdgeId = "edge-1", OfflineRetry = TimeSpan.FromMilliseconds(10) };
        _ingest = new Ingestor(RouteTable.Default, _buffer, options, TimeProvider.System, NullLoggerFactory.Instance);
        _server = new MqttServer(
            new MqttOptions { ShutdownGrace = TimeSpan.Zero }, _ingest,
            SessionStore.Open(_buffer, _storage, new MqttOptions(), TimeProvider.System, NullLoggerFactory.Instance), TimeProvider.System,
            NullLoggerFactory.Instance);
    }

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        _storage.Open();
        await _server.DisposeAsync();
        await _buffer.DisposeAsync();
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task No_acknowledgement_leaves_before_the_flush_that_covers_its_message(int level)
    {
        ScriptedClient client = await ScriptedClient.ConnectAsync(_server, level, "dev");
        await client.SendAsync(Packets.Publish(level, "devices/d1/temperature", "1", 1, 1));
        await client.ExpectPubAcksAsync(1);
        _storage.Close();
        await client.SendAsync(Packets.Publish(level, "devices/d1/temperature", "2", 1, 2));
        await Wait.Until(() => _storage.HeldUp > 0);
        // The flush that is under way may not cover this one.
        await client.SendAsync(Packets.Publish(level, "devices/d1/temperature", "3", 1, 3));
        await client.ExpectNothingAsync();
        _storage.Open();
        await client.ExpectPubAcksAsync(2, 3);
        Assert.Equal(["d1=1", "d1=2", "d1=3"], Records(_buffer, "telemetry"));
    }

    [Fact]
    public async Task Messages_stand_in_the_log_with_key_value_and_headers()
    {
        ScriptedClient client = await ScriptedClient.ConnectAsync(_server, 5, "dev");
        await client.SendAsync(
            Packets.Publish(5, "devices/d1/pump/pressure", "3.2", 1, 1), Packets.Publish(5, "elsewhere", "x", 1, 2),
            Packets.Publish(5, "devices/d1/pump/pressure", "", 1, 3));
        await client.ExpectPubAcksAsync(1, 2, 3);
        Assert.Equal(["d1=3.2", "d1="], Records(_buffer, "telemetry"));
        Assert.Equal(["dev=x"], Records(_buffer, "unrouted"));
        Assert.Equal(
            ["mqtt.topic=devices/d1/pump/pressure", "metric=pump/pressure", "edge=edge-1"], HeadersOfFirst(_buffer, "telemetry"));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_failed_flush_closes_the_connection_and_the_client_can_send_again(int level)
    {
        ScriptedClient client = await ScriptedClient.ConnectAsync(_server, level, "dev");
        await client.SendAsync(Packets.Publish(level, "devices/d1/t", "1", 1, 1));
        await client.ExpectPubAcksAsync(1);
        _storage.FailNextFlush();
        await client.SendAsync(Packets.Publish(level, "devices/d1/t", "2", 1, 2));
        if (level == 5)
        {
            Assert.Equal(0xE0, (await client.ReceiveAsync())[0]);
        }
        await client.ExpectClosedAsync();
        Assert.Equal(1, _server.Metrics.Closed(MqttCloseReason.MessagesLost));
        Assert.Equal(1, _server.Metrics.Acknowledged);
        bool isStored = false;
        while (!isStored)
        {
            ScriptedClient again = await ScriptedClient.ConnectAsync(_server, 5, "dev");
            await again.SendAsync(Packets.Publish(5, "devices/d1/t", "2", 1, 2));
            byte[] answer = await again.ReceiveAsync();
            isStored = answer[0] == 0x40 && answer.Length == 4;
        }
        Assert.Equal("d1=2", Records(_buffer, "telemetry")[^1]);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task What_a_route_leaves_out_is_acknowledged_in_its_turn_delivered_here_and_retained(int level)
    {
        _ingest.Use(RoutesFile.Parse(
            """
            { "routes": [
              { "match": "drop/{x}", "drop": true },
              { "match": "same/{device}", "topic": "telemetry", "deadband": { "path": "", "change": 1 } },
              { "match": "{device}/{x}", "topic": "telemetry" }
            ] }
            """u8, "routes.json"));
        ScriptedClient sub = await ScriptedClient.ConnectAsync(_server, level, "sub");
        await sub.SendAsync(Packets.Subscribe(level, 1, ("#", 1)));
        await sub.ReceiveAsync();
        ScriptedClient client = await ScriptedClient.ConnectAsync(_server, level, "dev");
        await client.SendAsync(Packets.Publish(level, "same/d", "1", 1, 1));
        await client.ExpectPubAcksAsync(1);
        await sub.ReceiveAsync();
        _storage.Close();
        await client.SendAsync(
            Packets.Publish(level, "a/b", "2", 1, 2), Packets.Publish(level, "drop/x", "3", 1, 3, retain: true), Packets.Publish(level, "same/d", "1.5", 1, 4),
            Packets.Publish(level, "same/d", "3", 1, 5), Packets.Publish(level, "drop/x", "6"));
        await Wait.Until(() => _storage.HeldUp > 0);
        await client.ExpectNothingAsync(); // those left out wait for those before them
        await sub.ExpectNothingAsync();
        _storage.Open();
        await client.ExpectPubAcksAsync(2, 3, 4, 5);
        foreach ((string topic, string payload, int qos, int id) in new[] { ("a/b", "2", 1, 2), ("drop/x", "3", 1, 3), ("same/d", "1.5", 1, 4), ("same/d", "3", 1, 5), ("drop/x", "6", 0, 0) })
        {
            await sub.ExpectAsync(Packets.Publish(level, topic, payload, qos, id));
        }
        Assert.Equal(["d=1", "a=2", "d=3"], Records(_buffer, "telemetry"));
        ScriptedClient late = await ScriptedClient.ConnectAsync(_server, level, "late");
        await late.SendAsync(Packets.Subscribe(level, 1, ("drop/#", 1)));
        await late.ReceiveAsync();
        await late.ExpectAsync(Packets.Publish(level, "drop/x", "3", 1, 1, retain: true));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task After_a_power_cut_everything_acknowledged_is_there(int seed)
    {
        var random = new Random(seed);
        ScriptedClient[] clients = new ScriptedClient[4];
        int[] sent = new int[clients.Length];
        int[] acknowledged = new int[clients.Length];
        for (int i = 0; i < clients.Length; i++)
        {
            clients[i] = await ScriptedClient.ConnectAsync(_server, i % 2 == 0 ? 4 : 5, $"dev-{i}");
        }
        for (int step = 0; step < 300; step++)
        {
            int i = random.Next(clients.Length);
            ScriptedClient client = clients[i];
            byte[][] packets = [.. Enumerable.Range(sent[i] + 1, random.Next(1, 6))
                .Select(n => Packets.Publish(client.Level, $"devices/dev-{i}/n", $"{n}", 1, n))];
            sent[i] += packets.Length;
            await client.SendAsync(packets);
            while (acknowledged[i] < sent[i] && (random.Next(3) > 0 || sent[i] - acknowledged[i] > 20))
            {
                await client.ExpectPubAcksAsync(++acknowledged[i]);
            }
        }
        int[] promised = [.. acknowledged];
        MemoryStorage left = _memory.Crash();
        await using EdgeBuffer reopened = Open(left);
        List<string> records = Records(reopened, "telemetry");
        for (int i = 0; i < clients.Length; i++)
        {
            string prefix = $"dev-{i}=";
            string[] numbers = [.. records.Where(r => r.StartsWith(prefix, StringComparison.Ordinal)).Select(r => r[prefix.Length..])];
            Assert.InRange(numbers.Length, promised[i], sent[i]);
            Assert.Equal(Enumerable.Range(1, numbers.Length).Select(n => $"{n}"), numbers);
        }
    }

    private static EdgeBuffer Open(IStorage storage) =>
        EdgeBuffer.Open(
            storage, Path, new EdgeBufferOptions { SegmentBytes = 1 << 20, MinFreeBytes = 0 }, TimeProvider.System,
            NullLoggerFactory.Instance);

    private static List<string> Records(EdgeBuffer buffer, string topic)
    {
        List<string> records = [];
        ForEachRecord(
            buffer, topic, (in record) => records.Add($"{Encoding.UTF8.GetString(record.Key)}={Encoding.UTF8.GetString(record.Value)}"));
        return records;
    }

    private static List<string> HeadersOfFirst(EdgeBuffer buffer, string topic)
    {
        List<string> headers = [];
        bool isFirst = true;
        ForEachRecord(buffer, topic, (in record) =>
        {
            HeaderReader reader = record.ReadHeaders();
            while (isFirst && reader.Read(out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value, out _))
            {
                headers.Add($"{Encoding.UTF8.GetString(key)}={Encoding.UTF8.GetString(value)}");
            }
            isFirst = false;
        });
        return headers;
    }

    private static void ForEachRecord(EdgeBuffer buffer, string topic, RecordAction action)
    {
        PartitionLog log = buffer.Partitions.Single(p => p.Topic == topic).Log;
        long offset = log.StartOffset;
        while (offset < log.FlushedEnd)
        {
            using LogRead read = log.Read(offset, 1 << 20, log.FlushedEnd);
            ReadOnlySpan<byte> bytes = read.Bytes.ToArray();
            while (!bytes.IsEmpty)
            {
                Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(bytes, out RecordBatch batch));
                var records = new RecordReader(batch.Payload, batch.RecordCount);
                while (records.Read(out Record record))
                {
                    action(record);
                }
                Assert.False(records.IsMalformed);
                bytes = bytes[batch.Size..];
            }
            offset = read.NextOffset;
        }
    }

    private delegate void RecordAction(in Record record);
}
