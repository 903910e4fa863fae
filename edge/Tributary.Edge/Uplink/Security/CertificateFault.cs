using System.Globalization;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Tributary.Edge.Uplink.Security;

/// <summary>Says in a sentence why a node's certificate is not accepted: which rule, what it has instead, what to set.</summary>
internal static class CertificateFault
{
    private const int MaxNames = 8;
    private const int MaxNameChars = 100;

    /// <summary>The sentence. The rules in this order: validity in time, the authority, its other rules, the name.</summary>
    /// <param name="expected">The name that the certificate must be for.</param>
    /// <param name="options">Settings.</param>
    /// <param name="certificate">The node's certificate, null if it showed none.</param>
    /// <param name="chain">What was built from it.</param>
    /// <param name="errors">What is wrong.</param>
    /// <param name="now">What the device's clock says.</param>
    public static string Explain(
        string expected, UplinkTlsOptions options, X509Certificate2? certificate, X509Chain? chain, SslPolicyErrors errors, DateTimeOffset now)
    {
        if (certificate is null || errors.HasFlag(SslPolicyErrors.RemoteCertificateNotAvailable))
        {
            return "it shows no certificate";
        }
        X509Certificate2[] elements = chain is { ChainElements.Count: > 0 }
            ? [.. chain.ChainElements.Select(element => element.Certificate)]
            : [certificate];
        X509ChainStatus[] all = chain?.ChainStatus ?? [];
        if (Array.Exists(all, status => status.Status.HasFlag(X509ChainStatusFlags.NotTimeValid)))
        {
            return InTime(elements, now);
        }
        if (Array.Exists(all, IsUntrusted))
        {
            return Untrusted(elements[^1], certificate, options);
        }
        return all.Length > 0
            ? $"the certificate of {Name(certificate.Subject)} breaks a rule: {string.Join(", ", all.Select(status => status.StatusInformation.Trim()).Distinct())}"
            : $"its certificate is for {Names(certificate)}, not for {expected}: connect to one of those names, or set uplink:tls:serverName to one";
    }

    private static bool IsUntrusted(X509ChainStatus status) =>
        (status.Status & (X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain | X509ChainStatusFlags.NotSignatureValid)) != 0;

    private static string InTime(X509Certificate2[] elements, DateTimeOffset now)
    {
        if (Array.Find(elements, element => element.NotBefore.ToUniversalTime() > now.UtcDateTime) is { } early)
        {
            return $"the certificate of {Name(early.Subject)} is not valid before {At(early.NotBefore)}, and {Clock(now, early.NotBefore)}: the clock may be wrong";
        }
        X509Certificate2 late = Array.Find(elements, element => element.NotAfter.ToUniversalTime() < now.UtcDateTime) ?? elements[0];
        return $"the certificate of {Name(late.Subject)} expired at {At(late.NotAfter)}, and {Clock(now, late.NotAfter)}: it must be renewed there, unless the clock is wrong";
    }

    /// <summary>To the minute only where that matters: the sentence is news each time that it changes.</summary>
    private static string Clock(DateTimeOffset now, DateTime limit) => "this device's clock says " + now.UtcDateTime.ToString(
        now.UtcDateTime.Date == limit.ToUniversalTime().Date ? "yyyy-MM-dd HH:mm'Z'" : "yyyy-MM-dd", CultureInfo.InvariantCulture);

    private static string Untrusted(X509Certificate2 last, X509Certificate2 certificate, UplinkTlsOptions options)
    {
        string trusted = options.CaFile is { } file ? $"those in {file} (uplink:tls:caFile)" : "those that this system trusts";
        string signer = certificate.Subject == certificate.Issuer ? "itself" : Name(last.Issuer);
        return $"the certificate of {Name(certificate.Subject)} is signed by {signer}, which is none of {trusted}: "
            + "set uplink:tls:caFile to a PEM file with the authority's certificate, or have the node send those between";
    }

    private static string Names(X509Certificate2 certificate)
    {
        string[] names =
        [
            .. certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>()
                .SelectMany(names => names.EnumerateDnsNames().Concat(names.EnumerateIPAddresses().Select(address => address.ToString()))),
        ];
        return names.Length == 0 ? Name(certificate.Subject)
            : string.Join(", ", names.Take(MaxNames).Select(Name)) + (names.Length > MaxNames ? $" and {names.Length - MaxNames} more" : "");
    }

    private static string Name(string name) => Printable.Of(name, MaxNameChars);

    private static string At(DateTime time) => time.ToUniversalTime().ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
