using Microsoft.Extensions.Logging;
using Tributary.Contracts.Records;
using Tributary.Edge.Buffer;
using Tributary.Edge.Clock;
using Tributary.Log;

namespace Tributary.Edge.Uplink;

/// <summary>
/// Brings the records of one local partition that the cloud refused for good among the dead letters, before a checkpoint passes over them.
/// Used by the partition's loop alone. A crash between the two may keep a record twice.
/// </summary>
/// <param name="partition">The partition.</param>
/// <param name="source">Its log.</param>
/// <param name="letters">Where they are kept.</param>
/// <param name="readBytes">How much of the log is read at a time.</param>
/// <param name="kept">Local offsets that the checkpoint says were refused before: they are among the dead letters.</param>
/// <param name="clock">Tells the times of records that were stored without.</param>
/// <param name="logger">Where it is told if one can't be kept.</param>
internal sealed class RefusedRecords(
    BufferPartition partition, IUplinkSource source, DeadLetters letters, int readBytes, IEnumerable<long> kept, EdgeClock clock,
    ILogger logger)
{
    private readonly HashSet<long> _kept = [.. kept];
    private readonly Dictionary<long, string> _reasons = [];

    /// <summary>Why the record at a local offset was refused.</summary>
    public void Explain(long offset, string reason) => _reasons[offset] = reason;

    /// <summary>Returns when all that are refused are durable among the dead letters.</summary>
    /// <exception cref="IOException">One could not be kept now.</exception>
    public async ValueTask KeepAsync(IReadOnlyList<long> refused)
    {
        foreach (long offset in refused.Where(offset => !_kept.Contains(offset)))
        {
            await KeepAsync(offset);
        }
        _kept.IntersectWith(refused);
    }

    private async ValueTask KeepAsync(long offset)
    {
        var keeping = new Keeping(letters, partition, clock, _reasons.GetValueOrDefault(offset, "the cloud refused it for good"));
        using (var scanner = new RecordScanner(source, readBytes))
        {
            scanner.Scan(offset, offset + 1, keeping);
        }
        if (keeping.Added is { } added)
        {
            await letters.FlushAsync(added);
        }
        else
        {
            logger.DeadLetterUnreadable(partition.Topic, partition.Index, offset);
        }
        _kept.Add(offset);
        _reasons.Remove(offset);
    }

    /// <summary>Adds the one record of a scan to the dead letters.</summary>
    private sealed class Keeping(DeadLetters letters, BufferPartition partition, EdgeClock clock, string reason) : IRecordVisitor
    {
        public AppendResult? Added { get; private set; }

        public bool Visit(long offset, long timestamp, in Record record)
        {
            clock.TryDate(timestamp, asTold: true, out RecordTime time);
            Added = letters.Add(partition, offset, time.Timestamp, record, reason);
            return true;
        }
    }
}
