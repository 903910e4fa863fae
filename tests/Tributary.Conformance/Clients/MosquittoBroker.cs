using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Tributary.Conformance.Harness;

namespace Tributary.Conformance.Clients;

/// <summary>
/// Eclipse Mosquitto as plants have it: sessions and what waits in them outlive its restarts, as long as it ends cleanly. Its port stays.
/// </summary>
internal sealed class MosquittoBroker : IAsyncDisposable
{
    private readonly string _directory;
    private readonly string[] _settings;
    private readonly int _port;
    private RunningProcess? _process;

    /// <param name="directory">A directory for it.</param>
    /// <param name="port">Where it listens.</param>
    /// <param name="settings">More lines of its configuration; none: anybody may connect, without TLS.</param>
    public MosquittoBroker(string directory, int port, params string[] settings)
    {
        (_directory, _port, _settings) = (directory, port, settings.Length > 0 ? settings : ["allow_anonymous true"]);
        Directory.CreateDirectory(directory);
    }

    /// <summary>A port that nobody listened on a moment ago.</summary>
    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>What it wrote.</summary>
    public string Story() => _process?.Story() ?? "";

    /// <summary>Starts it and waits until it listens.</summary>
    public async Task StartAsync()
    {
        string config = Path.Combine(_directory, "mosquitto.conf");
        await File.WriteAllLinesAsync(config,
        [
            string.Create(CultureInfo.InvariantCulture, $"listener {_port} 127.0.0.1"), "user root", "persistence true",
            $"persistence_location {_directory}/", "max_queued_messages 0", "max_inflight_messages 0", "log_type error", "log_type warning", .. _settings,
        ]);
        _process = RunningProcess.Start("mosquitto", Program(), ["-c", config]);
        await Until.TrueAsync(
            async () =>
            {
                using var client = new TcpClient();
                await client.ConnectAsync(IPAddress.Loopback, _port);
                return true;
            },
            _process.Story);
    }

    /// <summary>SIGTERM: it saves its sessions.</summary>
    public async Task StopAsync()
    {
        _process!.Stop();
        await _process.ExitAsync();
        await DisposeAsync();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            await _process.DisposeAsync();
            _process = null;
        }
    }

    /// <summary>Path of a program of the package: of the system, or as <c>test.sh</c> unpacked it, since installing it would start a service.</summary>
    public static string Program(string name = "mosquitto")
    {
        string unpacked = Path.Combine(Programs.Root, "artifacts", "mosquitto", "usr");
        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Concat(["/usr/sbin", "/usr/bin", Path.Combine(unpacked, "sbin"), Path.Combine(unpacked, "bin")])
            .Select(directory => Path.Combine(directory, name)).FirstOrDefault(File.Exists)
            ?? throw new FileNotFoundException($"{name} is not installed (test.sh sees to it)");
    }
}
