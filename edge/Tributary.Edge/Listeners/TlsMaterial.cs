using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Tributary.Edge.Listeners;

/// <summary>What handshakes need, loaded from PEM files. Immutable; used by many handshakes at a time.</summary>
/// <param name="Server">Options of a handshake.</param>
/// <param name="Subject">Subject of the agent's certificate.</param>
/// <param name="ExpiresAt">When it expires.</param>
internal sealed record TlsMaterial(SslServerAuthenticationOptions Server, string Subject, DateTime ExpiresAt)
{
    /// <summary>id-kp-clientAuth (RFC 5280, 4.2.1.12).</summary>
    private const string ClientPurpose = "1.3.6.1.5.5.7.3.2";

    /// <summary>Loads the files.</summary>
    /// <exception cref="TlsException">One can't be read or used; the message names it.</exception>
    public static TlsMaterial Load(TlsOptions options)
    {
        SslStreamCertificateContext context = PemFiles.Certificate(options.CertificateFile, "tls:certificateFile", options.KeyFile, "tls:keyFile");
        var server = new SslServerAuthenticationOptions
        {
            ServerCertificateContext = context,
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            EncryptionPolicy = EncryptionPolicy.RequireEncryption,
            AllowRenegotiation = false,
        };
        if (options.ClientCaFile is { } authorities)
        {
            server.ClientCertificateRequired = true; // asks for it; whether it must come is for the callback
            server.CertificateChainPolicy = ClientPolicy(authorities);
            server.RemoteCertificateValidationCallback = options.ClientCertificates == ClientCertificates.Optional
                ? static (_, certificate, _, errors) => certificate is null || errors == SslPolicyErrors.None
                : static (_, _, _, errors) => errors == SslPolicyErrors.None;
        }
        return new TlsMaterial(server, context.TargetCertificate.Subject, context.TargetCertificate.NotAfter.ToUniversalTime());
    }

    /// <summary>The user that a client's certificate names, null if it names none.</summary>
    public static string? UserOf(X509Certificate2 certificate, CertificateUser from) => from switch
    {
        CertificateUser.Subject => NotEmpty(certificate.Subject),
        CertificateUser.DnsName => certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>()
            .SelectMany(names => names.EnumerateDnsNames()).FirstOrDefault(),
        _ => NotEmpty(CommonNameOf(certificate.SubjectName)),
    };

    private static string? NotEmpty(string? name) => string.IsNullOrEmpty(name) ? null : name;

    private static string? CommonNameOf(X500DistinguishedName name)
    {
        const string CommonName = "2.5.4.3";
        // Of several, the last in the file is the most specific one: it comes first here.
        return name.EnumerateRelativeDistinguishedNames()
            .Where(part => !part.HasMultipleElements && part.GetSingleElementType().Value == CommonName)
            .Select(part => part.GetSingleElementValue()).FirstOrDefault();
    }

    private static X509ChainPolicy ClientPolicy(string path)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.ApplicationPolicy.Add(new Oid(ClientPurpose));
        policy.CustomTrustStore.AddRange(PemFiles.Authorities(path, "tls:clientCaFile"));
        return policy;
    }
}

/// <summary>A certificate or key can't be used; the message names file, setting and reason.</summary>
internal sealed class TlsException(string message, Exception? inner = null) : Exception(message, inner);
