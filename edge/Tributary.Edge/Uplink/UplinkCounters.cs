namespace Tributary.Edge.Uplink;

/// <summary>What is counted over all partitions. Callable from any thread.</summary>
internal sealed class UplinkCounters
{
    private long _requests;
    private long _bytesSent;
    private long _lastAck;
    private long _acknowledged;
    private long _corrected;
    private long _estimated;
    private long _untrusted;
    private volatile string? _lastError;

    /// <summary>Produce requests answered.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>Bytes of produce requests sent.</summary>
    public long BytesSent => Interlocked.Read(ref _bytesSent);

    /// <summary>Why the last attempt failed, null if it did not.</summary>
    public string? LastError => _lastError;

    /// <summary>When the last batch was acknowledged, null if none was.</summary>
    public DateTimeOffset? LastAck =>
        Interlocked.Read(ref _lastAck) is > 0 and long ticks ? new DateTimeOffset(ticks, TimeSpan.Zero) : null;

    /// <summary>Records acknowledged whose time was not known when they were stored.</summary>
    public DatedCounts Dated => new(Interlocked.Read(ref _corrected), Interlocked.Read(ref _estimated), Interlocked.Read(ref _untrusted));

    /// <summary>A produce request was sent.</summary>
    public void Sent(long bytes) => Interlocked.Add(ref _bytesSent, bytes);

    /// <summary>A produce request was answered.</summary>
    public void Answered() => Interlocked.Increment(ref _requests);

    /// <summary>Records that were acknowledged.</summary>
    public long Acknowledged => Interlocked.Read(ref _acknowledged);

    /// <summary>A batch of so many records was acknowledged.</summary>
    public void Acked(DateTimeOffset now, int records, DatedCounts dated = default)
    {
        _lastError = null;
        Interlocked.Add(ref _acknowledged, records);
        Interlocked.Add(ref _corrected, dated.Corrected);
        Interlocked.Add(ref _estimated, dated.Estimated);
        Interlocked.Add(ref _untrusted, dated.Untrusted);
        Interlocked.Exchange(ref _lastAck, now.UtcTicks);
    }

    /// <summary>The cloud answered.</summary>
    public void Succeeded() => _lastError = null;

    /// <summary>Something failed.</summary>
    public void Failed(string reason) => _lastError = reason;
}
