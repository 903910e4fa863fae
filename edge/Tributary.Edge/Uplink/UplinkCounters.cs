namespace Tributary.Edge.Uplink;

/// <summary>What is counted over all partitions. Callable from any thread.</summary>
internal sealed class UplinkCounters
{
    private long _requests;
    private long _bytesSent;
    private long _lastAck;
    private long _acknowledged;
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

    /// <summary>A produce request was sent.</summary>
    public void Sent(long bytes) => Interlocked.Add(ref _bytesSent, bytes);

    /// <summary>A produce request was answered.</summary>
    public void Answered() => Interlocked.Increment(ref _requests);

    /// <summary>Records that were acknowledged.</summary>
    public long Acknowledged => Interlocked.Read(ref _acknowledged);

    /// <summary>A batch of so many records was acknowledged.</summary>
    public void Acked(DateTimeOffset now, int records)
    {
        _lastError = null;
        Interlocked.Add(ref _acknowledged, records);
        Interlocked.Exchange(ref _lastAck, now.UtcTicks);
    }

    /// <summary>The cloud answered.</summary>
    public void Succeeded() => _lastError = null;

    /// <summary>Something failed.</summary>
    public void Failed(string reason) => _lastError = reason;
}
