using System.Buffers.Binary;
using System.Net;

namespace Tributary.Benchmarks.Load;

/// <summary>One MQTT 3.1.1 client that takes what comes at QoS 1 and acknowledges it. Used by one thread.</summary>
internal sealed class SubscribeConnection : IDisposable
{
    private const byte Publish = 0x30;
    private const byte PubAck = 0x40;
    private const int BufferBytes = 256 << 10;
    private readonly MqttSocket _socket = new("load-subscriber");
    private readonly byte[] _in = new byte[BufferBytes];
    private readonly byte[] _out = new byte[BufferBytes];
    private int _have;
    private int _toSend;

    public int Handle => _socket.Handle;

    /// <summary>Messages that came.</summary>
    public long Count { get; private set; }

    /// <summary>Whether it is watched for being writable.</summary>
    public bool IsBlocked { get; set; }

    /// <summary>Connects and subscribes.</summary>
    public void Connect(IPEndPoint server, string filter)
    {
        _socket.Connect(server);
        _socket.Subscribe(filter);
    }

    /// <summary>Reads messages as long as their acknowledgements can be kept, and sends those.</summary>
    /// <returns>False if the socket takes no more now.</returns>
    public bool Serve()
    {
        if (_toSend == 0)
        {
            int read = Epoll.Receive(Handle, _in.AsSpan(_have));
            if (read == 0)
            {
                throw new IOException($"the server closed the connection of the subscriber after {Count} messages");
            }
            _have += Math.Max(0, read);
            int used = Take(_in.AsSpan(0, _have));
            _in.AsSpan(used, _have - used).CopyTo(_in);
            _have -= used;
        }
        while (_toSend > 0)
        {
            int sent = Epoll.Send(Handle, _out.AsSpan(0, _toSend));
            if (sent < 0)
            {
                return false;
            }
            _out.AsSpan(sent, _toSend - sent).CopyTo(_out);
            _toSend -= sent;
        }
        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    /// <returns>Bytes of whole packets.</returns>
    private int Take(ReadOnlySpan<byte> bytes)
    {
        int used = 0;
        while (TryReadLength(bytes[used..], out int header, out int length) && bytes.Length - used >= header + length)
        {
            ReadOnlySpan<byte> body = bytes.Slice(used + header, length);
            if ((bytes[used] & 0xF6) != (Publish | 2))
            {
                throw new IOException($"the server sent a packet {bytes[used]:X2} to the subscriber where a PUBLISH of QoS 1 was due");
            }
            body = body[(2 + BinaryPrimitives.ReadUInt16BigEndian(body))..];
            _out[_toSend] = PubAck;
            _out[_toSend + 1] = 2;
            body[..2].CopyTo(_out.AsSpan(_toSend + 2));
            _toSend += 4;
            Count++;
            used += header + length;
        }
        return used;
    }

    private static bool TryReadLength(ReadOnlySpan<byte> bytes, out int header, out int length)
    {
        length = 0;
        for (header = 1; header < bytes.Length; header++)
        {
            length |= (bytes[header] & 0x7F) << (7 * (header - 1));
            if (bytes[header] < 0x80)
            {
                header++;
                return true;
            }
        }
        return false;
    }
}
