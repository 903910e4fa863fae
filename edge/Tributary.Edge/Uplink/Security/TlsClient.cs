using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;
using Tributary.Edge.Listeners;

namespace Tributary.Edge.Uplink.Security;

/// <summary>
/// Begins TLS 1.2 or 1.3 on connections to nodes. The files are read for each connection, so that renewed ones count without a restart; if
/// they can't be used any more the former ones go on, so that a certificate that is replaced before its key does no harm. Callable from any
/// thread.
/// </summary>
/// <param name="options">Settings.</param>
/// <param name="time">What the device's clock says, for explanations: the checks themselves are the system's.</param>
/// <param name="logger">Where it is told that files can't be used.</param>
internal sealed class TlsClient(UplinkTlsOptions options, TimeProvider time, ILogger logger)
{
    /// <summary>id-kp-serverAuth (RFC 5280, 4.2.1.12).</summary>
    private const string ServerPurpose = "1.3.6.1.5.5.7.3.1";

    private readonly Lock _lock = new();
    private Material? _current;
    private string? _told;

    /// <summary>Makes the handshake.</summary>
    /// <param name="transport">The connection, which the result owns.</param>
    /// <param name="endpoint">Who is at its other end.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="CloudRefusedException">The node's certificate is not accepted, or a file of ours can't be used.</exception>
    /// <exception cref="CloudException">The handshake failed otherwise.</exception>
    public async Task<SslStream> HandshakeAsync(FirstBytesStream transport, NodeEndpoint endpoint, CancellationToken cancellation)
    {
        Material material = Take();
        string expected = options.ServerName ?? endpoint.Host;
        string? fault = null;
        var stream = new SslStream(transport, leaveInnerStreamOpen: false);
        try
        {
            var handshake = new SslClientAuthenticationOptions
            {
                TargetHost = expected,
                EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
                EncryptionPolicy = EncryptionPolicy.RequireEncryption,
                AllowRenegotiation = false,
                ClientCertificateContext = material.Own,
                CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
                CertificateChainPolicy = PolicyOf(material),
                RemoteCertificateValidationCallback = (_, certificate, chain, errors) =>
                {
                    if (errors != SslPolicyErrors.None)
                    {
                        fault = CertificateFault.Explain(expected, options, certificate as X509Certificate2, chain, errors, time.GetUtcNow());
                    }
                    return errors == SslPolicyErrors.None;
                },
            };
            await stream.AuthenticateAsClientAsync(handshake, cancellation);
            return stream;
        }
        catch (Exception e)
        {
            await stream.DisposeAsync();
            if (fault is not null)
            {
                throw new CloudRefusedException($"{endpoint} is not trusted: {fault}", e);
            }
            if (e is not (AuthenticationException or IOException or CryptographicException or InvalidOperationException))
            {
                throw;
            }
            throw new CloudException($"the TLS handshake with {endpoint} failed: {Reason(transport, e)}", e);
        }
    }

    private string Reason(FirstBytesStream transport, Exception failure) =>
        OtherProtocol.Explain(transport.First, isTls: true) is { } other ? other
        : transport.First.IsEmpty
            ? "it closed the connection: its port may be one without TLS (setting uplink:tls:enabled)"
        : failure.InnerException is { } inner ? $"{inner.Message}{OwnHint()}"
        : $"{failure.Message}{OwnHint()}";

    private string OwnHint() => options.CertificateFile is null
        ? " (it may want a certificate of the agent: setting uplink:tls:certificateFile)"
        : " (it may not accept the agent's certificate: setting uplink:tls:certificateFile)";

    private static X509ChainPolicy PolicyOf(Material material)
    {
        var policy = new X509ChainPolicy
        {
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.ApplicationPolicy.Add(new Oid(ServerPurpose));
        if (material.Authorities is { } authorities)
        {
            policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            policy.CustomTrustStore.AddRange(authorities);
        }
        return policy;
    }

    private Material Take()
    {
        lock (_lock)
        {
            try
            {
                _current = new Material(
                    options.CaFile is { } ca ? PemFiles.Authorities(ca, "uplink:tls:caFile") : null,
                    options.CertificateFile is { } own
                        ? PemFiles.Certificate(own, "uplink:tls:certificateFile", options.KeyFile!, "uplink:tls:keyFile")
                        : null);
                _told = null;
            }
            catch (TlsException e) when (_current is null)
            {
                throw new CloudRefusedException(e.Message, e);
            }
            catch (TlsException e)
            {
                if (_told != e.Message)
                {
                    _told = e.Message;
                    logger.UplinkTlsFilesNotTaken(e.Message);
                }
            }
            return _current!;
        }
    }

    private sealed record Material(X509Certificate2Collection? Authorities, SslStreamCertificateContext? Own);
}
