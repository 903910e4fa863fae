using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace Tributary.Tests.Edge.Mqtt.Support;

/// <summary>
/// Two pipes that look to the broker like a socket of Kestrel: the connection is closed when the broker has completed its output and the
/// client has taken it, when either side breaks it, or when the client hangs up.
/// </summary>
internal sealed class MqttPipes : ConnectionContext
{
    private static int _count;
    private readonly CancellationTokenSource _closed = new();
    private readonly Pipe _toServer;
    private readonly Pipe _toClient;

    /// <param name="segmentBytes">Size of the pieces that the broker gets its input in; null: as sockets do.</param>
    /// <param name="outputBytes">Bytes after which the broker's flushes wait for the client to read.</param>
    public MqttPipes(int? segmentBytes = null, int outputBytes = 64 << 10)
    {
        _toServer = new Pipe(new PipeOptions(
            segmentBytes is { } size ? new SmallBlocks(size) : null, minimumSegmentSize: segmentBytes ?? -1,
            useSynchronizationContext: false));
        _toClient = new Pipe(new PipeOptions(
            pauseWriterThreshold: outputBytes, resumeWriterThreshold: outputBytes / 2, useSynchronizationContext: false));
        Transport = new Duplex(_toServer.Reader, _toClient.Writer);
        ConnectionId = $"test-{Interlocked.Increment(ref _count)}";
        ConnectionClosed = _closed.Token;
        RemoteEndPoint = new IPEndPoint(IPAddress.Loopback, 50_000);
    }

    public override IDuplexPipe Transport { get; set; }

    public override string ConnectionId { get; set; }

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

    public PipeWriter ToServer => _toServer.Writer;

    public PipeReader FromServer => _toClient.Reader;

    public bool IsAborted { get; private set; }

    /// <summary>The client has taken the last bytes, or hangs up.</summary>
    public void HangUp()
    {
        _toServer.Writer.Complete();
        _toClient.Reader.Complete();
        _closed.Cancel();
    }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        IsAborted = true;
        _toClient.Reader.CancelPendingRead();
        HangUp();
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    /// <summary>Blocks of exactly that size, so that packets lie in many pieces.</summary>
    private sealed class SmallBlocks(int size) : MemoryPool<byte>
    {
        public override int MaxBufferSize => size;

        public override IMemoryOwner<byte> Rent(int minBufferSize = -1) => new Block(size);

        protected override void Dispose(bool disposing)
        {
        }

        private sealed class Block(int size) : IMemoryOwner<byte>
        {
            public Memory<byte> Memory { get; } = new byte[size];

            public void Dispose()
            {
            }
        }
    }
}
