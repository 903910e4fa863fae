using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Load;

/// <summary>
/// One MQTT 3.1.1 client that publishes at QoS 1 with a window of messages in flight. Its frames are encoded once, in a ring of twice the
/// window with a packet id for each; before one is sent again, only the message's number at the start of its payload is written. Expects
/// the acknowledgements in the order of the messages.
/// </summary>
internal sealed class PublishConnection : IDisposable
{
    /// <summary>Smallest payload: the number, big-endian.</summary>
    public const int NumberSize = sizeof(long);

    private const int AckSize = 4;
    private const byte PubAck = 0x40;
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly long _firstNumber;
    private readonly int _window;
    private readonly int _frameSize;
    private readonly int _numberOffset;
    private readonly byte[] _ring;
    private readonly long[] _queuedAt;
    private readonly byte[] _partialAck = new byte[AckSize];
    private int _partial;
    private long _sentBytes;

    /// <param name="clientId">MQTT client identifier.</param>
    /// <param name="topic">Topic of all messages.</param>
    /// <param name="firstNumber">Number of the first message.</param>
    /// <param name="window">Messages in flight.</param>
    /// <param name="payloadBytes">Bytes of a payload.</param>
    public PublishConnection(string clientId, string topic, long firstNumber, int window, int payloadBytes)
    {
        ClientId = clientId;
        _firstNumber = firstNumber;
        _window = window;
        byte[] frame = EncodePublish(topic, payloadBytes, out int packetIdOffset);
        _frameSize = frame.Length;
        _numberOffset = packetIdOffset + sizeof(ushort);
        _ring = new byte[2 * window * _frameSize];
        _queuedAt = new long[2 * window];
        for (int slot = 0; slot < _queuedAt.Length; slot++)
        {
            Span<byte> at = _ring.AsSpan(slot * _frameSize, _frameSize);
            frame.CopyTo(at);
            BinaryPrimitives.WriteUInt16BigEndian(at[packetIdOffset..], (ushort)(slot + 1));
        }
    }

    public string ClientId { get; }

    public int Handle => (int)_socket.Handle;

    /// <summary>Messages handed to the connection since it was made.</summary>
    public long Queued { get; private set; }

    /// <summary>Messages acknowledged since it was made.</summary>
    public long Acked { get; private set; }

    /// <summary>Whether it is watched for being writable.</summary>
    public bool IsBlocked { get; set; }

    /// <summary>Connects and waits for the CONNACK.</summary>
    public void Connect(IPEndPoint server)
    {
        _socket.Connect(server);
        byte[] id = Encoding.UTF8.GetBytes(ClientId);
        // Protocol level 4, clean session, no keep-alive.
        byte[] packet = [0x10, (byte)(12 + id.Length), 0, 4, (byte)'M', (byte)'Q', (byte)'T', (byte)'T', 4, 2, 0, 0, 0, (byte)id.Length, .. id];
        _socket.Send(packet);
        Span<byte> answer = stackalloc byte[4];
        for (int got = 0; got < answer.Length;)
        {
            int read = _socket.Receive(answer[got..]);
            got += read > 0 ? read : throw new IOException("the server closed the connection at CONNECT");
        }
        if (!answer.SequenceEqual((ReadOnlySpan<byte>)[0x20, 2, 0, 0]))
        {
            throw new IOException($"the server answered CONNECT with {Convert.ToHexString(answer)}");
        }
    }

    /// <summary>Takes messages up to the window, and up to <paramref name="limit"/> since the connection was made.</summary>
    public void Fill(long limit, long now)
    {
        for (limit = Math.Min(limit, Acked + _window); Queued < limit; Queued++)
        {
            int slot = (int)(Queued % _queuedAt.Length);
            BinaryPrimitives.WriteInt64BigEndian(_ring.AsSpan((slot * _frameSize) + _numberOffset), _firstNumber + Queued);
            _queuedAt[slot] = now;
        }
    }

    /// <summary>Sends what was taken.</summary>
    /// <returns>False if the socket takes no more now.</returns>
    public bool Send()
    {
        long end = Queued * _frameSize;
        while (_sentBytes < end)
        {
            int at = (int)(_sentBytes % _ring.Length);
            int sent = Epoll.Send(Handle, _ring.AsSpan(at, (int)Math.Min(end - _sentBytes, _ring.Length - at)));
            if (sent < 0)
            {
                return false;
            }
            _sentBytes += sent;
        }
        return true;
    }

    /// <summary>Reads acknowledgements.</summary>
    /// <returns>Whether there were any.</returns>
    public bool Receive(Span<byte> buffer, Histogram latencies)
    {
        int read = Epoll.Receive(Handle, buffer);
        if (read <= 0)
        {
            return read < 0
                ? false
                : throw new IOException($"the server closed the connection of {ClientId} after {Acked} acknowledgements");
        }
        long now = Stopwatch.GetTimestamp();
        ReadOnlySpan<byte> bytes = buffer[..read];
        while (_partial > 0 && !bytes.IsEmpty)
        {
            _partialAck[_partial++] = bytes[0];
            bytes = bytes[1..];
            if (_partial == AckSize)
            {
                OnAck(_partialAck, now, latencies);
                _partial = 0;
            }
        }
        while (bytes.Length >= AckSize)
        {
            OnAck(bytes, now, latencies);
            bytes = bytes[AckSize..];
        }
        bytes.CopyTo(_partialAck.AsSpan(_partial));
        _partial += bytes.Length;
        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private void OnAck(ReadOnlySpan<byte> packet, long now, Histogram latencies)
    {
        int slot = (int)(Acked % _queuedAt.Length);
        if (packet[0] != PubAck || packet[1] != 2 || BinaryPrimitives.ReadUInt16BigEndian(packet[2..]) != slot + 1 || Acked == Queued)
        {
            throw new IOException(
                $"the server sent {Convert.ToHexString(packet[..AckSize])} to {ClientId} where the PUBACK of {slot + 1} was due");
        }
        latencies.Add(now - _queuedAt[slot]);
        Acked++;
    }

    private static byte[] EncodePublish(string topic, int payloadBytes, out int packetIdOffset)
    {
        byte[] name = Encoding.UTF8.GetBytes(topic);
        int length = 2 + name.Length + 2 + payloadBytes;
        var frame = new List<byte> { 0x32 }; // QoS 1
        for (int rest = length; ; rest >>= 7)
        {
            frame.Add((byte)(rest < 0x80 ? rest : (rest & 0x7F) | 0x80));
            if (rest < 0x80)
            {
                break;
            }
        }
        frame.AddRange([(byte)(name.Length >> 8), (byte)name.Length]);
        frame.AddRange(name);
        packetIdOffset = frame.Count;
        frame.AddRange(new byte[2 + NumberSize]);
        // A text, so that what compresses it has something to do but not too little.
        for (int i = NumberSize; i < payloadBytes; i++)
        {
            frame.Add((byte)"{\"temperature\":21.5,\"unit\":\"C\",\"status\":\"ok\"}"[i % 45]);
        }
        return [.. frame];
    }
}
