namespace Tributary.Log.Compaction;

/// <summary>Settings of a compactor.</summary>
public sealed record LogCompactorOptions
{
    private const int SmallestKeyMap = 1 << 10;

    /// <summary>
    /// Most bytes that the map of keys takes, at 32 for each key (<c>log.cleaner.dedupe.buffer.size</c>). A log with more keys than fit is
    /// compacted in several passes.
    /// </summary>
    public long KeyMapBytes { get; init; } = 32 << 20;

    /// <summary>Most bytes per second that are read and written, both counted (<c>log.cleaner.io.max.bytes.per.second</c>).</summary>
    public long BytesPerSecond { get; init; } = long.MaxValue;

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentOutOfRangeException">One is out of range; the exception names it.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(KeyMapBytes, SmallestKeyMap);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(BytesPerSecond);
    }
}

/// <summary>How a round of compaction ended.</summary>
public enum CompactionOutcome
{
    /// <summary>There was nothing to do.</summary>
    Nothing,

    /// <summary>It was done, as far as the map of keys reached.</summary>
    Done,

    /// <summary>The log was trimmed, cut, damaged or closed meanwhile; what was done until then stays, and the rest is for a later round.</summary>
    GivenUp,
}

/// <summary>What a round of compaction did.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="CleanOffset">Up to where the log is compacted.</param>
/// <param name="RemovedRecords">Records that were taken out, markers included.</param>
/// <param name="BytesBefore">Bytes of the segments that were looked at.</param>
/// <param name="BytesAfter">Bytes of those that are there instead.</param>
public readonly record struct CompactionResult(
    CompactionOutcome Outcome, long CleanOffset, long RemovedRecords, long BytesBefore, long BytesAfter);

/// <summary>
/// Compacts logs, one at a time: a first walk over what was not compacted yet takes note of the last offset of each key, a second one, from
/// the log's start on, copies what stays into new segments, which take the place of the old ones. Reads and writes beside whoever appends
/// and reads, with as much memory as its settings allow whatever the number of keys. Used by one thread; the counters may be read by any.
/// A crash leaves the log as it was or with some of its segments replaced; the next round begins anew.
/// </summary>
public sealed class LogCompactor
{
    private readonly KeyMap _keys;
    private readonly ByteThrottle _throttle;
    private long _bytesRead;
    private long _bytesWritten;

    /// <exception cref="ArgumentOutOfRangeException">A setting is out of range.</exception>
    public LogCompactor(LogCompactorOptions options, TimeProvider time)
    {
        options.Validate();
        _keys = new KeyMap(options.KeyMapBytes);
        _throttle = new ByteThrottle(options.BytesPerSecond, time);
    }

    /// <summary>Bytes that were read.</summary>
    public long BytesRead => Interlocked.Read(ref _bytesRead);

    /// <summary>Bytes that were written.</summary>
    public long BytesWritten => Interlocked.Read(ref _bytesWritten);

    /// <summary>Bytes that the map of keys holds now.</summary>
    internal long KeyBytes => _keys.Bytes;

    /// <summary>Does one round, if the log's policy asks for it.</summary>
    /// <param name="log">The log.</param>
    /// <param name="upTo">Its last stable offset: what lies above isn't touched.</param>
    /// <param name="cancellation">Ends it early; what was done stays.</param>
    /// <exception cref="IOException">The disk failed; the log is whole.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public CompactionResult Compact(PartitionLog log, long upTo, CancellationToken cancellation)
    {
        if (log.BeginCompaction(upTo) is not { } plan)
        {
            return new CompactionResult(CompactionOutcome.Nothing, log.CleanOffset, 0, 0, 0);
        }
        try
        {
            using var round = new CompactionRound(log, plan, _keys, this, cancellation);
            return round.Run();
        }
        catch (Exception e) when (e is CompactionGivenUpException or FileNotFoundException || (e is IOException && log.IsOutdated(plan)))
        {
            return new CompactionResult(CompactionOutcome.GivenUp, log.CleanOffset, 0, 0, 0);
        }
        finally
        {
            log.EndCompaction();
        }
    }

    /// <summary>Gives the memory of the map back, when there is nothing to do for a while.</summary>
    public void Rest() => _keys.Release();

    internal void NoteRead(int bytes, CancellationToken cancellation)
    {
        Interlocked.Add(ref _bytesRead, bytes);
        _throttle.Pass(bytes, cancellation);
    }

    internal void NoteWritten(int bytes, CancellationToken cancellation)
    {
        Interlocked.Add(ref _bytesWritten, bytes);
        _throttle.Pass(bytes, cancellation);
    }
}
