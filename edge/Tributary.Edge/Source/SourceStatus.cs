namespace Tributary.Edge.Source;

/// <summary>Why a message of the broker was given up.</summary>
internal enum SourceDropReason
{
    /// <summary>It was larger than a record may be: acknowledged, or the broker would send it for ever.</summary>
    TooLarge,

    /// <summary>Its topic is longer, or has more levels, than is allowed: acknowledged too.</summary>
    TopicName,

    /// <summary>It came with QoS 0 when the disk took nothing.</summary>
    NoRoom,
}

/// <summary>The way from the broker that is there, as pages show it.</summary>
/// <param name="Broker">HOST:PORT as it was set.</param>
/// <param name="Connected">Whether the agent is subscribed now.</param>
/// <param name="Refused">Filters that the broker did not accept.</param>
/// <param name="LastError">Why it is not connected, or what was not right last; null if nothing was.</param>
/// <param name="Waits">Why messages wait and are not acknowledged, null if they don't.</param>
/// <param name="InFlight">Messages that have come and are not acknowledged.</param>
/// <param name="Received">Messages that came.</param>
/// <param name="Acknowledged">Messages that were acknowledged after their flush.</param>
/// <param name="Connections">Connections that were made.</param>
/// <param name="SessionsLost">Times that the broker had forgotten the session, and with it what came meanwhile.</param>
/// <param name="Dropped">Messages that were given up, by reason; reasons without any are left out.</param>
internal sealed record SourceStatus(
    string Broker, bool Connected, IReadOnlyList<string> Refused, string? LastError, string? Waits, long InFlight, long Received,
    long Acknowledged, long Connections, long SessionsLost, IReadOnlyDictionary<string, long> Dropped);

/// <summary>Counts what comes from the broker. Callable from any thread.</summary>
internal sealed class SourceCounters
{
    private readonly long[] _dropped = new long[Enum.GetValues<SourceDropReason>().Length];
    private long _received;
    private long _acknowledged;
    private long _inFlight;
    private long _connections;
    private long _sessionsLost;

    public long Received => Interlocked.Read(ref _received);

    public long Acknowledged => Interlocked.Read(ref _acknowledged);

    public long InFlight => Interlocked.Read(ref _inFlight);

    public long Connections => Interlocked.Read(ref _connections);

    public long SessionsLost => Interlocked.Read(ref _sessionsLost);

    public long Dropped(SourceDropReason reason) => Interlocked.Read(ref _dropped[(int)reason]);

    public void Receive() => Interlocked.Increment(ref _received);

    public void Acknowledge() => Interlocked.Increment(ref _acknowledged);

    public void Fly(long change) => Interlocked.Add(ref _inFlight, change);

    public void Connect() => Interlocked.Increment(ref _connections);

    public void LoseSession() => Interlocked.Increment(ref _sessionsLost);

    public void Drop(SourceDropReason reason) => Interlocked.Increment(ref _dropped[(int)reason]);
}
