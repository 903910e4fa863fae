using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Tributary.Edge.Listeners;

/// <summary>Reads certificates and keys from PEM files, with errors that name file and setting.</summary>
internal static class PemFiles
{
    private const int MaxFileBytes = 1 << 20;

    /// <summary>The agent's own certificate with its key and those between it and its root.</summary>
    /// <exception cref="TlsException">A file can't be read or used.</exception>
    public static SslStreamCertificateContext Certificate(string certificateFile, string certificateSetting, string keyFile, string keySetting)
    {
        string certificatePem = ReadText(certificateFile, certificateSetting);
        string keyPem = ReadText(keyFile, keySetting);
        try
        {
            var certificate = X509Certificate2.CreateFromPem(certificatePem, keyPem);
            var chain = new X509Certificate2Collection();
            chain.ImportFromPem(certificatePem);
            chain.RemoveAt(0); // the certificate itself
            // Offline: what is missing in the file is not fetched from anywhere.
            return SslStreamCertificateContext.Create(certificate, chain, offline: true);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or AuthenticationException or NotSupportedException)
        {
            throw new TlsException(
                $"the certificate in {certificateFile} ({certificateSetting}) with the key in {keyFile} ({keySetting}) can't be used: {e.Message}", e);
        }
    }

    /// <summary>The certificates of authorities.</summary>
    /// <exception cref="TlsException">The file can't be read or has none.</exception>
    public static X509Certificate2Collection Authorities(string path, string setting)
    {
        string pem = ReadText(path, setting);
        var authorities = new X509Certificate2Collection();
        try
        {
            authorities.ImportFromPem(pem);
        }
        catch (CryptographicException e)
        {
            throw new TlsException($"the certificates in {path} ({setting}) can't be used: {e.Message}", e);
        }
        return authorities.Count > 0 ? authorities : throw new TlsException($"there is no certificate in {path} ({setting})");
    }

    private static string ReadText(string path, string setting)
    {
        try
        {
            var file = new FileInfo(path);
            return !file.Exists || file.Length <= MaxFileBytes
                ? File.ReadAllText(path)
                : throw new TlsException($"the file {path} ({setting}) has {file.Length} bytes; PEM files have at most {MaxFileBytes}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TlsException($"the file {path} ({setting}) can't be read: {e.Message}", e);
        }
    }
}
