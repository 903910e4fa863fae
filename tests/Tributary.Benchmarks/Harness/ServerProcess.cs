using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Tributary.Benchmarks.Harness;

/// <summary>A server under load. It is killed by its id when this is disposed of or the benchmark ends.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private const int KeptLines = 40;
    private static readonly TimeSpan StartDeadline = TimeSpan.FromMinutes(1);
    private static readonly ConcurrentDictionary<int, Process> Running = new();
    private readonly Process _process;
    private readonly string _name;
    private readonly ConcurrentQueue<string> _lines = new();
    private readonly TaskCompletionSource<string> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    static ServerProcess() => AppDomain.CurrentDomain.ProcessExit += (_, _) => KillAll();

    private ServerProcess(
        string name, int? core, string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? settings = null)
    {
        _name = name;
        string[] command = program.EndsWith(".dll", StringComparison.Ordinal) ? ["dotnet", "exec", program, .. arguments] : [program, .. arguments];
        if (core is { } one)
        {
            command = ["taskset", "-c", $"{one}", .. command]; // from its first thread on
        }
        _process = new Process
        {
            StartInfo = new ProcessStartInfo(command[0], command[1..])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            },
            EnableRaisingEvents = true,
        };
        foreach ((string variable, string value) in settings ?? new Dictionary<string, string>())
        {
            _process.StartInfo.Environment[variable] = value;
        }
        _process.OutputDataReceived += (_, line) => OnLine(line.Data);
        _process.ErrorDataReceived += (_, line) => OnLine(line.Data);
        _process.Exited += (_, _) => _ready.TrySetException(new InvalidOperationException($"{name} ended"));
        _process.Start();
        Running[_process.Id] = _process;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>Time that it spent on processors.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>The most memory that it had, bytes; 0 where it can't be known.</summary>
    public long PeakMemory => ReadMemory("VmHWM:");

    /// <summary>The memory that it has, bytes; 0 where it can't be known.</summary>
    public long Memory => ReadMemory("VmRSS:");

    /// <summary>SIGKILL to all that were started.</summary>
    public static void KillAll()
    {
        foreach (Process process in Running.Values)
        {
            Kill(process);
        }
    }

    /// <summary>Starts a program (a dll is run by <c>dotnet</c>).</summary>
    public static ServerProcess Start(string name, string program, params IEnumerable<string> arguments) => new(name, null, program, arguments);

    /// <summary>Starts a program with variables of the environment.</summary>
    public static ServerProcess Start(
        string name, string program, IReadOnlyDictionary<string, string>? settings, IEnumerable<string> arguments) =>
        new(name, null, program, arguments, settings);

    /// <summary>Starts a program on one core; null: on any.</summary>
    public static ServerProcess StartOn(int? core, string name, string program, IEnumerable<string> arguments) => new(name, core, program, arguments);

    /// <summary>A port of the loopback address that nobody listened on a moment ago.</summary>
    public static IPEndPoint FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return (IPEndPoint)listener.LocalEndpoint;
    }

    /// <summary>Waits for its line <c>READY name=HOST:PORT …</c> and gives the addresses.</summary>
    public async Task<IReadOnlyDictionary<string, IPEndPoint>> ReadyAsync()
    {
        string line = await Started(_ready.Task.WaitAsync(StartDeadline));
        return line.Split(' ')[1..].Select(pair => pair.Split('=', 2)).ToDictionary(pair => pair[0], pair => IPEndPoint.Parse(pair[1]));
    }

    /// <summary>Waits until it accepts connections.</summary>
    public Task ListensAsync(IPEndPoint address) => Started(ConnectAsync(address));

    /// <summary>SIGKILL; waits until it is gone.</summary>
    public async ValueTask DisposeAsync()
    {
        Kill(_process);
        await _process.WaitForExitAsync();
        Running.TryRemove(_process.Id, out _);
        _process.Dispose();
    }

    private static void Kill(Process process)
    {
        try
        {
            process.Kill();
        }
        catch (InvalidOperationException)
        {
            // it has ended
        }
    }

    private long ReadMemory(string field)
    {
        string status = $"/proc/{_process.Id}/status";
        string? line = File.Exists(status)
            ? File.ReadLines(status).FirstOrDefault(line => line.StartsWith(field, StringComparison.Ordinal))
            : null;
        return line is null ? 0 : 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }

    private async Task<string> ConnectAsync(IPEndPoint address)
    {
        long start = Stopwatch.GetTimestamp();
        while (!_process.HasExited && Stopwatch.GetElapsedTime(start) < StartDeadline)
        {
            try
            {
                using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(address);
                return "";
            }
            catch (SocketException)
            {
                await Task.Delay(1);
            }
        }
        throw new TimeoutException($"{_name} does not listen on {address}");
    }

    private async Task<string> Started(Task<string> task)
    {
        try
        {
            return await task;
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{_name} did not start: {e.Message}\n{string.Join('\n', _lines)}", e);
        }
    }

    private void OnLine(string? line)
    {
        if (line is null)
        {
            return;
        }
        _lines.Enqueue(line);
        if (_lines.Count > KeptLines)
        {
            _lines.TryDequeue(out _);
        }
        if (line.StartsWith("READY ", StringComparison.Ordinal))
        {
            _ready.TrySetResult(line);
        }
    }
}
