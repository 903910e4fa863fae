using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Tributary.Benchmarks.Harness;

/// <summary>A self-signed certificate for a run, in PEM files.</summary>
/// <param name="CertificateFile">The certificate.</param>
/// <param name="KeyFile">Its key.</param>
internal sealed record TestCertificate(string CertificateFile, string KeyFile)
{
    /// <summary>Makes one: P-256, which both servers sign quickly with.</summary>
    public static TestCertificate Create(string directory)
    {
        Directory.CreateDirectory(directory);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        var files = new TestCertificate(Path.Combine(directory, "server.pem"), Path.Combine(directory, "server.key"));
        File.WriteAllText(files.CertificateFile, certificate.ExportCertificatePem());
        File.WriteAllText(files.KeyFile, key.ExportPkcs8PrivateKeyPem());
        return files;
    }
}
