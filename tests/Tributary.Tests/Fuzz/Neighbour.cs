using System.Net;
using System.Net.Sockets;
using Xunit;

namespace Tributary.Tests.Fuzz;

/// <summary>
/// A client that behaves, beside others that don't: it is served again and again, with a deadline for each answer. What goes wrong is
/// thrown by <see cref="StopAsync"/>.
/// </summary>
internal abstract class Neighbour : IAsyncDisposable
{
    /// <summary>Slow enough to leave the machine to the others.</summary>
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(5);

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly CancellationTokenSource _stop = new();
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private Task _running = Task.CompletedTask;

    /// <summary>How often it was served.</summary>
    public int Served { get; private set; }

    /// <summary>Begins; called once.</summary>
    public void Start(IPEndPoint port) => _running = Task.Run(() => RunAsync(port));

    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await _running;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _socket.Dispose();
        _stop.Dispose();
    }

    /// <summary>What comes first on the connection.</summary>
    protected virtual Task GreetAsync() => Task.CompletedTask;

    /// <summary>Asks for something and checks what it gets.</summary>
    /// <param name="number">How often it was served before.</param>
    protected abstract Task AskAsync(int number);

    protected async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        using var deadline = new CancellationTokenSource(Patience);
        while (!bytes.IsEmpty)
        {
            bytes = bytes[await _socket.SendAsync(bytes, deadline.Token)..];
        }
    }

    protected async Task<byte[]> ReceiveAsync(int count)
    {
        using var deadline = new CancellationTokenSource(Patience);
        byte[] bytes = new byte[count];
        for (int have = 0; have < count;)
        {
            int read = await _socket.ReceiveAsync(bytes.AsMemory(have), deadline.Token);
            Assert.True(read > 0, $"the other client's connection was closed after {Convert.ToHexString(bytes, 0, have)}");
            have += read;
        }
        return bytes;
    }

    private async Task RunAsync(IPEndPoint port)
    {
        using var pace = new PeriodicTimer(Pace);
        await _socket.ConnectAsync(port);
        await GreetAsync();
        while (!_stop.IsCancellationRequested)
        {
            await AskAsync(Served);
            Served++;
            await pace.WaitForNextTickAsync();
        }
    }
}
