using System.Buffers;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Support;
using Xunit;
using Record = Tributary.Contracts.Records.Record;

namespace Tributary.Tests.Edge.Ingest;

/// <summary>Ingest over a log in memory whose flushes the test steers.</summary>
internal sealed class IngestBench : IAsyncDisposable
{
    public const string Directory = "data";

    public static readonly EdgeBufferOptions SmallBuffer = new() { SegmentBytes = 256 << 10, MaxTopics = 4, MaxDiskBytes = 1L << 30 };

    public static readonly IngestOptions SmallIngest = new()
    {
        EdgeId = "e1",
        MaxBatchBytes = 16 << 10,
        MaxRecordBytes = 64 << 10,
        OfflineRetry = TimeSpan.FromMilliseconds(100),
    };

    private IngestBench(MemoryStorage memory, IngestOptions? ingest, EdgeBufferOptions? buffer, TimeProvider? time, RouteTable? routes)
    {
        Memory = memory;
        Storage = new SteeredStorage(memory);
        Buffer = EdgeBuffer.Open(Storage, Directory, buffer ?? SmallBuffer, time ?? Time, NullLoggerFactory.Instance);
        Ingestor = new Ingestor(routes ?? RouteTable.Default, Buffer, ingest ?? SmallIngest, time ?? Time, NullLoggerFactory.Instance);
    }

    public MemoryStorage Memory { get; }

    public SteeredStorage Storage { get; }

    public FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 5, 4, 3, 2, 1, TimeSpan.Zero));

    public EdgeBuffer Buffer { get; }

    public Ingestor Ingestor { get; }

    public static IngestBench Open(
        IngestOptions? ingest = null, EdgeBufferOptions? buffer = null, MemoryStorage? memory = null, TimeProvider? time = null,
        RouteTable? routes = null) =>
        new(memory ?? new MemoryStorage(), ingest, buffer, time, routes);

    public IngestTicket Accept(IngestClient client, string topic, string payload, ICommitListener listener) =>
        Ingestor.Accept(client, new IngestMessage(Encoding.UTF8.GetBytes(topic), Encoding.UTF8.GetBytes(payload)), listener);

    public PartitionLog Log(string topic, int index = 0) => Buffer.Partitions.Single(p => p.Topic == topic && p.Index == index).Log;

    /// <summary>What is durable in a local partition.</summary>
    public List<StoredRecord> Stored(string topic, int index = 0) => ReadAll(Log(topic, index));

    public static List<StoredRecord> ReadAll(PartitionLog log)
    {
        var records = new List<StoredRecord>();
        long offset = log.StartOffset;
        while (offset < log.FlushedEnd)
        {
            using LogRead read = log.Read(offset, 1 << 20, log.FlushedEnd);
            Assert.True(read.NextOffset > offset);
            ReadOnlySpan<byte> bytes = read.Bytes.ToArray();
            while (!bytes.IsEmpty)
            {
                Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(bytes, out RecordBatch batch));
                Assert.True(batch.IsCrcValid());
                AddRecords(batch, records);
                bytes = bytes[batch.Size..];
            }
            offset = read.NextOffset;
        }
        return records;
    }

    public async ValueTask DisposeAsync()
    {
        Storage.Release();
        await Buffer.DisposeAsync();
    }

    private static void AddRecords(RecordBatch batch, List<StoredRecord> records)
    {
        var reader = new RecordReader(batch.Payload, batch.RecordCount);
        while (reader.Read(out Record record))
        {
            var headers = new List<string>();
            HeaderReader header = record.ReadHeaders();
            while (header.Read(out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value, out _))
            {
                headers.Add($"{Encoding.UTF8.GetString(name)}={Encoding.UTF8.GetString(value)}");
            }
            Assert.False(header.IsMalformed);
            records.Add(new StoredRecord(
                batch.BaseOffset + record.OffsetDelta, batch.BaseOffset, batch.Size, batch.BaseTimestamp + record.TimestampDelta,
                Encoding.UTF8.GetString(record.Key), Encoding.UTF8.GetString(record.Value), string.Join(' ', headers)));
        }
        Assert.False(reader.IsMalformed);
    }
}

/// <summary>One record as it stands in the log, and the batch that it stands in.</summary>
internal sealed record StoredRecord(
    long Offset, long BatchOffset, int BatchSize, long Timestamp, string Key, string Value, string Headers);
