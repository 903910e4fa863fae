using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Tributary.Conformance.Harness;

/// <summary>A certificate authority of a test, which signs certificates for servers and clients.</summary>
internal sealed class Certificates : IDisposable
{
    private const string ServerPurpose = "1.3.6.1.5.5.7.3.1";
    private const string ClientPurpose = "1.3.6.1.5.5.7.3.2";
    private readonly X509Certificate2 _authority;

    public Certificates(string name = "Test CA")
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        _authority = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(10));
    }

    /// <summary>The authority's own certificate.</summary>
    public X509Certificate2 Authority => _authority;

    /// <summary>The same in PEM.</summary>
    public string AuthorityPem => _authority.ExportCertificatePem();

    /// <summary>A certificate for a server at localhost.</summary>
    public (string Certificate, string Key) Server(string name = "localhost") => Sign($"CN={name}", ServerPurpose, true);

    /// <summary>A certificate for a server of one name, valid from one time from now to another.</summary>
    public (string Certificate, string Key) Server(string name, TimeSpan from, TimeSpan until)
    {
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        return Sign($"CN={name}", ServerPurpose, names, DateTimeOffset.UtcNow + from, DateTimeOffset.UtcNow + until);
    }

    /// <summary>A certificate for a client.</summary>
    public (string Certificate, string Key) Client(string subject) => Sign(subject, ClientPurpose, false);

    /// <inheritdoc/>
    public void Dispose() => _authority.Dispose();

    private (string Certificate, string Key) Sign(string subject, string purpose, bool isServer)
    {
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(isServer ? "localhost" : "device.example");
        if (isServer)
        {
            names.AddIpAddress(IPAddress.Loopback);
        }
        return Sign(subject, purpose, names, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(5));
    }

    private (string Certificate, string Key) Sign(
        string subject, string purpose, SubjectAlternativeNameBuilder names, DateTimeOffset from, DateTimeOffset until)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(purpose)], false));
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(_authority, true, false));
        using X509Certificate2 signed = request.Create(_authority, from, until, RandomNumberGenerator.GetBytes(8));
        return (signed.ExportCertificatePem(), key.ExportPkcs8PrivateKeyPem());
    }
}
