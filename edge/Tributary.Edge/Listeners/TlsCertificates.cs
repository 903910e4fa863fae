using Microsoft.Extensions.Logging;
using Tributary.Edge.Access;

namespace Tributary.Edge.Listeners;

/// <summary>
/// The certificates in force: those of the files, which are looked at now and then. Files that can't be used change nothing, so that a
/// certificate that was replaced before its key does no harm. Connections keep what they began with. Callable from any thread.
/// </summary>
internal sealed class TlsCertificates : IDisposable
{
    private readonly AccessMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly FileWatch _watch;
    private volatile TlsMaterial _current;

    /// <exception cref="TlsException">A file can't be used.</exception>
    public TlsCertificates(TlsOptions options, TimeSpan checkInterval, AccessMetrics metrics, TimeProvider time, ILogger logger)
    {
        Options = options;
        _metrics = metrics;
        _time = time;
        _logger = logger;
        string?[] files = [options.CertificateFile, options.KeyFile, options.ClientCaFile];
        // First the stamps, then the content: a change in between is seen as one.
        _watch = new FileWatch([.. files.OfType<string>()], checkInterval, time, logger);
        _current = TlsMaterial.Load(options);
        Tell(_current);
        _watch.Start(Reload);
    }

    /// <summary>Where they come from.</summary>
    public TlsOptions Options { get; }

    /// <summary>What the next handshake takes.</summary>
    public TlsMaterial Current => _current;

    /// <inheritdoc/>
    public void Dispose() => _watch.Dispose();

    private void Reload()
    {
        try
        {
            _current = TlsMaterial.Load(Options);
        }
        catch (TlsException e)
        {
            _metrics.CertificatesReloaded(wasTaken: false);
            _logger.CertificateNotTaken(e.Message);
            return;
        }
        _metrics.CertificatesReloaded(wasTaken: true);
        Tell(_current);
    }

    private void Tell(TlsMaterial material)
    {
        if (material.ExpiresAt > _time.GetUtcNow().UtcDateTime)
        {
            _logger.CertificateTaken(material.Subject, material.ExpiresAt);
        }
        else
        {
            _logger.CertificateExpired(material.Subject, material.ExpiresAt);
        }
    }
}
