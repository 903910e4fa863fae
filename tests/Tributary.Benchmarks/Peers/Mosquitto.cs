using System.Diagnostics;
using System.Net;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Peers;

/// <summary>
/// Eclipse Mosquitto with its defaults: QoS 1 messages are acknowledged once they are in memory, nothing is flushed, and without a
/// subscriber they are then forgotten. It does less than the agent does.
/// </summary>
internal static class Mosquitto
{
    /// <summary>Path of the program, null if it is not installed.</summary>
    public static string? Program => Programs.FindCommand("mosquitto");

    /// <summary>Its name and version.</summary>
    public static string Version(string program)
    {
        using var help = Process.Start(new ProcessStartInfo(program, ["-h"]) { RedirectStandardOutput = true })!;
        string first = help.StandardOutput.ReadLine() ?? "mosquitto";
        help.StandardOutput.ReadToEnd();
        help.WaitForExit();
        return first;
    }

    /// <summary>Starts it on a free port, with TLS if there is a certificate.</summary>
    public static async Task<(ServerProcess Process, IPEndPoint Address)> StartAsync(
        string program, string directory, TestCertificate? certificate = null)
    {
        IPEndPoint address = ServerProcess.FreePort();
        Directory.CreateDirectory(directory);
        string config = Path.Combine(directory, "mosquitto.conf");
        string tls = certificate is null ? "" : $"certfile {certificate.CertificateFile}\nkeyfile {certificate.KeyFile}\n";
        await File.WriteAllTextAsync(
            config, $"listener {address.Port} {address.Address}\n{tls}allow_anonymous true\npersistence false\nlog_type error\n");
        ServerProcess process = ServerProcess.Start("mosquitto", program, "-c", config);
        await process.ListensAsync(address);
        return (process, address);
    }
}
