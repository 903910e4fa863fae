namespace Tributary.Broker.Gateway.Handlers;

/// <summary>How long an administrator's request may take: as long as it says, up to the broker's limit, and while its client is there.</summary>
internal sealed class AdminLimit : IDisposable
{
    private readonly CancellationTokenSource _timer;
    private readonly CancellationTokenSource _both;

    /// <param name="broker">The broker.</param>
    /// <param name="timeoutMs">What the request says, milliseconds.</param>
    /// <param name="cancellation">The client has gone.</param>
    public AdminLimit(BrokerContext broker, int timeoutMs, CancellationToken cancellation)
    {
        TimeSpan most = broker.Options.MaxCreateWait;
        var asked = TimeSpan.FromMilliseconds(Math.Max(timeoutMs, 0));
        _timer = new CancellationTokenSource(asked < most ? asked : most, broker.Time);
        _both = CancellationTokenSource.CreateLinkedTokenSource(_timer.Token, cancellation);
    }

    /// <summary>Cancelled when the time is over or the client has gone.</summary>
    public CancellationToken Token => _both.Token;

    /// <inheritdoc/>
    public void Dispose()
    {
        _both.Dispose();
        _timer.Dispose();
    }
}
