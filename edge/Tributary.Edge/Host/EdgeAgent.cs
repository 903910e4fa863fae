using System.Net;
using System.Runtime.ExceptionServices;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Status;
using Tributary.Edge.Uplink;
using Tributary.Log.Storage;

namespace Tributary.Edge.Host;

/// <summary>
/// A running agent: buffer, uplink, ingest and listeners, begun in this order and stopped in the other one. It needs nothing from the
/// cloud to start and to take messages in. After a crash at any point the next start goes on from the data directory.
/// </summary>
internal sealed class EdgeAgent : IAsyncDisposable
{
    /// <summary>Most HTTP connections at a time; one more is closed at once.</summary>
    private const int MaxHttpConnections = 64;

    /// <summary>Most bytes of an HTTP request's body: no page reads one.</summary>
    private const int MaxHttpBodyBytes = 4096;

    /// <summary>Bytes that a connection's pipe holds for a client: what is written beyond waits until it has taken some.</summary>
    private const int WriteBufferBytes = 64 << 10;

    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(10);
    private readonly EdgeOptions _options;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly Stack<Func<ValueTask>> _stops = new();
    private ListenOptions? _mqttListener;
    private ListenOptions? _httpListener;
    private int _httpConnections;

    private EdgeAgent(EdgeOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        _options = options;
        _time = time;
        _loggers = loggers;
        _logger = loggers.CreateLogger<EdgeAgent>();
    }

    /// <summary>Where MQTT clients connect.</summary>
    public IPEndPoint Mqtt => _mqttListener?.IPEndPoint ?? _options.Mqtt;

    /// <summary>Where status and metrics are served.</summary>
    public IPEndPoint Http => _httpListener?.IPEndPoint ?? _options.Http;

    /// <summary>Starts an agent. It accepts connections when the task is done.</summary>
    /// <exception cref="StartException">It can't open its data or listen.</exception>
    public static async Task<EdgeAgent> StartAsync(EdgeOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        var agent = new EdgeAgent(options, time, loggers);
        try
        {
            await agent.StartAsync();
            return agent;
        }
        catch
        {
            await agent.StopAsync();
            throw;
        }
    }

    /// <summary>Tells of settings in the environment that nothing here has.</summary>
    public void ReportUnknown(IEnumerable<string> sources)
    {
        foreach (string source in sources)
        {
            _logger.UnknownSetting(source);
        }
    }

    /// <summary>
    /// Takes no more connections, lets those there are be answered, saves how far the uplink came, flushes the buffer and gives the
    /// directory free.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        _logger.AgentStops(_options.Id);
        await StopAsync();
        _logger.AgentStopped(_options.Id);
    }

    private async Task StartAsync()
    {
        var storage = new FileStorage();
        EdgeBuffer buffer = OpenBuffer(storage);
        _stops.Push(buffer.DisposeAsync);
        EdgeUplink uplink = StartUplink(buffer, storage);
        var ingest = new Ingestor(RouteTable.Default, buffer, _options.Ingest, _time, _loggers);
        var mqtt = new MqttServer(_options.MqttServer, ingest, _time, _loggers);
        _stops.Push(mqtt.DisposeAsync);
        var reader = new StatusReader(
            _options.Id, $"{_options.Uplink.CloudHost}:{_options.Uplink.CloudPort}", _options.Buffer, buffer, ingest, mqtt.Metrics, uplink, _time);
        await ListenAsync(mqtt, reader, buffer.DeadLetters);
        _logger.AgentStarted(_options.Id, StatusReader.Version, Mqtt, Http, $"{_options.Uplink.CloudHost}:{_options.Uplink.CloudPort}");
    }

    private EdgeBuffer OpenBuffer(FileStorage storage)
    {
        EdgeBuffer? buffer = null;
        try
        {
            buffer = EdgeBuffer.Open(storage, Path.GetFullPath(_options.DataDirectory), _options.Buffer, _time, _loggers);
            AgentIdentity.Claim(storage, buffer.Directory.Path, _options.Id);
            return buffer;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            buffer?.DisposeAsync().AsTask().GetAwaiter().GetResult();
            throw new StartException(e.Message, e);
        }
    }

    private EdgeUplink StartUplink(EdgeBuffer buffer, FileStorage storage)
    {
        var counters = new UplinkCounters();
        var cloud = new KafkaCloud(_options.Uplink, counters, _time, _loggers);
        var uplink = new EdgeUplink(buffer, storage, buffer.DeadLetters, _options.Uplink, cloud, counters, _time, _loggers);
        _stops.Push(uplink.DisposeAsync);
        cloud.Start();
        uplink.Start();
        return uplink;
    }

    private async Task ListenAsync(MqttServer mqtt, StatusReader reader, DeadLetters deadLetters)
    {
        ServiceProvider services = new ServiceCollection().AddOptions().AddSingleton(_loggers).BuildServiceProvider();
        _stops.Push(services.DisposeAsync);
        var pages = new StatusPages(reader, deadLetters, services, _loggers.CreateLogger<StatusPages>());
        _stops.Push(() =>
        {
            pages.Dispose();
            return ValueTask.CompletedTask;
        });
        var server = new KestrelServer(
            Options.Create(Listeners(mqtt, services)),
            new SocketTransportFactory(Options.Create(Transport()), _loggers), _loggers);
        _stops.Push(() => StopListeningAsync(server, mqtt));
        try
        {
            await server.StartAsync(pages, CancellationToken.None);
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException)
        {
            throw new StartException($"can't listen on {Which(e)}: {(e.InnerException?.InnerException ?? e.InnerException ?? e).Message}", e);
        }
        foreach (IPEndPoint open in new[] { Mqtt, Http }.Where(endpoint => !IPAddress.IsLoopback(endpoint.Address)))
        {
            _logger.OpenToOthers(open);
        }
    }

    private SocketTransportOptions Transport() =>
        new() { MaxReadBufferSize = _options.MqttServer.ReadBufferBytes, MaxWriteBufferSize = WriteBufferBytes };

    private KestrelServerOptions Listeners(MqttServer mqtt, IServiceProvider services)
    {
        var options = new KestrelServerOptions { ApplicationServices = services, AddServerHeader = false };
        options.Limits.MaxRequestBodySize = MaxHttpBodyBytes;
        options.Listen(_options.Mqtt, listen =>
        {
            _mqttListener = listen;
            listen.Run(mqtt.Connections.OnConnectedAsync);
        });
        options.Listen(_options.Http, listen =>
        {
            _httpListener = listen;
            listen.Protocols = HttpProtocols.Http1;
            listen.Use(LimitHttp);
        });
        return options;
    }

    private ConnectionDelegate LimitHttp(ConnectionDelegate next) => async connection =>
    {
        try
        {
            if (Interlocked.Increment(ref _httpConnections) > MaxHttpConnections)
            {
                connection.Abort();
                return;
            }
            await next(connection);
        }
        finally
        {
            Interlocked.Decrement(ref _httpConnections);
        }
    };

    /// <summary>The listener that failed, as far as Kestrel's message tells.</summary>
    private string Which(Exception failure)
    {
        bool isHttp = failure.Message.Contains(_options.Http.ToString(), StringComparison.Ordinal);
        return isHttp && !_options.Http.Equals(_options.Mqtt) ? $"{_options.Http} (setting 'http')" : $"{_options.Mqtt} (setting 'mqtt')";
    }

    /// <summary>The listeners close first; clients then get what they wait for, and are told to go.</summary>
    private static async ValueTask StopListeningAsync(KestrelServer server, MqttServer mqtt)
    {
        using var limit = new CancellationTokenSource(StopLimit);
        Task stopping = server.StopAsync(limit.Token);
        await mqtt.DisposeAsync();
        await stopping;
        server.Dispose();
    }

    /// <summary>Stops everything, also when some of it fails to: the buffer comes last and must be closed cleanly.</summary>
    private async Task StopAsync()
    {
        ExceptionDispatchInfo? failure = null;
        while (_stops.TryPop(out Func<ValueTask>? stop))
        {
            try
            {
                await stop();
            }
            catch (Exception e)
            {
                failure ??= ExceptionDispatchInfo.Capture(e);
            }
        }
        failure?.Throw();
    }
}
