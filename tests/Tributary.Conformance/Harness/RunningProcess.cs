using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Xunit;

namespace Tributary.Conformance.Harness;

/// <summary>
/// A process under test. It is ended by its id when this is disposed of, and when the test run ends however a test failed. What it wrote
/// goes to the output of the test, which is shown when it fails. Callable from any thread.
/// </summary>
internal sealed partial class RunningProcess : IAsyncDisposable
{
    private const int MaxLines = 20_000;
    private const int ShownLines = 60;
    private const int Terminate = 15;
    private const int Interrupt = 2;
    private const int Halt = 19;
    private const int Continue = 18;
    private static readonly ConcurrentDictionary<int, RunningProcess> Running = new();
    private readonly Process _process;
    private readonly string _name;
    private readonly Lines _output = new();
    private readonly Lines _errors = new();
    private readonly TaskCompletionSource<string> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ITestOutputHelper? _testOutput = TestContext.Current.TestOutputHelper;

    static RunningProcess() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        foreach (RunningProcess left in Running.Values)
        {
            left.Kill();
        }
    };

    private RunningProcess(string name, ProcessStartInfo start)
    {
        _name = name;
        _process = new Process { StartInfo = start, EnableRaisingEvents = true };
        _process.OutputDataReceived += (_, line) => OnOutput(line.Data);
        _process.ErrorDataReceived += (_, line) => _errors.Add(line.Data);
        _process.Exited += (_, _) => _ready.TrySetException(new InvalidOperationException($"{name} ended before it was ready"));
        _process.Start();
        Running[_process.Id] = this;
        _process.StandardInput.Close();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>Its id.</summary>
    public int Id => _process.Id;

    /// <summary>Whether it has ended.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>What it wrote to standard output.</summary>
    public string Output => _output.ToString();

    /// <summary>What it wrote to standard error.</summary>
    public string Errors => _errors.ToString();

    /// <summary>Starts a program, managed (a dll) or not.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="program">Path of the program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="environment">Variables to set, on top of those of this process without any of Tributary's.</param>
    /// <param name="directory">Its working directory.</param>
    /// <param name="ownsChildren">Whether what it starts is killed with it.</param>
    public static RunningProcess Start(
        string name, string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null,
        string? directory = null, bool ownsChildren = false)
    {
        bool isManaged = program.EndsWith(".dll", StringComparison.Ordinal);
        // Whoever runs the tests in the background ignores SIGINT, and so would what is started here.
        IEnumerable<string> command = isManaged ? ["dotnet", "exec", program, .. arguments] : [program, .. arguments];
        var start = new ProcessStartInfo("env", ["--default-signal=INT", .. command])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = directory ?? Programs.Root,
        };
        foreach (
            string ours in start.Environment.Keys.Where(key => key.StartsWith("TRIBUTARY__", StringComparison.OrdinalIgnoreCase)).ToList())
        {
            start.Environment.Remove(ours);
        }
        foreach ((string key, string value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[key] = value;
        }
        return new RunningProcess(name, start) { OwnsChildren = ownsChildren };
    }

    /// <summary>Waits for its READY line.</summary>
    /// <exception cref="Exception">It ended or was not ready in time; the message has what it wrote.</exception>
    public async Task<ReadyLine> ReadyAsync(TimeSpan? deadline = null)
    {
        try
        {
            return ReadyLine.Parse(await _ready.Task.WaitAsync(deadline ?? Until.Deadline));
        }
        catch (Exception e)
        {
            await WaitForOutputAsync();
            throw new InvalidOperationException($"{_name} is not ready: {e.Message}\n{Story()}", e);
        }
    }

    /// <summary>Waits until it ends by itself.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> ExitAsync(TimeSpan? deadline = null)
    {
        using var timeout = new CancellationTokenSource(deadline ?? Until.Deadline);
        try
        {
            await _process.WaitForExitAsync(timeout.Token);
            return _process.ExitCode;
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"{_name} did not end\n{Story()}");
        }
    }

    /// <summary>SIGTERM.</summary>
    public void Stop() => Signal(Terminate);

    /// <summary>SIGINT, what Ctrl-C sends.</summary>
    public void PressControlC() => Signal(Interrupt);

    /// <summary>SIGSTOP: it stands still, and its connections stay open.</summary>
    public void Pause() => Signal(Halt);

    /// <summary>SIGCONT.</summary>
    public void Resume() => Signal(Continue);

    /// <summary>Whether what it started is killed with it.</summary>
    public bool OwnsChildren { get; init; }

    /// <summary>SIGKILL. Only this process unless it owns its children, and it has no say in it.</summary>
    public void Kill()
    {
        try
        {
            _process.Kill(entireProcessTree: OwnsChildren);
        }
        catch (InvalidOperationException)
        {
            // it has ended
        }
    }

    /// <summary>SIGKILL, and waits until it is gone.</summary>
    public async Task KillAsync()
    {
        Kill();
        await ExitAsync();
    }

    /// <summary>What it wrote, for an error message.</summary>
    public string Story() => $"--- {_name} ({(HasExited ? $"ended with {_process.ExitCode}" : "running")})\n{_output.Last(ShownLines)}\n--- its standard error\n{_errors.Last(ShownLines)}";

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (!Running.ContainsKey(Id))
        {
            return;
        }
        await KillAsync();
        await WaitForOutputAsync();
        Running.TryRemove(Id, out _);
        try
        {
            _testOutput?.WriteLine(Story());
        }
        catch (InvalidOperationException)
        {
            // the test it belonged to is over
        }
        _process.Dispose();
    }

    private async Task WaitForOutputAsync()
    {
        if (_process.HasExited)
        {
            await _process.WaitForExitAsync().WaitAsync(Until.Deadline); // also for the end of its streams
        }
    }

    private void OnOutput(string? line)
    {
        _output.Add(line);
        if (line is not null && line.StartsWith("READY", StringComparison.Ordinal))
        {
            _ready.TrySetResult(line);
        }
    }

    private void Signal(int signal)
    {
        if (!_process.HasExited && Native.Kill(Id, signal) != 0)
        {
            throw new InvalidOperationException($"the signal {signal} could not be sent to {_name}");
        }
    }

    private static partial class Native
    {
        [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
        public static partial int Kill(int id, int signal);
    }

    /// <summary>The last lines of a stream.</summary>
    private sealed class Lines
    {
        private readonly Queue<string> _lines = new();

        public void Add(string? line)
        {
            if (line is null)
            {
                return;
            }
            lock (_lines)
            {
                _lines.Enqueue(line);
                if (_lines.Count > MaxLines)
                {
                    _lines.Dequeue();
                }
            }
        }

        public string Last(int count)
        {
            lock (_lines)
            {
                return string.Join('\n', _lines.TakeLast(count));
            }
        }

        public override string ToString()
        {
            lock (_lines)
            {
                return new StringBuilder().AppendJoin('\n', _lines).ToString();
            }
        }
    }
}
