using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Tributary.Conformance.Clients;

/// <summary>
/// A device that numbers its messages, publishes them at QoS 1 and never repeats one: what it did not get an answer for is lost or not,
/// it does not ask. So it knows exactly which numbers were acknowledged, and no number may be stored twice. One task runs it; the
/// results are read afterwards.
/// </summary>
/// <param name="device">Name of the device.</param>
/// <param name="edge">Where the agent is now, null while it is away.</param>
/// <param name="window">Most messages in flight.</param>
/// <param name="pause">Time between two messages.</param>
internal sealed class SilentPublisher(string device, Func<IPEndPoint?> edge, int window, TimeSpan pause)
{
    private static readonly TimeSpan Retry = TimeSpan.FromMilliseconds(20);
    private readonly ConcurrentDictionary<int, bool> _acknowledged = new();
    private int _sent;

    /// <summary>Name of the device.</summary>
    public string Device { get; } = device;

    /// <summary>Numbers from 1 to this were sent, or may have been.</summary>
    public int Sent => Volatile.Read(ref _sent);

    /// <summary>The numbers that were acknowledged.</summary>
    public IReadOnlySet<int> Acknowledged => _acknowledged.Keys.ToHashSet();

    /// <summary>How many were acknowledged so far.</summary>
    public int AcknowledgedCount => _acknowledged.Count;

    /// <summary>What the agent did that it must not do; null if nothing.</summary>
    public string? Fault { get; private set; }

    /// <summary>Publishes until told to stop, then waits for the answers that are still to come.</summary>
    /// <param name="stop">Ends it.</param>
    public async Task RunAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested && Fault is null)
        {
            if (edge() is { } endpoint)
            {
                await ConnectionAsync(endpoint, stop);
            }
            await Task.Delay(Retry, CancellationToken.None);
        }
    }

    /// <summary>One connection, until it breaks.</summary>
    private async Task ConnectionAsync(IPEndPoint endpoint, CancellationToken stop)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using var broken = new CancellationTokenSource();
        using var room = new SemaphoreSlim(window);
        var inFlight = new ConcurrentQueue<int>();
        try
        {
            await socket.ConnectAsync(endpoint, CancellationToken.None);
            await using var stream = new NetworkStream(socket);
            await stream.WriteAsync(MqttWire.Connect(Device), CancellationToken.None);
            if (await MqttWire.ReadShortAsync(stream, new byte[4], CancellationToken.None) is not { Type: 0x20, Value: 0 })
            {
                return;
            }
            Task hearing = HearAsync(stream, inFlight, room, broken);
            await TalkAsync(stream, inFlight, room, stop, broken.Token);
            while (!inFlight.IsEmpty && !broken.IsCancellationRequested)
            {
                await Task.Delay(1, CancellationToken.None);
            }
            socket.Close();
            await hearing;
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // the agent was killed or cannot be reached: what is in flight stays unknown
        }
    }

    private async Task TalkAsync(
        Stream stream, ConcurrentQueue<int> inFlight, SemaphoreSlim room, CancellationToken stop, CancellationToken broken)
    {
        while (!stop.IsCancellationRequested)
        {
            await room.WaitAsync(broken);
            int number = Interlocked.Increment(ref _sent);
            inFlight.Enqueue(number);
            byte[] payload = Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture));
            await stream.WriteAsync(MqttWire.Publish($"devices/{Device}/number", PacketId(number), payload), broken);
            if (pause > TimeSpan.Zero)
            {
                await Task.Delay(pause, broken);
            }
        }
    }

    private async Task HearAsync(Stream stream, ConcurrentQueue<int> inFlight, SemaphoreSlim room, CancellationTokenSource broken)
    {
        byte[] four = new byte[4];
        try
        {
            while (await MqttWire.ReadShortAsync(stream, four, CancellationToken.None) is { } answer)
            {
                if (!inFlight.TryDequeue(out int number) || answer.Type != 0x40 || answer.Value != PacketId(number))
                {
                    Fault = $"{Device}: got {answer.Type:X2} for packet {answer.Value}; the next in order was message {number}";
                    break;
                }
                _acknowledged[number] = true;
                room.Release();
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // as above
        }
        await broken.CancelAsync();
    }

    private static ushort PacketId(int number) => (ushort)(((number - 1) % 65_535) + 1);
}
