using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Orleans.Storage;
using Orleans.TestingHost;
using Tributary.Broker.Groups;
using Tributary.Broker.Metadata;
using Tributary.Broker.Transactions;
using Tributary.Cloud;
using Tributary.Cloud.Grains;
using Tributary.Cloud.Storage;
using Tributary.Tests.Broker.Support;

namespace Tributary.Tests.Cloud.Support;

/// <summary>A silo of one, without sockets, with its records in a real control database.</summary>
internal sealed class TestSilo : IAsyncDisposable
{
    private readonly InProcessTestCluster _cluster;

    private TestSilo(InProcessTestCluster cluster, ControlDatabase database)
    {
        _cluster = cluster;
        Database = database;
    }

    public ControlDatabase Database { get; }

    public IGrainFactory Grains => Services.GetRequiredService<IGrainFactory>();

    public IClusterGrain Cluster => Grains.GetGrain<IClusterGrain>(IClusterGrain.Key);

    public GrainGroupCoordinator Groups => Services.GetRequiredService<GrainGroupCoordinator>();

    public IGroupStore GroupStore => Services.GetRequiredService<IGroupStore>();

    public GrainTransactionCoordinator Transactions => Services.GetRequiredService<GrainTransactionCoordinator>();

    public ITransactionStore TransactionStore => Services.GetRequiredService<ITransactionStore>();

    public GroupDirectory GroupDirectory => Services.GetRequiredService<GroupDirectory>();

    public IGrainStorage Records => Services.GetRequiredKeyedService<IGrainStorage>(RecordStorage.Name);

    private IServiceProvider Services => _cluster.GetSiloServiceProvider();

    public static async Task<TestSilo> StartAsync(
        string databasePath, ClusterLimits? limits = null, FakeTimeProvider? groupTime = null, ITransactionParticipants? participants = null)
    {
        ControlDatabase database = ControlDatabase.Open(databasePath);
        var builder = new InProcessTestClusterBuilder(1);
        builder.Options.InitializeClientOnDeploy = false;
        builder.ConfigureSilo((_, silo) =>
        {
            silo.Services.AddSingleton(limits ?? new ClusterLimits(100, 1000));
            silo.AddRecordStorage(database);
            AddGroups(silo.Services, database, groupTime);
            AddTransactions(silo.Services, database, groupTime, participants ?? new TestTransactions());
        });
        InProcessTestCluster cluster = builder.Build();
        await cluster.DeployAsync();
        return new TestSilo(cluster, database);
    }

    /// <summary>What the broker was told when it registered.</summary>
    public BrokerRegistration? Registration { get; private set; }

    public async Task RegisterAsync() => Registration = await Cluster.RegisterBrokerAsync("silo-1", "host", 9092);

    public ITopicGrain Topic(string name) => Grains.GetGrain<ITopicGrain>(ITopicGrain.KeyOf(name));

    public GrainId IdOf(string topic) => Topic(topic).GetGrainId();

    /// <summary>Has the grain forget what it remembers.</summary>
    public Task DeactivateAsync(IAddressable grain) => _cluster.DeactivateAsync(grain);

    /// <summary>Ends the silo as a crash would: nobody says goodbye.</summary>
    public async Task KillAsync()
    {
        await _cluster.KillSiloAsync(_cluster.Silos[0]);
        await DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _cluster.DisposeAsync();
        await Database.DisposeAsync();
    }

    /// <summary>Runs a statement on the database behind everybody's back.</summary>
    public async Task ExecuteAsync(string sql)
    {
        await using System.Data.Common.DbConnection connection = await Database.OpenConnectionAsync();
        await using System.Data.Common.DbCommand command = connection.CreateCommand();
        command.CommandText = sql;
        await command.ExecuteNonQueryAsync();
    }

    private static void AddGroups(IServiceCollection services, ControlDatabase database, TimeProvider? time)
    {
        var options = new GroupOptions();
        services.AddSingleton<GroupDirectory>();
        services.AddSingleton<IGroupStore>(_ => new GroupStore(database, options));
        services.AddSingleton(provider => new GroupContext(
            options, provider.GetRequiredService<IGroupStore>(), provider.GetRequiredService<GroupDirectory>(),
            () => new Dictionary<string, TopicInfo>(), provider.GetRequiredService<GrainTransactionCoordinator>(),
            time ?? TimeProvider.System, NullLogger.Instance));
        services.AddSingleton<GrainGroupCoordinator>();
    }

    private static void AddTransactions(
        IServiceCollection services, ControlDatabase database, TimeProvider? time, ITransactionParticipants participants)
    {
        var options = new TransactionOptions { CompletionWait = TimeSpan.Zero };
        services.AddSingleton<ITransactionStore>(_ => new TransactionStore(database, options));
        services.AddSingleton(provider => new TransactionContext(
            options, provider.GetRequiredService<ITransactionStore>(), participants, TakeProducerIdAsync(provider), time ?? TimeProvider.System,
            NullLogger.Instance));
        services.AddSingleton<GrainTransactionCoordinator>();
    }

    private static Func<CancellationToken, ValueTask<long>> TakeProducerIdAsync(IServiceProvider provider) => async _ =>
        (await provider.GetRequiredService<IGrainFactory>().GetGrain<IClusterGrain>(IClusterGrain.Key).TakeProducerIdsAsync()).First;
}
