using System.Globalization;
using System.Security.Cryptography.X509Certificates;
using Tributary.Edge.Access;
using Tributary.Edge.Host;
using Tributary.Edge.Listeners;
using Tributary.Edge.Source;
using Tributary.Edge.Uplink;

namespace Tributary.Edge.Doctor;

/// <summary>
/// The files that settings name: whether they can be read and are right, when certificates expire, and who else may read secrets. What is in
/// them is not shown.
/// </summary>
internal static class FileChecks
{
    private static readonly TimeSpan Soon = TimeSpan.FromDays(14);

    /// <summary>Looks.</summary>
    public static void Run(Findings findings, EdgeOptions options, TimeProvider time)
    {
        findings.Ok("routes", options.RoutesFile is { } routes ? $"{routes}: {options.Routes.Routes.Count} routes" : "no file, so the one route that there is without");
        if (options.Listeners.UsersFile is { } users)
        {
            Try(findings, "users file", () =>
            {
                Users found = UsersFile.Read(users);
                findings.Ok("users file", $"{users}: {found.All.Count} users");
                LookWhoReads(findings, "users file", users);
            });
        }
        if (options.Listeners.Tls is { } tls)
        {
            Try(findings, "tls", () =>
            {
                TlsMaterial material = TlsMaterial.Load(tls);
                LookAtExpiry(findings, "tls", $"certificate '{material.Subject}' of the listeners (tls:certificateFile)", material.ExpiresAt, time);
                LookWhoReads(findings, "tls", tls.KeyFile);
            });
        }
        LookAtUplink(findings, options.Uplink, time);
        if (options.Source is { } source)
        {
            Try(findings, "source: files", () =>
            {
                _ = SourceClient.OptionsOf(source);
                findings.Ok("source: files", "can be read");
                LookWhoReads(findings, "source: files", source.PasswordFile);
                LookWhoReads(findings, "source: files", source.KeyFile);
            });
        }
    }

    private static void LookAtUplink(Findings findings, UplinkOptions uplink, TimeProvider time)
    {
        if (uplink.Tls is { CertificateFile: { } certificate, KeyFile: { } key })
        {
            Try(findings, "uplink: files", () =>
            {
                X509Certificate2 own = PemFiles.Certificate(certificate, "uplink:tls:certificateFile", key, "uplink:tls:keyFile").TargetCertificate;
                LookAtExpiry(findings, "uplink: files", $"certificate '{own.Subject}' of the agent (uplink:tls:certificateFile)", own.NotAfter.ToUniversalTime(), time);
                LookWhoReads(findings, "uplink: files", key);
            });
        }
        if (uplink.Sasl is { } sasl)
        {
            Try(findings, "uplink: files", () =>
            {
                System.Security.Cryptography.CryptographicOperations.ZeroMemory(sasl.ReadPassword());
                LookWhoReads(findings, "uplink: files", sasl.PasswordFile);
            });
        }
    }

    private static void LookAtExpiry(Findings findings, string check, string what, DateTime expiresAt, TimeProvider time)
    {
        DateTime now = time.GetUtcNow().UtcDateTime;
        string until = string.Create(CultureInfo.InvariantCulture, $"{expiresAt:yyyy-MM-dd HH:mm:ss} UTC");
        if (expiresAt < now)
        {
            findings.Fail(check, $"{what} has expired at {until}", "renew it; changed files are taken without a restart");
        }
        else if (expiresAt - now < Soon)
        {
            findings.Warn(check, $"{what} expires at {until}", "renew it; changed files are taken without a restart");
        }
        else
        {
            findings.Ok(check, $"{what} is valid until {until}");
        }
    }

    private static void LookWhoReads(Findings findings, string check, string? secretFile)
    {
        const UnixFileMode Others = UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
        if (secretFile is not null && !OperatingSystem.IsWindows() && File.Exists(secretFile) && (File.GetUnixFileMode(secretFile) & Others) != 0)
        {
            findings.Warn(check, $"{secretFile} holds secrets, and every user of this machine can read or change it", $"chmod o-rw {secretFile}");
        }
    }

    private static void Try(Findings findings, string check, Action look)
    {
        try
        {
            look();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or UsersFileException or TlsException)
        {
            findings.Fail(check, e.Message);
        }
    }
}
