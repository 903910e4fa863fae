using System.Buffers;
using System.IO.Pipelines;
using System.Net.WebSockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Listeners;

/// <summary>
/// A WebSocket as a connection: what its binary messages hold, one after the other, is what the client sends, wherever packets begin in
/// them (MQTT 5, 6). Messages to the client are as large as what is flushed together, up to <see cref="BufferBytes"/>.
/// <para>Completing the output closes the WebSocket; the connection is closed when both directions have ended, or by
/// <see cref="Abort(ConnectionAbortedException)"/>.</para>
/// <para>Threads: <see cref="RunAsync"/> is called once; the pipes as other ones; aborting from any thread.</para>
/// </summary>
internal sealed class WebSocketTransport : ConnectionContext, IDuplexPipe
{
    /// <summary>Bytes to the client that wait before a flush does.</summary>
    private const int BufferBytes = 64 << 10;

    /// <summary>Least bytes that are received at once.</summary>
    private const int ReceiveBytes = 4 << 10;

    private readonly WebSocket _socket;
    private readonly ConnectionContext _carrier;
    private readonly Pipe _received;
    private readonly Pipe _toSend;
    private readonly CancellationTokenSource _aborted = new();
    private readonly CancellationTokenSource _closed = new();

    /// <param name="socket">The WebSocket; owned by this.</param>
    /// <param name="carrier">The connection that it runs over.</param>
    /// <param name="readBufferBytes">Most bytes that are received and not looked at.</param>
    public WebSocketTransport(WebSocket socket, ConnectionContext carrier, int readBufferBytes)
    {
        _socket = socket;
        _carrier = carrier;
        _received = new Pipe(new PipeOptions(
            pauseWriterThreshold: readBufferBytes, resumeWriterThreshold: readBufferBytes / 2, useSynchronizationContext: false));
        _toSend = new Pipe(new PipeOptions(
            pauseWriterThreshold: BufferBytes, resumeWriterThreshold: BufferBytes / 2, useSynchronizationContext: false));
        Transport = this;
        ConnectionId = carrier.ConnectionId;
        ConnectionClosed = _closed.Token;
        RemoteEndPoint = carrier.RemoteEndPoint;
        LocalEndPoint = carrier.LocalEndPoint;
    }

    /// <inheritdoc/>
    public override IDuplexPipe Transport { get; set; }

    /// <inheritdoc/>
    public override string ConnectionId { get; set; }

    /// <inheritdoc/>
    public override IFeatureCollection Features => _carrier.Features;

    /// <inheritdoc/>
    public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

    /// <inheritdoc/>
    PipeReader IDuplexPipe.Input => _received.Reader;

    /// <inheritdoc/>
    PipeWriter IDuplexPipe.Output => _toSend.Writer;

    /// <summary>Serves the connection to its end.</summary>
    public async Task RunAsync(ConnectionDelegate serve)
    {
        Task receiving = ReceiveAsync();
        Task sending = SendAsync();
        Task ended = EndAsync(receiving, sending);
        try
        {
            await serve(this);
        }
        finally
        {
            await _received.Reader.CompleteAsync();
            await _toSend.Writer.CompleteAsync();
            await _aborted.CancelAsync(); // whoever serves it has waited for the end
            await ended;
            _socket.Dispose();
            _aborted.Dispose();
            _closed.Dispose();
        }
    }

    /// <inheritdoc/>
    public override void Abort(ConnectionAbortedException abortReason)
    {
        try
        {
            _aborted.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has ended.
        }
        _carrier.Abort(abortReason);
    }

    private async Task EndAsync(Task receiving, Task sending)
    {
        await Task.WhenAll(receiving, sending);
        await _closed.CancelAsync();
    }

    private async Task ReceiveAsync()
    {
        PipeWriter writer = _received.Writer;
        Exception? failure = null;
        try
        {
            while (true)
            {
                ValueWebSocketReceiveResult received = await _socket.ReceiveAsync(writer.GetMemory(ReceiveBytes), _aborted.Token);
                if (received.MessageType == WebSocketMessageType.Close)
                {
                    break;
                }
                if (received.MessageType == WebSocketMessageType.Text)
                {
                    failure = MqttProtocolException.Malformed("a text frame came, and MQTT packets stand in binary frames"); // [MQTT-6.0.0-1]
                    break;
                }
                writer.Advance(received.Count);
                if ((await writer.FlushAsync(_aborted.Token)).IsCompleted)
                {
                    await DrainAsync();
                    break;
                }
            }
        }
        catch (Exception e) when (IsEnd(e))
        {
            failure = new ConnectionResetException("the WebSocket broke", e);
        }
        await writer.CompleteAsync(failure);
        if (failure is MqttProtocolException)
        {
            await DrainAsync();
        }
    }

    /// <summary>After the broker has closed its side: waits for the client's goodbye.</summary>
    private async Task DrainAsync()
    {
        byte[] unused = new byte[256];
        try
        {
            while ((await _socket.ReceiveAsync(unused.AsMemory(), _aborted.Token)).MessageType != WebSocketMessageType.Close)
            {
                // What comes now is too late.
            }
        }
        catch (Exception e) when (IsEnd(e))
        {
            // It goes without one.
        }
    }

    private async Task SendAsync()
    {
        PipeReader reader = _toSend.Reader;
        Exception? failure = null;
        try
        {
            while (true)
            {
                ReadResult result = await reader.ReadAsync(_aborted.Token);
                await SendAsync(result.Buffer);
                reader.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted)
                {
                    break;
                }
            }
            await SayGoodbyeAsync();
        }
        catch (Exception e) when (IsEnd(e))
        {
            failure = new ConnectionResetException("the WebSocket broke", e);
        }
        await reader.CompleteAsync(failure);
    }

    private async ValueTask SendAsync(ReadOnlySequence<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            ReadOnlyMemory<byte> first = bytes.First;
            bytes = bytes.Slice(first.Length);
            await _socket.SendAsync(first, WebSocketMessageType.Binary, endOfMessage: bytes.IsEmpty, _aborted.Token);
        }
    }

    private async Task SayGoodbyeAsync()
    {
        if (_socket.State is WebSocketState.Open or WebSocketState.CloseReceived)
        {
            await _socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, _aborted.Token);
        }
    }

    private static bool IsEnd(Exception e) => e is WebSocketException or IOException or OperationCanceledException or ObjectDisposedException;
}
