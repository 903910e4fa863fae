using System.Net;
using System.Runtime.ExceptionServices;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Tributary.Edge.Access;
using Tributary.Edge.Buffer;
using Tributary.Edge.Clock;
using Tributary.Edge.Ingest;
using Tributary.Edge.Listeners;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Edge.Routes;
using Tributary.Edge.Source;
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
    private readonly EdgeClock _clock;
    private readonly RecentProblems _loggers;
    private readonly ILogger _logger;
    private readonly Stack<Func<ValueTask>> _stops = new();
    private readonly AccessMetrics _accessMetrics = new();
    private MqttEndpoints? _endpoints;
    private ListenOptions? _httpListener;
    private int _httpConnections;

    private EdgeAgent(EdgeOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        _options = options;
        _time = time;
        _loggers = new RecentProblems(loggers, time);
        _clock = new EdgeClock(new SystemClocks(), options.Clock, time, _loggers.CreateLogger<EdgeClock>());
        _logger = _loggers.CreateLogger<EdgeAgent>();
    }

    /// <summary>Where MQTT clients connect, in plain TCP.</summary>
    public IPEndPoint Mqtt => Endpoints[0].Address;

    /// <summary>All addresses that are served, by setting.</summary>
    public IReadOnlyList<(string Setting, IPEndPoint Address)> Endpoints => [.. _endpoints!.Addresses, ("http", Http)];

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
        _stops.Push(() => Dispose(_clock));
        SessionStore sessions = OpenSessions(buffer, storage); // before anything is trimmed
        EdgeUplink uplink = StartUplink(buffer, storage);
        var ingest = new Ingestor(_options.Routes, buffer, _options.Ingest, _clock, _loggers);
        RoutesWatch? routes = WatchRoutes(ingest);
        IAccess access = OpenAccess();
        var mqtt = new MqttServer(_options.MqttServer, ingest, sessions, _clock, _loggers, access);
        _stops.Push(mqtt.DisposeAsync);
        BrokerSource? source = StartSource(ingest, buffer, storage);
        var reader = new StatusReader(
            _options.Id, $"{_options.Uplink.CloudHost}:{_options.Uplink.CloudPort}", _options.Buffer, buffer, ingest, mqtt.Metrics, sessions.Count,
            uplink, _clock, source, routes, DeviceWrites.Of(buffer.Directory.Path), _loggers);
        _stops.Push(() => Dispose(reader));
        var topics = new SystemTopics(reader.Read, mqtt, _options.MqttServer.SysInterval, _time, _logger);
        _stops.Push(() =>
        {
            topics.Dispose();
            return ValueTask.CompletedTask;
        });
        await ListenAsync(mqtt, reader, buffer.DeadLetters);
        _logger.AgentStarted(
            _options.Id, StatusReader.Version, string.Join(", ", _endpoints!.Addresses.Select(endpoint => $"{endpoint.Setting} {endpoint.Address}")),
            Http, $"{_options.Uplink.CloudHost}:{_options.Uplink.CloudPort}");
    }

    private EdgeBuffer OpenBuffer(FileStorage storage)
    {
        EdgeBuffer? buffer = null;
        try
        {
            buffer = EdgeBuffer.Open(storage, Path.GetFullPath(_options.DataDirectory), _options.Buffer, _clock, _loggers);
            AgentIdentity.Claim(storage, buffer.Directory.Path, _options.Id);
            _clock.Open(
                storage, buffer.Directory.Path, buffer.Partitions.Any(partition => partition.Log.FlushedEnd > 0), buffer.Directory.Save);
            return buffer;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            buffer?.DisposeAsync().AsTask().GetAwaiter().GetResult();
            throw new StartException(e.Message, e);
        }
    }

    private IAccess OpenAccess()
    {
        _stops.Push(() => Dispose(_accessMetrics));
        ListenerOptions listeners = _options.Listeners;
        if (listeners.UsersFile is not { } file)
        {
            return new ListenerAccess(_accessMetrics);
        }
        try
        {
            var users = new UserAccess(file, listeners.FileCheckInterval, _accessMetrics, _time, _loggers.CreateLogger<UserAccess>());
            _stops.Push(() => Dispose(users));
            return users;
        }
        catch (UsersFileException e)
        {
            throw new StartException(e.Message, e);
        }
    }

    private TlsHandshakes? OpenTls()
    {
        if (_options.Listeners.Tls is not { } tls)
        {
            return null;
        }
        try
        {
            ILogger logger = _loggers.CreateLogger<TlsCertificates>();
            var certificates = new TlsCertificates(tls, _options.Listeners.FileCheckInterval, _accessMetrics, _time, logger);
            _stops.Push(() => Dispose(certificates));
            return new TlsHandshakes(certificates, _accessMetrics, _time, logger);
        }
        catch (TlsException e)
        {
            throw new StartException(e.Message, e);
        }
    }

    private static ValueTask Dispose(IDisposable disposable)
    {
        disposable.Dispose();
        return ValueTask.CompletedTask;
    }

    private SessionStore OpenSessions(EdgeBuffer buffer, FileStorage storage)
    {
        try
        {
            return SessionStore.Open(buffer, storage, _options.MqttServer, _clock, _loggers);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartException($"the MQTT sessions can't be read: {e.Message}", e);
        }
    }

    private EdgeUplink StartUplink(EdgeBuffer buffer, FileStorage storage)
    {
        var counters = new UplinkCounters();
        var cloud = new KafkaCloud(_options.Uplink, counters, _time, _loggers);
        var events = new EdgeEvents(buffer, _options.Id, _loggers.CreateLogger<EdgeEvents>());
        var uplink = new EdgeUplink(
            buffer, storage, buffer.DeadLetters, _options.Uplink, cloud, counters, _clock, _loggers, events, _options.Buffer.PriorityOf);
        _stops.Push(uplink.DisposeAsync);
        cloud.Start();
        uplink.Start();
        _clock.SendTo(events);
        return uplink;
    }

    private RoutesWatch? WatchRoutes(Ingestor ingest)
    {
        if (_options.RoutesFile is not { } file)
        {
            return null;
        }
        var watch = new RoutesWatch(file, _options.Listeners.FileCheckInterval, ingest, _time, _loggers.CreateLogger<RoutesWatch>());
        _stops.Push(() => Dispose(watch));
        return watch;
    }

    private BrokerSource? StartSource(Ingestor ingest, EdgeBuffer buffer, FileStorage storage)
    {
        if (_options.Source is not { } options)
        {
            return null;
        }
        var source = new BrokerSource(options, _options.MqttServer, ingest, storage, buffer.Directory.Path, _time, _loggers);
        _stops.Push(source.DisposeAsync);
        source.Start();
        return source;
    }

    private async Task ListenAsync(MqttServer mqtt, StatusReader reader, DeadLetters deadLetters)
    {
        ServiceProvider services = new ServiceCollection().AddOptions().AddSingleton<ILoggerFactory>(_loggers).BuildServiceProvider();
        _stops.Push(services.DisposeAsync);
        var pages = new StatusPages(
            reader, deadLetters, services, _time, _loggers.CreateLogger<StatusPages>(), mqtt.Metrics.Meter, _accessMetrics.Meter);
        _stops.Push(() => Dispose(pages));
        var webSockets = new WebSocketEntrance(
            _options.Listeners.AllowedOrigins, _options.MqttServer, mqtt.Connections.OnConnectedAsync, services, _accessMetrics, _time,
            _loggers.CreateLogger<WebSocketEntrance>());
        _endpoints = new MqttEndpoints(_options.Listeners, mqtt, OpenTls(), webSockets);
        var server = new KestrelServer(
            Options.Create(Listeners(_endpoints, services)),
            new SocketTransportFactory(Options.Create(Transport()), _loggers), _loggers);
        _stops.Push(() => StopListeningAsync(server, mqtt));
        try
        {
            await server.StartAsync(new HttpApplication(pages, webSockets), CancellationToken.None);
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException)
        {
            throw new StartException($"can't listen on {Which(e)}: {(e.InnerException?.InnerException ?? e.InnerException ?? e).Message}", e);
        }
        TellOfOpen();
    }

    private void TellOfOpen()
    {
        foreach ((string setting, IPEndPoint address) in Endpoints.Where(endpoint => !IPAddress.IsLoopback(endpoint.Address.Address)))
        {
            if (setting is not ("mqtts" or "wss"))
            {
                _logger.OpenWithoutTls(setting, address);
            }
            if (setting != "http" && _options.Listeners.AllowAnonymous)
            {
                _logger.OpenToEverybody(setting, address);
            }
        }
    }

    private SocketTransportOptions Transport() => new()
    {
        MaxReadBufferSize = _options.MqttServer.ReadBufferBytes,
        MaxWriteBufferSize = WriteBufferBytes,
        // What is done with a read is short and never waits: handing it to another thread would cost more.
        UnsafePreferInlineScheduling = true,
    };

    private KestrelServerOptions Listeners(MqttEndpoints endpoints, IServiceProvider services)
    {
        var options = new KestrelServerOptions { ApplicationServices = services, AddServerHeader = false };
        options.Limits.MaxRequestBodySize = MaxHttpBodyBytes;
        endpoints.AddTo(options);
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
        List<(string Setting, IPEndPoint Address)> all = [.. _endpoints!.Wanted, ("http", _options.Http)];
        int named = all.FindIndex(endpoint => failure.Message.Contains($"{endpoint.Address}:", StringComparison.Ordinal));
        return named >= 0 ? Describe(all[named]) : "one of " + string.Join(", ", all.Select(Describe));

        static string Describe((string Setting, IPEndPoint Address) endpoint) => $"{endpoint.Address} (setting '{endpoint.Setting}')";
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
