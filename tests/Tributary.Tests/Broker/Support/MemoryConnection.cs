using System.IO.Pipelines;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace Tributary.Tests.Broker.Support;

/// <summary>Two pipes that look to a connection handler like a socket. The test holds the other ends.</summary>
internal sealed class MemoryConnection : ConnectionContext
{
    private static int _count;
    private readonly CancellationTokenSource _closed = new();
    private readonly Pipe _toServer = new(new PipeOptions(useSynchronizationContext: false));
    private readonly Pipe _toClient = new(new PipeOptions(useSynchronizationContext: false));

    public MemoryConnection()
    {
        Transport = new Duplex(_toServer.Reader, _toClient.Writer);
        ConnectionId = $"test-{Interlocked.Increment(ref _count)}";
        ConnectionClosed = _closed.Token;
        RemoteEndPoint = new IPEndPoint(IPAddress.Loopback, 50_000);
    }

    public override IDuplexPipe Transport { get; set; }

    public override string ConnectionId { get; set; }

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

    /// <summary>What the client writes to.</summary>
    public PipeWriter ToServer => _toServer.Writer;

    /// <summary>What the client reads from.</summary>
    public PipeReader FromServer => _toClient.Reader;

    public bool IsAborted { get; private set; }

    /// <summary>The client hangs up.</summary>
    public async Task CloseAsync()
    {
        await _toServer.Writer.CompleteAsync();
        await _toClient.Reader.CompleteAsync();
        await _closed.CancelAsync();
    }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        IsAborted = true;
        _toServer.Writer.Complete();
        _toClient.Writer.Complete();
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
