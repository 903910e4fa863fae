using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using Orleans.Configuration;
using Orleans.Runtime;
using Tributary.Broker;
using Tributary.Broker.Groups;
using Tributary.Broker.Metadata;
using Tributary.Broker.Transactions;
using Tributary.Cloud.Api;
using Tributary.Cloud.Grains;
using Tributary.Cloud.Storage;

namespace Tributary.Cloud;

/// <summary>
/// Puts the program together. Hosted services start in the order in which they are added: silo, broker, and last Kestrel, so that a
/// client that can connect can be served.
/// </summary>
internal static class CloudApp
{
    private const string SystemMeter = "System.Runtime";
    private const string KestrelMeter = "Microsoft.AspNetCore.Server.Kestrel";
    private static readonly double[] DurationSeconds =
        [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

    /// <summary>
    /// Grains on other silos whose place is remembered. Orleans takes the memory for all of them, by default a million, at once.
    /// </summary>
    private const int DirectoryCacheSize = 10_000;

    /// <summary>Bytes of responses that a connection's pipe holds: what is written beyond waits until the client has taken some.</summary>
    private const int WriteBufferBytes = 64 << 10;

    private const string OrleansId = "tributary";

    /// <summary>Builds the application; nothing is started.</summary>
    /// <param name="options">What was set.</param>
    /// <param name="data">The open data directory; the caller's.</param>
    /// <param name="listeners">The bound sockets.</param>
    /// <param name="silo">Where the silo listens.</param>
    /// <param name="metrics">What is counted; the caller's.</param>
    /// <param name="loggers">Where everything logs; the caller's.</param>
    public static WebApplication Build(
        CloudOptions options, DataDirectory data, Listeners listeners, IPEndPoint silo, CloudMetrics metrics, ILoggerFactory loggers)
    {
        // The empty builder: no appsettings.json of the working directory, no ASPNETCORE_URLS, nothing that isn't said here.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "tributary" });
        IServiceCollection services = builder.Services;
        services.AddSingleton(loggers);
        services.AddSingleton(options);
        services.AddSingleton(metrics);
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton<IHostLifetime, CallersLifetime>();
        services.Configure<HostOptions>(host => host.ShutdownTimeout = options.ShutdownLimit);
        builder.UseOrleans(orleans => AddSilo(orleans, data.Control, silo, options));
        AddGroups(services, options.Broker.Groups, data.Control);
        AddTransactions(services, options.Broker.Transactions, data.Control);
        AddBroker(services, options, data, listeners);
        services.AddRoutingCore();
        services.AddOpenTelemetry().ConfigureResource(resource => resource.AddService("tributary")).WithMetrics(meters => meters
            .AddMeter(BrokerMetrics.MeterName, CloudMetrics.MeterName, SystemMeter, KestrelMeter)
            .AddView("tributary.broker.request_duration", new ExplicitBucketHistogramConfiguration { Boundaries = DurationSeconds })
            .AddView("tributary.broker.group_commit_duration", new ExplicitBucketHistogramConfiguration { Boundaries = DurationSeconds })
            .AddView("tributary.broker.group_rebalance_duration", new ExplicitBucketHistogramConfiguration { Boundaries = DurationSeconds })
            .AddView("tributary.broker.transaction_completion_duration", new ExplicitBucketHistogramConfiguration { Boundaries = DurationSeconds })
            .AddPrometheusExporter());
        Listen(builder, listeners, options.Broker);
        WebApplication app = builder.Build();
        app.MapHealth(app.Services.GetRequiredService<Readiness>());
        app.MapPrometheusScrapingEndpoint("/metrics");
        return app;
    }

    /// <summary>Sets a silo of one up, with its records in the control database.</summary>
    private static void AddSilo(ISiloBuilder orleans, ControlDatabase control, IPEndPoint silo, CloudOptions options)
    {
        orleans.UseLocalhostClustering(silo.Port, gatewayPort: 0, primarySiloEndpoint: null, serviceId: OrleansId, clusterId: OrleansId);
        orleans.Configure<EndpointOptions>(endpoint => endpoint.AdvertisedIPAddress = silo.Address);
        orleans.Configure<GrainDirectoryOptions>(directory => directory.CacheSize = DirectoryCacheSize);
        orleans.Configure<SiloOptions>(names => names.SiloName = CloudOptions.BrokerName);
        orleans.Services.AddSingleton(new ClusterLimits(options.MaxTopics, options.MaxPartitions));
        orleans.AddRecordStorage(control);
    }

    private static void AddBroker(IServiceCollection services, CloudOptions options, DataDirectory data, Listeners listeners)
    {
        services.AddSingleton<GrainControlPlane>();
        services.AddSingleton<IControlPlane>(provider => provider.GetRequiredService<GrainControlPlane>());
        services.AddSingleton(provider => new BrokerServer(
            options.Broker, data.Logs, provider.GetRequiredService<IControlPlane>(),
            provider.GetRequiredService<GrainGroupCoordinator>(), provider.GetRequiredService<GrainTransactionCoordinator>(),
            TimeProvider.System, provider.GetRequiredService<ILoggerFactory>()));
        services.AddSingleton<ITransactionParticipants>(provider => new TransactionParticipants(
            provider.GetRequiredService<BrokerServer>(), provider.GetRequiredService<GrainGroupCoordinator>(),
            provider.GetRequiredService<IControlPlane>(), provider.GetRequiredService<TimeProvider>(), options.Broker));
        services.AddSingleton(provider => new Readiness(
            data.Storage, data.Logs.Path, TimeProvider.System, provider.GetRequiredService<ISiloStatusOracle>()));
        services.AddSingleton(provider =>
            ActivatorUtilities.CreateInstance<BrokerService>(
                provider, new AdvertisedAddress(options.KafkaAdvertised ?? listeners.Kafka.Advertisable)));
        services.AddHostedService(provider => provider.GetRequiredService<BrokerService>());
        services.AddHostedService<GroupUpkeep>();
        services.AddHostedService<TransactionUpkeep>();
    }

    /// <summary>Sets up who works for consumer groups.</summary>
    internal static void AddGroups(IServiceCollection services, GroupOptions options, ControlDatabase control)
    {
        services.AddSingleton(options);
        services.AddSingleton<GroupDirectory>();
        services.AddSingleton<IGroupStore>(_ => new GroupStore(control, options));
        services.AddSingleton(provider => new GroupContext(
            options, provider.GetRequiredService<IGroupStore>(), provider.GetRequiredService<GroupDirectory>(),
            () => provider.GetRequiredService<IControlPlane>().Snapshot.Topics, provider.GetRequiredService<GrainTransactionCoordinator>(),
            provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<GroupHost>>()));
        services.AddSingleton<GrainGroupCoordinator>();
        services.AddSingleton<ITopicFollower, GroupTopicFollower>();
    }

    /// <summary>Sets up who decides on transactions; where they end is the caller's to add.</summary>
    internal static void AddTransactions(IServiceCollection services, TransactionOptions options, ControlDatabase control)
    {
        services.AddSingleton(options);
        services.AddSingleton<ITransactionStore>(_ => new TransactionStore(control, options));
        services.AddSingleton(provider => new TransactionContext(
            options, provider.GetRequiredService<ITransactionStore>(), provider.GetRequiredService<ITransactionParticipants>(),
            provider.GetRequiredService<IControlPlane>().NextProducerIdAsync, provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<TransactionHost>>()));
        services.AddSingleton<GrainTransactionCoordinator>();
    }

    private static void Listen(WebApplicationBuilder builder, Listeners listeners, BrokerOptions limits)
    {
        builder.WebHost.UseKestrelCore().UseSockets(); // the latter hands the factory on
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>, TransportMemoryFactory>();
        builder.Services.Configure<SocketTransportOptions>(transport =>
        {
            transport.CreateBoundListenSocket = listeners.Take;
            transport.MaxReadBufferSize = limits.ConnectionReadBytes;
            transport.MaxWriteBufferSize = WriteBufferBytes;
        });
        builder.WebHost.ConfigureKestrel((_, kestrel) =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(listeners.Http.EndPoint);
            kestrel.Listen(listeners.Kafka.EndPoint, listener =>
                listener.Run(listener.ApplicationServices.GetRequiredService<BrokerServer>().Connections.OnConnectedAsync));
        });
    }
}

/// <summary>Leaves signals to the caller of the host, who hears them before there is a host.</summary>
internal sealed class CallersLifetime : IHostLifetime
{
    /// <inheritdoc/>
    public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

/// <summary>Where clients are told that this broker is.</summary>
internal sealed record AdvertisedAddress(HostPort Value);
