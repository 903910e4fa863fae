using System.Buffers;
using System.Globalization;
using System.Text;
using Tributary.Contracts.Records;
using Tributary.Log;

namespace Tributary.Edge.Buffer;

/// <summary>A record that the cloud refused for good.</summary>
/// <param name="Number">Its number among the dead letters, from 0.</param>
/// <param name="Topic">Kafka topic that it was for.</param>
/// <param name="Partition">Local partition that it was in.</param>
/// <param name="Offset">Its local offset there.</param>
/// <param name="Reason">Why it was refused.</param>
/// <param name="Time">Its timestamp.</param>
/// <param name="Key">Its key.</param>
/// <param name="Headers">Its headers, as it had them.</param>
/// <param name="Value">Its value.</param>
internal sealed record DeadLetter(
    long Number, string Topic, int Partition, long Offset, string Reason, DateTimeOffset Time, byte[] Key,
    IReadOnlyList<KeyValuePair<string, byte[]>> Headers, byte[] Value);

/// <summary>
/// Keeps what the cloud refused for good: a log of its own in the data directory, of which the oldest part is given up beyond a limit. A
/// record is durable here before the uplink passes over it; a crash between the two may keep it twice. Callable from any thread.
/// </summary>
internal sealed class DeadLetters
{
    /// <summary>Name of the directory: no partition of a topic can have it.</summary>
    public const string DirectoryName = "dead-letters";

    /// <summary>Room for what a record gets on top.</summary>
    private const int HeadersRoom = 4 << 10;

    private const int MaxReasonLength = 1024;
    private const string TopicHeader = "refused.topic";
    private const string PartitionHeader = "refused.partition";
    private const string OffsetHeader = "refused.offset";
    private const string ReasonHeader = "refused.reason";

    private readonly LogDirectory _directory;
    private readonly EdgeBufferOptions _options;
    private readonly Lock _lock = new();
    private volatile PartitionLog? _log;

    /// <param name="directory">The log directory.</param>
    /// <param name="options">Settings of the buffer.</param>
    /// <exception cref="IOException">There are some and they can't be opened.</exception>
    public DeadLetters(LogDirectory directory, EdgeBufferOptions options)
    {
        _directory = directory;
        _options = options;
        if (directory.List().Contains(DirectoryName))
        {
            Open();
        }
    }

    /// <summary>Number of the first one that is still held.</summary>
    public long First => _log?.StartOffset ?? 0;

    /// <summary>Number that the next one gets.</summary>
    public long Next => _log?.FlushedEnd ?? 0;

    /// <summary>Bytes on disk.</summary>
    public long SizeBytes => _log?.SizeBytes ?? 0;

    /// <summary>Adds a record.</summary>
    /// <returns>What <see cref="FlushAsync"/> asks for.</returns>
    /// <exception cref="IOException">It can't be kept now.</exception>
    public AppendResult Add(BufferPartition from, long offset, long timestamp, in Record record, string reason)
    {
        PartitionLog log = Open();
        var headers = new EncodedHeaders(
        [
            new(TopicHeader, Encoding.UTF8.GetBytes(from.Topic)),
            new(PartitionHeader, Encoding.UTF8.GetBytes(from.Index.ToString(CultureInfo.InvariantCulture))),
            new(OffsetHeader, Encoding.UTF8.GetBytes(offset.ToString(CultureInfo.InvariantCulture))),
            new(ReasonHeader, Encoding.UTF8.GetBytes(reason.Length <= MaxReasonLength ? reason : reason[..MaxReasonLength])),
        ]);
        using var builder = new RecordBatchBuilder();
        builder.Add(
            timestamp, record.Key, record.HasKey, record.Value, record.HasValue, [.. record.EncodedHeaders, .. headers.Bytes.Span],
            record.HeaderCount + headers.Count);
        AppendResult result = log.Append(builder.Build(BatchProducer.None).Span);
        return result.Error == AppendError.None
            ? result
            : throw new LogException(log.OfflineReason ?? $"the dead letters took no record: {result.Error}");
    }

    /// <summary>Completes when a record that was added is durable.</summary>
    /// <exception cref="IOException">It could not be written.</exception>
    public async ValueTask FlushAsync(AppendResult added)
    {
        PartitionLog log = Open();
        await log.WaitFlushedAsync(added);
        log.ApplyRetention();
    }

    /// <summary>The dead letters from number <paramref name="from"/> on, some at a time.</summary>
    /// <exception cref="IOException">They can't be read now.</exception>
    public IReadOnlyList<DeadLetter> Read(long from, int maxBytes)
    {
        var letters = new List<DeadLetter>();
        if (_log is not { } log)
        {
            return letters;
        }
        using LogRead read = log.Read(Math.Clamp(from, log.StartOffset, log.FlushedEnd), maxBytes, log.FlushedEnd);
        ReadOnlySpan<byte> bytes = read.Bytes.ToArray();
        while (RecordBatch.TryRead(bytes, out RecordBatch batch) == BatchStatus.Ok && batch.IsCrcValid())
        {
            var records = new RecordReader(batch.Payload, batch.RecordCount);
            while (records.Read(out Record record))
            {
                if (batch.BaseOffset + record.OffsetDelta >= from)
                {
                    letters.Add(Decode(batch.BaseOffset + record.OffsetDelta, batch.BaseTimestamp + record.TimestampDelta, record));
                }
            }
            bytes = bytes[batch.Size..];
        }
        return letters;
    }

    private static DeadLetter Decode(long number, long timestamp, in Record record)
    {
        var own = new Dictionary<string, string>();
        var headers = new List<KeyValuePair<string, byte[]>>();
        HeaderReader reader = record.ReadHeaders();
        for (int left = record.HeaderCount; reader.Read(out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value, out _); left--)
        {
            string name = Encoding.UTF8.GetString(key);
            // The last four are ours, whatever the record had before.
            if (left <= 4)
            {
                own[name] = Encoding.UTF8.GetString(value);
            }
            else
            {
                headers.Add(new(name, value.ToArray()));
            }
        }
        return new DeadLetter(
            number, own.GetValueOrDefault(TopicHeader, ""), Number<int>(own, PartitionHeader), Number<long>(own, OffsetHeader),
            own.GetValueOrDefault(ReasonHeader, ""), DateTimeOffset.FromUnixTimeMilliseconds(timestamp), record.Key.ToArray(), headers,
            record.Value.ToArray());
    }

    private static T Number<T>(Dictionary<string, string> headers, string name)
        where T : struct, IParsable<T> =>
        headers.TryGetValue(name, out string? text) && T.TryParse(text, CultureInfo.InvariantCulture, out T number) ? number : default;

    private PartitionLog Open()
    {
        lock (_lock)
        {
            return _log ??= _directory.OpenPartition(DirectoryName, new PartitionLogOptions
            {
                SegmentBytes = _options.SegmentBytes + HeadersRoom,
                MaxBatchBytes = _options.SegmentBytes + HeadersRoom,
                RetentionBytes = _options.DeadLetterBytes,
                MaxLeaderEpoch = 0,
            });
        }
    }
}
