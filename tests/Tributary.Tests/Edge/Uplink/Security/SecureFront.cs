using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Edge.Uplink.Security;

/// <summary>
/// Stands in front of a Kafka server without security and adds TLS and SASL as a broker would: with SASL nothing but ApiVersions is served
/// before authentication, nothing else within it, and nothing after the session's end. The rest goes through as it is.
/// </summary>
internal sealed class SecureFront : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly ConcurrentDictionary<Socket, Task> _connections = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly TimeProvider _time;
    private readonly Task _accepting;

    public SecureFront(int backend, TimeProvider? time = null)
    {
        Backend = backend;
        _time = time ?? TimeProvider.System;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Backend { get; set; }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>How it does TLS; null: not at all.</summary>
    public SslServerAuthenticationOptions? Tls { get; set; }

    /// <summary>Makes the server's side of an exchange, by mechanism; empty: no SASL.</summary>
    public Dictionary<string, Func<ISaslServer>> Mechanisms { get; } = [];

    public long SessionLifetimeMs { get; set; }

    /// <summary>Instead of serving SaslAuthenticate.</summary>
    public (ErrorCode Error, string? Words)? Refusal { get; set; }

    /// <summary>Server names of handshakes.</summary>
    public ConcurrentQueue<string> ServerNames { get; } = new();

    public int Connections => _total;

    /// <summary>Exchanges that succeeded, and the ones among them on connections that were authenticated before.</summary>
    public int SignIns => _signIns;

    public int SignInsAgain => _signInsAgain;

    /// <summary>Requests that came where none may come.</summary>
    public int Breaches => _breaches;

    private int _total;
    private int _signIns;
    private int _signInsAgain;
    private int _breaches;

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        _listener.Stop();
        await _accepting;
        foreach ((Socket socket, Task serving) in _connections)
        {
            socket.Dispose();
            await serving;
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                Socket socket = await _listener.AcceptSocketAsync(_stopping.Token);
                Interlocked.Increment(ref _total);
                _connections[socket] = Task.Run(() => ServeAsync(socket));
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
        {
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        using (socket)
        using (var backend = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true })
        {
            try
            {
                Stream client = new NetworkStream(socket);
                if (Tls is { } tls)
                {
                    var encrypted = new SslStream(client);
                    await encrypted.AuthenticateAsServerAsync((_, hello, _, _) =>
                    {
                        ServerNames.Enqueue(hello.ServerName);
                        return ValueTask.FromResult(tls);
                    }, null, _stopping.Token);
                    client = encrypted;
                }
                await backend.ConnectAsync(IPAddress.Loopback, Backend, _stopping.Token);
                await new Session(this, client, new NetworkStream(backend)).RunAsync();
            }
            catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException or AuthenticationException)
            {
            }
        }
        _connections.TryRemove(socket, out _);
    }

    /// <summary>One connection. Requests are served one after the other, so the backend's answers can't be mixed up.</summary>
    private sealed class Session(SecureFront front, Stream client, Stream backend)
    {
        private readonly long _begun = front._time.GetTimestamp();
        private ISaslServer? _exchange;
        private string? _mechanism;
        private bool _isAuthenticated;
        private TimeSpan _until = TimeSpan.MaxValue;

        public async Task RunAsync()
        {
            while (await ReadAsync(client) is { } frame)
            {
                if (Handle(frame) is { } own)
                {
                    await WriteAsync(client, own);
                    continue;
                }
                if (IsKeptOut(frame))
                {
                    Interlocked.Increment(ref front._breaches);
                    return;
                }
                await WriteAsync(backend, frame);
                if (await ReadAsync(backend) is not { } answer)
                {
                    return;
                }
                await WriteAsync(client, BinaryPrimitives.ReadInt16BigEndian(frame) == ApiVersionsRequest.ApiKey ? WithSasl(frame, answer) : answer);
            }
        }

        private bool IsKeptOut(byte[] frame) => front.Mechanisms.Count > 0 && BinaryPrimitives.ReadInt16BigEndian(frame) != ApiVersionsRequest.ApiKey
            && (!_isAuthenticated || _exchange is not null || front._time.GetElapsedTime(_begun) > _until);

        private byte[]? Handle(byte[] frame)
        {
            var reader = new KafkaReader(frame);
            RequestHeader header = RequestHeader.ReadFixedPart(ref reader);
            if (front.Mechanisms.Count == 0 || header.ApiKey is not (SaslHandshakeRequest.ApiKey or SaslAuthenticateRequest.ApiKey))
            {
                return null;
            }
            bool isHandshake = header.ApiKey == SaslHandshakeRequest.ApiKey;
            KafkaApi api = isHandshake ? SaslHandshakeRequest.Api : SaslAuthenticateRequest.Api;
            header.ReadRest(ref reader, api.IsFlexible(header.ApiVersion));
            return isHandshake
                ? Encode(header, Begin(SaslHandshakeRequest.Read(ref reader, header.ApiVersion)))
                : Encode(header, Go(SaslAuthenticateRequest.Read(ref reader, header.ApiVersion)));
        }

        private SaslHandshakeResponse Begin(SaslHandshakeRequest request)
        {
            bool isKnown = front.Mechanisms.TryGetValue(request.Mechanism, out Func<ISaslServer>? make) && (_mechanism ?? request.Mechanism) == request.Mechanism;
            _exchange = isKnown ? make!() : null;
            _mechanism = request.Mechanism;
            return new SaslHandshakeResponse { ErrorCode = isKnown ? ErrorCode.None : ErrorCode.UnsupportedSaslMechanism, Mechanisms = [.. front.Mechanisms.Keys] };
        }

        private SaslAuthenticateResponse Go(SaslAuthenticateRequest request)
        {
            if (_exchange is null)
            {
                return new SaslAuthenticateResponse { ErrorCode = ErrorCode.IllegalSaslState };
            }
            if (front.Refusal is { } refusal)
            {
                return new SaslAuthenticateResponse { ErrorCode = refusal.Error, ErrorMessage = refusal.Words };
            }
            if (_exchange.Answer(request.AuthBytes.ToArray(), out bool isDone) is not { } token)
            {
                return new SaslAuthenticateResponse { ErrorCode = ErrorCode.SaslAuthenticationFailed, ErrorMessage = "Authentication failed: Invalid username or password" };
            }
            if (isDone)
            {
                Interlocked.Increment(ref front._signIns);
                Interlocked.Add(ref front._signInsAgain, _isAuthenticated ? 1 : 0);
                _exchange = null;
                _isAuthenticated = true;
                _until = front.SessionLifetimeMs > 0
                    ? front._time.GetElapsedTime(_begun) + TimeSpan.FromMilliseconds(front.SessionLifetimeMs) : TimeSpan.MaxValue;
            }
            return new SaslAuthenticateResponse { AuthBytes = token, SessionLifetimeMs = isDone ? front.SessionLifetimeMs : 0 };
        }

        /// <summary>A broker lists both, also without SASL.</summary>
        private static byte[] WithSasl(byte[] request, byte[] answer)
        {
            var reader = new KafkaReader(request);
            RequestHeader header = RequestHeader.ReadFixedPart(ref reader);
            var body = new KafkaReader(answer.AsMemory(sizeof(int)));
            ApiVersionsResponse response = ApiVersionsResponse.Read(ref body, header.ApiVersion);
            response.ApiKeys =
            [
                .. response.ApiKeys,
                new ApiVersionsResponse.ApiVersion { ApiKey = SaslHandshakeRequest.ApiKey, MinVersion = 0, MaxVersion = 1 },
                new ApiVersionsResponse.ApiVersion { ApiKey = SaslAuthenticateRequest.ApiKey, MinVersion = 0, MaxVersion = 2 },
            ];
            return Encode(header, response);
        }

        private static byte[] Encode<T>(RequestHeader header, T response)
            where T : IKafkaMessage<T>
        {
            var output = new ArrayBufferWriter<byte>();
            var writer = new KafkaWriter(output);
            writer.WriteInt32(header.CorrelationId);
            if (T.Api.IsResponseHeaderFlexible(header.ApiVersion))
            {
                writer.WriteUnsignedVarint(0);
            }
            response.Write(ref writer, header.ApiVersion);
            return output.WrittenSpan.ToArray();
        }

        private static async Task<byte[]?> ReadAsync(Stream stream)
        {
            byte[] length = new byte[sizeof(int)];
            if (await stream.ReadAtLeastAsync(length, length.Length, throwOnEndOfStream: false) < length.Length)
            {
                return null;
            }
            int size = BinaryPrimitives.ReadInt32BigEndian(length);
            if (size is < 8 or > 16 << 20)
            {
                return null; // as Kafka's brokers: what is no request is not answered
            }
            byte[] frame = new byte[size];
            await stream.ReadExactlyAsync(frame);
            return frame;
        }

        private static async Task WriteAsync(Stream stream, byte[] frame)
        {
            byte[] whole = new byte[sizeof(int) + frame.Length];
            BinaryPrimitives.WriteInt32BigEndian(whole, frame.Length);
            frame.CopyTo(whole, sizeof(int));
            await stream.WriteAsync(whole);
        }
    }
}
