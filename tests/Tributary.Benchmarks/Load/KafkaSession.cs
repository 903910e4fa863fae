using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Tributary.Contracts.Kafka;

namespace Tributary.Benchmarks.Load;

/// <summary>A connection that speaks Kafka's protocol without a thread of its own, for loads of many clients. Used by one caller at a time.</summary>
internal sealed class KafkaSession : IDisposable
{
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private byte[] _answer = new byte[4 << 10];
    private int _lastCorrelation;

    private KafkaSession()
    {
    }

    public static async Task<KafkaSession> OpenAsync(IPEndPoint server)
    {
        var session = new KafkaSession();
        await session._socket.ConnectAsync(server);
        return session;
    }

    /// <summary>Sends a request and waits for its answer.</summary>
    public async Task<TResponse> AskAsync<TRequest, TResponse>(IKafkaRequest<TRequest, TResponse> request, short version)
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse>
    {
        await SendAsync(KafkaWire.Frame((TRequest)request, version, ++_lastCorrelation));
        return KafkaFrame.ReadResponse<TResponse>((await ReceiveAsync()).ToArray(), version);
    }

    /// <summary>Sends a frame.</summary>
    public async Task SendAsync(ReadOnlyMemory<byte> frame)
    {
        while (!frame.IsEmpty)
        {
            frame = frame[await _socket.SendAsync(frame)..];
        }
    }

    /// <summary>The next response from behind its correlation id on; valid until the next call.</summary>
    public async Task<ReadOnlyMemory<byte>> ReceiveAsync()
    {
        await FillAsync(0, sizeof(int));
        int length = BinaryPrimitives.ReadInt32BigEndian(_answer);
        if (length > _answer.Length)
        {
            _answer = new byte[length];
        }
        await FillAsync(0, length);
        return _answer.AsMemory(sizeof(int)..length);
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private async Task FillAsync(int from, int to)
    {
        while (from < to)
        {
            int read = await _socket.ReceiveAsync(_answer.AsMemory(from..to));
            from += read > 0 ? read : throw new IOException("the server closed the connection");
        }
    }
}
