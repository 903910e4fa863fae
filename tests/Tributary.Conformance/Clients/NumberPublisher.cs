using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Tributary.Conformance.Harness;

namespace Tributary.Conformance.Clients;

/// <summary>Publishes a range of numbers as one device at QoS 1, many in flight.</summary>
internal static class NumberPublisher
{
    /// <summary>Publishes, and wants an acknowledgement for each.</summary>
    public static async Task PublishAsync(IPEndPoint edge, string device, int first, int count)
    {
        int acknowledged = await TryPublishAsync(edge, device, first, count);
        if (acknowledged != count)
        {
            throw new InvalidOperationException($"{acknowledged} of {count} messages were acknowledged, then the agent closed the connection");
        }
    }

    /// <summary>Publishes until the agent closes the connection or all are acknowledged.</summary>
    /// <returns>How many were acknowledged, the first ones.</returns>
    public static async Task<int> TryPublishAsync(IPEndPoint edge, string device, int first, int count, int payloadBytes = 0)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using var timeout = new CancellationTokenSource(Until.Deadline);
        int acknowledged = 0;
        try
        {
            await socket.ConnectAsync(edge, timeout.Token);
            await using var stream = new NetworkStream(socket);
            await stream.WriteAsync(MqttWire.Connect(device), timeout.Token);
            byte[] four = new byte[4];
            if (await MqttWire.ReadShortAsync(stream, four, timeout.Token) is not { Type: 0x20, Value: 0 })
            {
                return 0;
            }
            byte[] all = [.. Enumerable.Range(first, count).SelectMany((number, i) => Message(device, number, i + 1, payloadBytes))];
            Task sending = stream.WriteAsync(all, timeout.Token).AsTask();
            while (acknowledged < count && await MqttWire.ReadShortAsync(stream, four, timeout.Token) is { Type: 0x40 })
            {
                acknowledged++;
            }
            await sending;
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            // the agent closed the connection
        }
        return acknowledged;
    }

    private static byte[] Message(string device, int number, int packetId, int payloadBytes)
    {
        string text = number.ToString(CultureInfo.InvariantCulture).PadRight(payloadBytes);
        return MqttWire.Publish($"devices/{device}/number", (ushort)packetId, Encoding.ASCII.GetBytes(text));
    }
}
