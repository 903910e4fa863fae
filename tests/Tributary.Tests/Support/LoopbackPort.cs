using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Tributary.Tests.Support;

/// <summary>A connection handler on a port of the loopback address, by Kestrel as the programs set it up.</summary>
internal sealed class LoopbackPort : IHttpApplication<object>, IAsyncDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().BuildServiceProvider();
    private readonly KestrelServer _server;
    private ListenOptions? _listener;

    private LoopbackPort(ConnectionHandler handler, int readBufferBytes)
    {
        var options = new KestrelServerOptions { ApplicationServices = _services };
        options.Listen(IPAddress.Loopback, 0, listen =>
        {
            _listener = listen;
            listen.Run(handler.OnConnectedAsync);
        });
        var transport = new SocketTransportOptions { MaxReadBufferSize = readBufferBytes, MaxWriteBufferSize = 64 << 10 };
        _server = new KestrelServer(
            Options.Create(options), new SocketTransportFactory(Options.Create(transport), NullLoggerFactory.Instance),
            NullLoggerFactory.Instance);
    }

    public IPEndPoint EndPoint => _listener!.IPEndPoint!;

    public static async Task<LoopbackPort> OpenAsync(ConnectionHandler handler, int readBufferBytes = 64 << 10)
    {
        var port = new LoopbackPort(handler, readBufferBytes);
        await port._server.StartAsync(port, CancellationToken.None);
        return port;
    }

    public async ValueTask DisposeAsync()
    {
        await _server.StopAsync(CancellationToken.None);
        _server.Dispose();
        await _services.DisposeAsync();
    }

    public object CreateContext(IFeatureCollection contextFeatures) => throw new NotSupportedException();

    public Task ProcessRequestAsync(object context) => throw new NotSupportedException();

    public void DisposeContext(object context, Exception? exception)
    {
    }
}
