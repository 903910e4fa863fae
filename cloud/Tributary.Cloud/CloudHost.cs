using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Tributary.Cloud.Api;
using Tributary.Cloud.Storage;

namespace Tributary.Cloud;

/// <summary>
/// The whole cloud program in one process. <see cref="StartAsync"/> returns when clients can connect; <see cref="DisposeAsync"/> ends it
/// in the order in which nothing acknowledged can be lost: clients, listeners, silo, log, control database.
/// </summary>
internal sealed class CloudHost : IAsyncDisposable
{
    private const int SiloPortTries = 5;
    private readonly Listeners _listeners;
    private readonly CloudMetrics _metrics;
    private readonly DataDirectory _data;
    private readonly WebApplication _app;
    private readonly ILogger _logger;

    private CloudHost(Listeners listeners, CloudMetrics metrics, DataDirectory data, WebApplication app, ILogger logger)
    {
        _listeners = listeners;
        _metrics = metrics;
        _data = data;
        _app = app;
        _logger = logger;
    }

    /// <summary>Where Kafka clients connect.</summary>
    public HostPort Kafka => _listeners.Kafka.Address;

    /// <summary>Where health and metrics are served.</summary>
    public HostPort Http => _listeners.Http.Address;

    /// <summary>Binds, opens the data and serves.</summary>
    /// <param name="options">What was set.</param>
    /// <param name="loggers">Where everything logs; the caller's.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="StartupException">It can't listen or open its data.</exception>
    /// <exception cref="OperationCanceledException">It was told to give up before it served.</exception>
    public static async Task<CloudHost> StartAsync(CloudOptions options, ILoggerFactory loggers, CancellationToken cancellation = default)
    {
        Listeners listeners = Listeners.Bind(options);
        var metrics = new CloudMetrics();
        DataDirectory? data = null;
        try
        {
            var events = new LogEventReporter(loggers.CreateLogger<LogEventReporter>(), metrics);
            data = DataDirectory.Open(options, TimeProvider.System, events);
            ILogger logger = loggers.CreateLogger<CloudHost>();
            WebApplication app = await StartAppAsync(options, data, listeners, metrics, loggers, logger, cancellation);
            return new CloudHost(listeners, metrics, data, app, logger);
        }
        catch
        {
            if (data is not null)
            {
                await data.DisposeAsync();
            }
            metrics.Dispose();
            listeners.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        try
        {
            try
            {
                await _app.StopAsync();
            }
            finally
            {
                await _app.DisposeAsync();
            }
        }
        finally
        {
            await _data.DisposeAsync();
            _metrics.Dispose();
            _listeners.Dispose();
        }
        _logger.Stopped();
    }

    /// <summary>Starts silo, broker and listeners. A silo port of our choice that somebody took in the meantime is chosen anew.</summary>
    private static async Task<WebApplication> StartAppAsync(
        CloudOptions options, DataDirectory data, Listeners listeners, CloudMetrics metrics, ILoggerFactory loggers, ILogger logger,
        CancellationToken cancellation)
    {
        for (int tried = 1; ; tried++)
        {
            IPEndPoint silo = ChooseSiloEndPoint(options);
            WebApplication app = CloudApp.Build(options, data, listeners, silo, metrics, loggers);
            BrokerService broker = app.Services.GetRequiredService<BrokerService>();
            try
            {
                await app.StartAsync(cancellation);
                WarnOfOpen("kafka", listeners.Kafka.EndPoint, listeners.Kafka.Address, logger);
                WarnOfOpen("http", listeners.Http.EndPoint, listeners.Http.Address, logger);
                WarnOfOpen("silo", silo, new HostPort(silo.Address.ToString(), silo.Port), logger);
                logger.Serving(listeners.Kafka.Address, broker.Advertised, listeners.Http.Address, silo, data.Path);
                return app;
            }
            catch (Exception e)
            {
                await app.DisposeAsync();
                if (FindDamage(e) is { } damage)
                {
                    throw new StartupException(damage.Message, e);
                }
                bool isSilosPort = !broker.HasBegun;
                if (!IsPortTaken(e))
                {
                    throw;
                }
                if (!isSilosPort || options.Silo is not null || tried == SiloPortTries)
                {
                    string whose = isSilosPort ? $"{silo} (silo)" : $"{listeners.Kafka.Address} (kafka) or {listeners.Http.Address} (http)";
                    throw new StartupException($"cannot listen on {whose}: the port is taken by another program", e);
                }
            }
        }
    }

    private static IPEndPoint ChooseSiloEndPoint(CloudOptions options)
    {
        if (options.Silo is { } chosen)
        {
            return new IPEndPoint(BoundSocket.Resolve("silo", chosen), chosen.Port);
        }
        using BoundSocket free = BoundSocket.Bind("silo", new HostPort(IPAddress.Loopback.ToString(), 0));
        return free.EndPoint;
    }

    private static void WarnOfOpen(string setting, IPEndPoint listener, HostPort address, ILogger logger)
    {
        if (!IPAddress.IsLoopback(listener.Address))
        {
            logger.ListenerIsOpen(setting, address);
        }
    }

    private static StoredRecordException? FindDamage(Exception? failure)
    {
        while (failure is not null and not StoredRecordException)
        {
            failure = failure.InnerException;
        }
        return (StoredRecordException?)failure;
    }

    private static bool IsPortTaken(Exception failure)
    {
        for (Exception? at = failure; at is not null; at = at.InnerException)
        {
            if (at is SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse })
            {
                return true;
            }
        }
        return false;
    }
}
