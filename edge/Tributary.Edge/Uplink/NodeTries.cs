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

    private readonly Backoff _backoff = new(options.FirstBackoff, options.MaxBackoff, options.StablePeriod, random);
    private readonly Backoff _refusedBackoff = new(TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(5), random);
    private TimeSpan _notBefore;

    /// <summary>The connection, or the try to make it; null before the first.</summary>
    public Task<KafkaNode>? Node { get; set; }

    /// <summary>What was last logged of it, and when.</summary>
    public (string Reason, TimeSpan At)? Told { get; set; }

    /// <summary>The connection if it stands, the try that is going on, or the last failure if none is due at <paramref name="now"/>.</summary>
    public Task<KafkaNode>? Take(TimeSpan now) =>
        Node is null ? null
        : !Node.IsCompleted ? Node
        : Node.IsCompletedSuccessfully ? Node.Result.Failure is null ? Node : null
        : now < _notBefore ? Node
        : null;

    /// <summary>A try failed.</summary>
    public void Failed(TimeSpan now, CloudException reason) =>
        _notBefore = now + (reason is CloudRefusedException ? LeastRefusedWait + _refusedBackoff.Next(now) : _backoff.Next(now));
}
