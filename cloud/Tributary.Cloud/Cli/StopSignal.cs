using System.Runtime.InteropServices;

namespace Tributary.Cloud.Cli;

/// <summary>
/// Hears SIGTERM and Ctrl-C from the first moment on. The first one asks the program to stop in order; a second one ends the process at
/// once, as a kill would, which loses nothing that was acknowledged.
/// </summary>
internal sealed class StopSignal : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _signals;

    public StopSignal()
    {
        _signals = [PosixSignalRegistration.Create(PosixSignal.SIGTERM, Hear), PosixSignalRegistration.Create(PosixSignal.SIGINT, Hear)];
    }

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken Token => _stop.Token;

    /// <summary>Completes with the first signal.</summary>
    public async Task WaitAsync()
    {
        var heard = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = Token.UnsafeRegister(
            static source => ((TaskCompletionSource)source!).TrySetResult(), heard);
        await heard.Task;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (PosixSignalRegistration signal in _signals)
        {
            signal.Dispose();
        }
        _stop.Dispose();
    }

    private void Hear(PosixSignalContext signal)
    {
        signal.Cancel = !_stop.IsCancellationRequested;
        _stop.Cancel();
    }
}
