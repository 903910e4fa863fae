using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Tributary.Contracts.Kafka;

namespace Tributary.Benchmarks.Load;

/// <summary>A blocking connection that speaks frames of Kafka's protocol. Used by one thread.</summary>
internal sealed class KafkaWire : IDisposable
{
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private byte[] _answer = new byte[64 << 10];

    public KafkaWire(IPEndPoint server)
    {
        _socket.Connect(server);
        _socket.ReceiveTimeout = _socket.SendTimeout = 60_000;
    }

    /// <summary>A request with its length, as it is sent.</summary>
    public static ReadOnlyMemory<byte> Frame<TRequest>(TRequest request, short version, int correlationId)
        where TRequest : IKafkaMessage<TRequest>
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(output);
        writer.WriteInt32(0);
        new RequestHeader(TRequest.Api.Key, version, correlationId, "benchmark").Write(ref writer, TRequest.Api.IsFlexible(version));
        request.Write(ref writer, version);
        byte[] frame = output.WrittenSpan.ToArray();
        BinaryPrimitives.WriteInt32BigEndian(frame, frame.Length - sizeof(int));
        return frame;
    }

    public void Send(ReadOnlySpan<byte> frame)
    {
        while (!frame.IsEmpty)
        {
            frame = frame[_socket.Send(frame)..];
        }
    }

    /// <summary>The next response from behind its correlation id on; valid until the next call.</summary>
    public ReadOnlyMemory<byte> Receive(out int correlationId)
    {
        Fill(0, sizeof(int));
        int length = BinaryPrimitives.ReadInt32BigEndian(_answer);
        if (length > _answer.Length)
        {
            _answer = new byte[length];
        }
        Fill(0, length);
        correlationId = BinaryPrimitives.ReadInt32BigEndian(_answer);
        return _answer.AsMemory(sizeof(int)..length);
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private void Fill(int from, int to)
    {
        while (from < to)
        {
            int read = _socket.Receive(_answer.AsSpan(from..to));
            from += read > 0 ? read : throw new IOException("the server closed the connection");
        }
    }
}
