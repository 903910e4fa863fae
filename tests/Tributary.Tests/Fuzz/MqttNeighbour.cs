using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Fuzz;

/// <summary>
/// A client that behaves, beside others that don't: it publishes numbered messages with QoS 1 to a topic that it subscribed to, and waits
/// for the acknowledgement and the message each time. What goes wrong is thrown by <see cref="StopAsync"/>.
/// </summary>
internal sealed class MqttNeighbour : IAsyncDisposable
{
    private const int Level = 4;
    private const string Topic = "neighbour/own";
    /// <summary>Slow enough to leave the machine to the others.</summary>
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly CancellationTokenSource _stop = new();
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly Task _running;

    public MqttNeighbour(IPEndPoint port) => _running = Task.Run(() => RunAsync(port));

    /// <summary>Messages that it sent and got.</summary>
    public int Served { get; private set; }

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

    private async Task RunAsync(IPEndPoint port)
    {
        using var pace = new PeriodicTimer(Pace);
        await _socket.ConnectAsync(port);
        await SendAsync(Packets.Connect(Level, "neighbour"));
        Assert.Equal([0x20, 2, 0, 0], await ReceiveAsync(4));
        await SendAsync(Packets.Subscribe(Level, 1, (Topic, 0)));
        Assert.Equal([0x90, 3, 0, 1, 0], await ReceiveAsync(5));
        for (int number = 1; !_stop.IsCancellationRequested; number++)
        {
            int id = 1 + (number % 60_000);
            string text = number.ToString(CultureInfo.InvariantCulture);
            await SendAsync(Packets.Publish(Level, Topic, text, 1, id));
            byte[] own = Packets.Publish(Level, Topic, text);
            byte[] acknowledged = [0x40, 2, (byte)(id >> 8), (byte)id];
            byte[] answer = await ReceiveAsync(own.Length + acknowledged.Length);
            Assert.True(
                answer.AsSpan().SequenceEqual([.. acknowledged, .. own]) || answer.AsSpan().SequenceEqual([.. own, .. acknowledged]),
                $"message {number} was answered with {Convert.ToHexString(answer)}");
            Served++;
            await pace.WaitForNextTickAsync();
        }
    }

    private async Task SendAsync(byte[] packet)
    {
        using var deadline = new CancellationTokenSource(Patience);
        await _socket.SendAsync(packet, deadline.Token);
    }

    private async Task<byte[]> ReceiveAsync(int count)
    {
        using var deadline = new CancellationTokenSource(Patience);
        byte[] bytes = new byte[count];
        for (int have = 0; have < count;)
        {
            int read = await _socket.ReceiveAsync(bytes.AsMemory(have), deadline.Token);
            Assert.True(read > 0, $"the other client's connection was closed after {Encoding.ASCII.GetString(bytes, 0, have)}");
            have += read;
        }
        return bytes;
    }
}
