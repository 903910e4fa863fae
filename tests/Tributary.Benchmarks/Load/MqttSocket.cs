using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Tributary.Benchmarks.Load;

/// <summary>A socket of an MQTT 3.1.1 client that does nothing by itself. Connecting and subscribing wait, all else does not.</summary>
internal sealed class MqttSocket(string clientId) : IDisposable
{
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };

    public string ClientId { get; } = clientId;

    public int Handle => (int)_socket.Handle;

    /// <summary>CONNECT: protocol level 4, clean session, no keep-alive.</summary>
    public static byte[] EncodeConnect(string clientId)
    {
        byte[] id = Encoding.UTF8.GetBytes(clientId);
        return [0x10, (byte)(12 + id.Length), 0, 4, (byte)'M', (byte)'Q', (byte)'T', (byte)'T', 4, 2, 0, 0, 0, (byte)id.Length, .. id];
    }

    /// <summary>Connects and waits for the CONNACK.</summary>
    public void Connect(IPEndPoint server)
    {
        _socket.Connect(server);
        _socket.Send(EncodeConnect(ClientId));
        Expect("CONNECT", [0x20, 2, 0, 0]);
    }

    /// <summary>Subscribes at QoS 1 and waits for the SUBACK.</summary>
    public void Subscribe(string filter)
    {
        byte[] name = Encoding.UTF8.GetBytes(filter);
        _socket.Send([0x82, (byte)(5 + name.Length), 0, 1, 0, (byte)name.Length, .. name, 1]);
        Expect("SUBSCRIBE", [0x90, 3, 0, 1, 1]);
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private void Expect(string request, ReadOnlySpan<byte> expected)
    {
        Span<byte> answer = stackalloc byte[expected.Length];
        for (int got = 0; got < answer.Length;)
        {
            int read = _socket.Receive(answer[got..]);
            got += read > 0 ? read : throw new IOException($"the server closed the connection at {request}");
        }
        if (!answer.SequenceEqual(expected))
        {
            throw new IOException($"the server answered {request} with {Convert.ToHexString(answer)}");
        }
    }
}
