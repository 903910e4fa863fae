using System.IO.Pipelines;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Tributary.Contracts.Limits;
using Tributary.Edge.Access;

namespace Tributary.Edge.Listeners;

/// <summary>
/// TLS in front of what a listener serves: a part of its chain of connection delegates. Kestrel's own part would complete the socket's
/// output only after the broker has let the connection go, and the broker waits for the socket's end before it does; and it tells nobody
/// why a handshake failed, which whoever installs certificates wants to know. Callable from any thread.
/// </summary>
internal sealed class TlsHandshakes(TlsCertificates certificates, AccessMetrics metrics, TimeProvider time, ILogger logger)
{
    private readonly LineLimit<Outcome> _lines = new(time);

    private enum Outcome
    {
        Failed,
    }

    /// <summary>Puts TLS in front of <paramref name="next"/>.</summary>
    public ConnectionDelegate Wrap(ConnectionDelegate next) => async connection =>
    {
        IDuplexPipe socket = connection.Transport;
        var inner = new TransportStream(socket) { IsSlow = true };
        var stream = new SslStream(inner, leaveInnerStreamOpen: true);
        if (!await TryShakeHandsAsync(connection, stream))
        {
            await stream.DisposeAsync();
            return;
        }
        inner.IsSlow = false;
        var transport = new TlsTransport(stream, socket);
        connection.Transport = transport;
        connection.Features.Set<ITlsConnectionFeature>(transport);
        NameUser(connection, transport.ClientCertificate);
        try
        {
            await next(connection);
        }
        finally
        {
            await transport.EndAsync();
            connection.Transport = socket;
        }
    };

    private async Task<bool> TryShakeHandsAsync(ConnectionContext connection, SslStream stream)
    {
        TlsOptions options = certificates.Options;
        using var timeout = new CancellationTokenSource(options.HandshakeTimeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(
            timeout.Token, connection.ConnectionClosed,
            connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? CancellationToken.None);
        try
        {
            await stream.AuthenticateAsServerAsync(certificates.Current.Server, either.Token);
            metrics.HandshakeEnded(isWell: true);
            return true;
        }
        catch (Exception e) when (e is AuthenticationException or IOException or OperationCanceledException or ConnectionAbortedException)
        {
            metrics.HandshakeEnded(isWell: false);
            string reason = e switch
            {
                OperationCanceledException when timeout.IsCancellationRequested => $"it took longer than {options.HandshakeTimeout} (tls:handshakeTimeout)",
                OperationCanceledException => "the connection was closed",
                _ => e.InnerException is { } inner ? $"{e.Message} {inner.Message}" : e.Message,
            };
            if (_lines.TryPass(Outcome.Failed, out string note))
            {
                logger.HandshakeFailed(connection.RemoteEndPoint?.ToString() ?? "", reason, note);
            }
            return false;
        }
    }

    private void NameUser(ConnectionContext connection, X509Certificate2? certificate)
    {
        if (certificate is not null && connection.Features.Get<ClientOrigin>() is { } origin)
        {
            connection.Features.Set(origin with { CertificateUser = TlsMaterial.UserOf(certificate, certificates.Options.CertificateUser) });
        }
    }
}
