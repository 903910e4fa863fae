namespace Tributary.Edge.Uplink;

/// <summary>
/// The connection to one node, and the pace of tries to make it: whoever asks while none is due hears of the last failure instead, so that
/// many partitions together try no more often than one. Guarded by the lock of <see cref="KafkaCloud"/>.
/// </summary>
/// <param name="options">Settings.</param>
/// <param name="random">Jitter.</param>
internal sealed class NodeTries(UplinkOptions options, Random random)
{
    /// <summary>The least wait after who we are, or who the node is, was not accepted; jitter comes on top.</summary>
    private static readonly TimeSpan LeastRefusedWait = TimeSpan.FromSeconds(5);

    /// <summary>Connections in a row that may end early before the next one has to wait.</summary>
    private const int ShortLives = 3;

    private readonly Backoff _backoff = new(options.FirstBackoff, options.MaxBackoff, options.StablePeriod, random);
    private readonly Backoff _refusedBackoff = new(TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(5), random);
    private TimeSpan _notBefore;
    private TimeSpan _connectedAt;
    private int _shortLives;

    /// <summary>The connection, or the try to make it; null before the first.</summary>
    public Task<KafkaNode>? Node { get; set; }

    /// <summary>What was last logged of it, and when.</summary>
    public (string Reason, TimeSpan At)? Told { get; set; }

    /// <summary>The connection if it stands, the try that is going on, or the last failure if none is due at <paramref name="now"/>.</summary>
    public Task<KafkaNode>? Take(TimeSpan now)
    {
        if (Node is { IsCompletedSuccessfully: true, Result.Failure: { } failure } ended)
        {
            Node = null;
            _shortLives = now - _connectedAt < options.StablePeriod ? _shortLives + 1 : 0;
            if (_shortLives > ShortLives)
            {
                // A node that lets everybody in and then ends it, again and again, is tried as one that lets nobody in.
                var reason = new CloudException($"{ended.Result.Endpoint}: {failure}");
                Failed(now, reason);
                Node = Task.FromException<KafkaNode>(reason);
            }
        }
        return Node is { IsCompleted: true, IsCompletedSuccessfully: false } && now >= _notBefore ? null : Node;
    }

    /// <summary>A try succeeded.</summary>
    public void Connected(TimeSpan now) => _connectedAt = now;

    /// <summary>A try failed.</summary>
    public void Failed(TimeSpan now, CloudException reason) =>
        _notBefore = now + (reason is CloudRefusedException ? LeastRefusedWait + _refusedBackoff.Next(now) : _backoff.Next(now));
}
