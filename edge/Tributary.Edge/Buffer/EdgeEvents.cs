using System.Buffers;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Tributary.Contracts.Records;
using Tributary.Edge.Clock;
using Tributary.Log;

namespace Tributary.Edge.Buffer;

/// <summary>Something that whoever reads the topics in the cloud should know of the way of a local partition's records.</summary>
/// <param name="Stamp">When it was noticed, as <see cref="EdgeClock.Stamp"/> tells it.</param>
/// <param name="Kind">A word: gap, refused, mayRepeat, partitionCount, stopped; clockTrusted, clockJump.</param>
/// <param name="Topic">Topic of the partition; empty if it is not about one.</param>
/// <param name="Partition">Number of the local partition.</param>
/// <param name="From">First local offset concerned, −1 if none.</param>
/// <param name="To">The local offset after the last one concerned, −1 if none.</param>
/// <param name="Records">Records concerned, as far as is known.</param>
/// <param name="Message">A sentence.</param>
internal sealed record EdgeEvent(
    long Stamp, string Kind, string Topic, int Partition, long From, long To, long Records, string Message);

/// <summary>
/// Sends events to a topic of their own, as records of the buffer like any other: the key is the agent's name, the value one object of
/// JSON. What could not be stored is kept in memory and tried again, the latest <see cref="MostWaiting"/>; a crash before loses it, and
/// the totals in the checkpoints remain. An event may be stored twice: it says the same then. Callable from any thread.
/// </summary>
internal sealed class EdgeEvents(EdgeBuffer buffer, string edgeId, ILogger logger)
{
    /// <summary>Most events that wait for the disk.</summary>
    public const int MostWaiting = 1024;

    private const int MaxMessageLength = 1024;

    /// <summary>Size at which a batch is closed: with one more event it fits the smallest segment.</summary>
    private const int FullBatch = 32 << 10;

    private const string RefusedKind = "refused";
    private readonly byte[] _key = Encoding.UTF8.GetBytes(edgeId);
    private readonly Lock _lock = new();
    private readonly Queue<EdgeEvent> _waiting = new();
    private Task _storing = Task.CompletedTask;
    private bool _hasFailed;

    /// <summary>Notes an event; <see cref="StoreAsync"/> stores it.</summary>
    public void Add(EdgeEvent what)
    {
        // An event that is refused must not make another one, which is refused as well.
        bool isOfItself = what.Topic == buffer.Options.EventsTopic && what.Kind == RefusedKind;
        if (buffer.Options.EventsTopic.Length == 0 || isOfItself)
        {
            return;
        }
        lock (_lock)
        {
            if (_waiting.Count == MostWaiting)
            {
                _waiting.Dequeue();
            }
            _waiting.Enqueue(what);
        }
    }

    /// <summary>Returns when what was noted, by whomever it is stored, is durable, or can't be stored now.</summary>
    public ValueTask StoreAsync()
    {
        lock (_lock)
        {
            if (_waiting.Count == 0 && _storing.IsCompleted)
            {
                return ValueTask.CompletedTask;
            }
            if (_waiting.Count > 0)
            {
                _storing = StoreAfterAsync(_storing);
            }
            return new ValueTask(_storing);
        }
    }

    private async Task StoreAfterAsync(Task before)
    {
        // Nothing here happens under the caller's lock.
        await before.ConfigureAwait(ConfigureAwaitOptions.ForceYielding | ConfigureAwaitOptions.SuppressThrowing);
        EdgeEvent[] events;
        lock (_lock)
        {
            events = [.. _waiting];
            _waiting.Clear();
        }
        if (events.Length == 0)
        {
            return;
        }
        int stored = 0;
        try
        {
            BufferPartition partition = buffer.OpenPartition(buffer.Options.EventsTopic, 0);
            PartitionLog log = partition.Log;
            while (stored < events.Length)
            {
                using RecordBatchBuilder builder = Build(events.AsSpan(stored));
                AppendResult added = log.Append(builder.Build(BatchProducer.None).Span);
                if (added.Error != AppendError.None)
                {
                    throw new LogException(log.OfflineReason ?? $"the log refused a batch: {added.Error}");
                }
                if (events.Skip(stored).Take(builder.Count).Any(what => BootStamp.IsIn(what.Stamp)))
                {
                    partition.NoteUndated(added.BaseOffset, added.LastOffset + 1);
                }
                await log.WaitFlushedAsync(added);
                partition.ToldEnd = Math.Max(partition.ToldEnd, added.LastOffset + 1); // nobody else waits for records of this topic
                stored += builder.Count;
            }
            _hasFailed = false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            lock (_lock)
            {
                EdgeEvent[] later = [.. _waiting];
                _waiting.Clear();
                Array.ForEach([.. events.Skip(stored).Concat(later).TakeLast(MostWaiting)], _waiting.Enqueue);
            }
            if (!_hasFailed)
            {
                _hasFailed = true;
                logger.EventsNotStored(events.Length - stored, e.Message);
            }
        }
    }

    /// <summary>A batch of the first of them.</summary>
    private RecordBatchBuilder Build(ReadOnlySpan<EdgeEvent> events)
    {
        var builder = new RecordBatchBuilder();
        var value = new ArrayBufferWriter<byte>();
        foreach (EdgeEvent what in events)
        {
            value.ResetWrittenCount();
            Write(value, what);
            builder.Add(what.Stamp, _key, value.WrittenSpan, EncodedHeaders.None);
            if (builder.Size >= FullBatch)
            {
                break;
            }
        }
        return builder;
    }

    private void Write(ArrayBufferWriter<byte> to, EdgeEvent what)
    {
        using var json = new Utf8JsonWriter(to);
        json.WriteStartObject();
        if (!BootStamp.IsIn(what.Stamp))
        {
            json.WriteString("at"u8, DateTimeOffset.FromUnixTimeMilliseconds(what.Stamp).UtcDateTime); // else the record's timestamp will say it
        }
        json.WriteString("edge"u8, edgeId);
        json.WriteString("event"u8, what.Kind);
        if (what.Topic.Length > 0)
        {
            json.WriteString("topic"u8, what.Topic);
            json.WriteNumber("partition"u8, what.Partition);
        }
        if (what.From >= 0)
        {
            json.WriteNumber("from"u8, what.From);
            json.WriteNumber("to"u8, what.To);
        }
        if (what.Topic.Length > 0)
        {
            json.WriteNumber("records"u8, what.Records);
        }
        json.WriteString("message"u8, what.Message.Length <= MaxMessageLength ? what.Message : what.Message[..MaxMessageLength]);
        json.WriteEndObject();
    }
}
