using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Tributary.Broker;
using Tributary.Contracts.Kafka;

namespace Tributary.Tests.Broker.Support;

/// <summary>A Kafka client on an in-memory connection that says exactly what a test wants said.</summary>
internal sealed class TestClient : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly MemoryConnection _connection = new();
    private readonly Task _serving;
    private int _lastCorrelationId;

    public TestClient(BrokerServer server) => _serving = Task.Run(() => server.Connections.OnConnectedAsync(_connection));

    /// <summary>Completes when the broker has ended the connection.</summary>
    public Task Ended => _serving.WaitAsync(Patience);

    public bool IsAborted => _connection.IsAborted;

    public PipeWriter Output => _connection.ToServer;

    /// <summary>Sends a request and reads its response.</summary>
    public async Task<TResponse> AskAsync<TRequest, TResponse>(IKafkaRequest<TRequest, TResponse> request, short version)
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse>
    {
        int id = await SendAsync(request, version);
        return await ReceiveAsync<TResponse>(id, version);
    }

    /// <summary>Sends a request.</summary>
    /// <returns>Its correlation id.</returns>
    public async Task<int> SendAsync<TRequest, TResponse>(IKafkaRequest<TRequest, TResponse> request, short version)
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse>
    {
        int id = ++_lastCorrelationId;
        await SendFrameAsync(Encode(request, version, id));
        return id;
    }

    /// <summary>The bytes of a request, without their length.</summary>
    public static byte[] Encode<TRequest, TResponse>(
        IKafkaRequest<TRequest, TResponse> request, short version, int correlationId, string clientId = "test")
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse>
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(buffer);
        new RequestHeader(TRequest.Api.Key, version, correlationId, clientId).Write(ref writer, TRequest.Api.IsFlexible(version));
        request.Write(ref writer, version);
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Bytes behind their length.</summary>
    public static byte[] Frame(byte[] content)
    {
        byte[] framed = new byte[sizeof(int) + content.Length];
        BinaryPrimitives.WriteInt32BigEndian(framed, content.Length);
        content.CopyTo(framed, sizeof(int));
        return framed;
    }

    /// <summary>Sends bytes behind their length.</summary>
    public async Task SendFrameAsync(byte[] content) => await Output.WriteAsync(Frame(content));

    /// <summary>Sends bytes behind their length to a broker that may have hung up.</summary>
    public async Task TrySendFrameAsync(byte[] content)
    {
        try
        {
            await SendFrameAsync(content);
        }
        catch (InvalidOperationException)
        {
            // The broker has completed its end of the pipe.
        }
    }

    /// <summary>Reads the next response, which must have this correlation id.</summary>
    public async Task<TResponse> ReceiveAsync<TResponse>(int correlationId, short version)
        where TResponse : IKafkaMessage<TResponse>
    {
        byte[] frame = await ReceiveFrameAsync() ?? throw new IOException("the broker has closed the connection");
        return Decode<TResponse>(frame, correlationId, version);
    }

    /// <summary>Reads the next response, null if the broker has closed the connection.</summary>
    public async Task<byte[]?> ReceiveFrameAsync()
    {
        using var deadline = new CancellationTokenSource(Patience);
        ReadResult read = await _connection.FromServer.ReadAtLeastAsync(sizeof(int), deadline.Token);
        if (read.Buffer.Length < sizeof(int))
        {
            return null;
        }
        int length = BinaryPrimitives.ReadInt32BigEndian(read.Buffer.Slice(0, sizeof(int)).ToArray());
        _connection.FromServer.AdvanceTo(read.Buffer.GetPosition(sizeof(int)));
        read = await _connection.FromServer.ReadAtLeastAsync(length, deadline.Token);
        if (read.Buffer.Length < length)
        {
            throw new IOException("the broker has closed the connection within a response");
        }
        byte[] frame = read.Buffer.Slice(0, length).ToArray();
        _connection.FromServer.AdvanceTo(read.Buffer.GetPosition(length));
        return frame;
    }

    /// <summary>Whether a response, or the connection's end, is there to be read now.</summary>
    public bool HasResponse()
    {
        if (!_connection.FromServer.TryRead(out ReadResult read))
        {
            return false;
        }
        bool has = !read.Buffer.IsEmpty || read.IsCompleted;
        _connection.FromServer.AdvanceTo(read.Buffer.Start);
        return has;
    }

    /// <summary>The client hangs up.</summary>
    public Task CloseAsync() => _connection.CloseAsync();

    /// <summary>Hangs up. The broker may not be done with the connection: flushes may be held up.</summary>
    public async ValueTask DisposeAsync() => await _connection.CloseAsync();

    private static TResponse Decode<TResponse>(byte[] frame, int correlationId, short version)
        where TResponse : IKafkaMessage<TResponse>
    {
        var reader = new KafkaReader(frame);
        var header = ResponseHeader.Read(ref reader, TResponse.Api.IsResponseHeaderFlexible(version));
        if (header.CorrelationId != correlationId)
        {
            throw new InvalidOperationException($"response {header.CorrelationId} came, {correlationId} was expected");
        }
        var response = TResponse.Read(ref reader, version);
        reader.ExpectEnd(typeof(TResponse).Name);
        return response;
    }
}
