using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Globalization;
using Tributary.Broker.Metadata;

namespace Tributary.Broker.Configs;

/// <summary>A broker config as the broker was started with it.</summary>
/// <param name="Definition">What it is.</param>
/// <param name="Value">Its value, null where Kafka says so.</param>
/// <param name="Source">Whether it is a setting or its default.</param>
internal readonly record struct BrokerConfig(ConfigDefinition Definition, string? Value, ConfigSource Source);

/// <summary>A value that a config has, or would have if those before it weren't set.</summary>
/// <param name="Name">The name under which it is given.</param>
/// <param name="Value">The value.</param>
/// <param name="Source">Where it comes from.</param>
internal readonly record struct ConfigValue(string Name, string? Value, ConfigSource Source);

/// <summary>
/// The broker configs that tools look at, by Kafka's names: what the broker was started with, and what is set while it runs
/// (<see cref="BrokerOverrides"/>).
/// </summary>
internal sealed class BrokerConfigs
{
    private static readonly BrokerOptions Defaults = new();
    private readonly FrozenDictionary<string, BrokerConfig> _byName;

    /// <param name="options">What the broker was started with.</param>
    /// <param name="logDirectory">Where its partitions lie.</param>
    public BrokerConfigs(BrokerOptions options, string logDirectory)
    {
        BrokerConfig[] own = [.. Own(options), .. Given(), Define("log.dirs", ConfigType.List, "", "Where partitions lie.", logDirectory)];
        HashSet<string> named = [.. own.Select(config => config.Definition.Name)];
        All =
        [
            .. own.Concat(DynamicConfigs.All.Where(config => !named.Contains(config.Name)).Select(AsDefault))
                .OrderBy(config => config.Definition.Name, StringComparer.Ordinal),
        ];
        _byName = All.ToFrozenDictionary(config => config.Definition.Name, StringComparer.Ordinal);
    }

    /// <summary>In the order of their names, but for those that depend on which broker is asked.</summary>
    public ImmutableArray<BrokerConfig> All { get; }

    /// <summary>Whether there is such a config, whichever broker is asked.</summary>
    public bool Has(string name) => _byName.ContainsKey(name);

    /// <summary>Those that depend on which broker is asked.</summary>
    public static IEnumerable<BrokerConfig> OfNode(BrokerNode node)
    {
        string listener = string.Create(CultureInfo.InvariantCulture, $"PLAINTEXT://{node.Host}:{node.Port}");
        string id = Text(node.NodeId);
        yield return Define("advertised.listeners", ConfigType.String, "", "Where clients are told to connect.", listener);
        yield return Define("broker.id", ConfigType.Int, "-1", "The broker's number; it follows from its name.", id);
        yield return Define("node.id", ConfigType.Int, "-1", "The broker's number; it follows from its name.", id);
    }

    /// <summary>
    /// The values that a config has by all that is set, the one that counts first: what is set on the broker, for all, at its start, and the
    /// default. The names of a config's family count in Kafka's order, and those before its own are left out.
    /// </summary>
    public IEnumerable<ConfigValue> ValuesOf(string name, BrokerOverrides overrides)
    {
        ImmutableArray<string> names = DynamicConfigs.SynonymsOf(name);
        BrokerConfig[] known = [.. names.Where(_byName.ContainsKey).Select(one => _byName[one])];
        return From(overrides.OfNode, ConfigSource.DynamicBroker)
            .Concat(From(overrides.OfAll, ConfigSource.DynamicDefault))
            .Concat(known.Where(config => config.Source == ConfigSource.Broker).Select(ValueOf))
            .Concat(known.Select(config => ValueOf(AsDefault(config.Definition))).Where(value => value.Value is not null))
            .SkipWhile(value => value.Name != name);

        IEnumerable<ConfigValue> From(ImmutableSortedDictionary<string, string> set, ConfigSource source) =>
            names.Where(set.ContainsKey).Select(one => new ConfigValue(one, set[one], source));
    }

    /// <summary>The values of a config that depends on which broker is asked.</summary>
    public static IEnumerable<ConfigValue> ValuesOf(BrokerConfig config) =>
        config.Source == ConfigSource.Default ? [ValueOf(config)] : [ValueOf(config), ValueOf(AsDefault(config.Definition))];

    private static IEnumerable<BrokerConfig> Own(BrokerOptions now)
    {
        (string Name, ConfigType Type, Func<BrokerOptions, string> Read, string Docs)[] set =
        [
            ("auto.create.topics.enable", ConfigType.Boolean, options => options.AutoCreateTopics ? "true" : "false",
                "Whether unknown topics are created when clients ask for them."),
            ("connections.max.idle.ms", ConfigType.Long, options => Ms(options.IdleLimit),
                "Time without a request after which a connection is closed."),
            ("fetch.max.bytes", ConfigType.Int, options => Text(options.MaxFetchBytes), "Most bytes of records in a Fetch response."),
            ("log.retention.check.interval.ms", ConfigType.Long, options => Ms(options.RetentionInterval),
                "Time between two rounds of retention."),
            (DynamicConfigs.MaxConnections, ConfigType.Int, options => Text(options.MaxConnections), "Most connections at a time."),
            (DynamicConfigs.MaxConnectionsPerAddress, ConfigType.Int, options => Text(options.MaxConnectionsPerAddress),
                "Most connections from one address."),
            ("num.partitions", ConfigType.Int, options => Text(options.DefaultPartitions),
                "Partitions of a topic that is created without a number."),
            (DynamicConfigs.ProducerExpirationMs, ConfigType.Long, options => Ms(options.ProducerExpiration),
                "Idle time after which a producer is forgotten."),
            ("queued.max.request.bytes", ConfigType.Long, options => Text(options.MaxListenerRequestBytes),
                "Most bytes of unanswered requests."),
            ("socket.request.max.bytes", ConfigType.Int, options => Text(options.MaxFrameBytes), "Most bytes of a request."),
            ("transaction.abort.timed.out.transaction.cleanup.interval.ms", ConfigType.Int, options => Ms(options.Transactions.UpkeepInterval),
                "Time between two looks for transactions that are to end."),
            ("transaction.max.timeout.ms", ConfigType.Int, options => Ms(options.Transactions.MaxTimeout),
                "Longest timeout that a transactional producer may ask for."),
            ("transactional.id.expiration.ms", ConfigType.Int, options => Ms(options.Transactions.IdExpiration),
                "How long a transactional id without an open transaction is remembered."),
        ];
        return set.Select(one => Define(one.Name, one.Type, one.Read(Defaults), one.Docs, one.Read(now)));
    }

    private static IEnumerable<BrokerConfig> Given()
    {
        yield return Default("default.replication.factor", "1", "Copies of a partition that is created without a number.");
        yield return AsDefault(new("delete.topic.enable", ConfigType.Boolean, "true", ConfigRule.Any, "Topics can be deleted."));
        yield return Default("log.retention.hours", "168", "The default of log.retention.ms, in hours.");
        yield return Default("log.retention.minutes", "", "The default of log.retention.ms, in minutes.");
        yield return Default("log.roll.hours", "168", "The default of log.roll.ms, in hours.");
        yield return Default("log.roll.jitter.hours", "0", "The default of log.roll.jitter.ms, in hours.");
    }

    private static BrokerConfig Default(string name, string value, string docs) =>
        AsDefault(new(name, ConfigType.Int, value, ConfigRule.Any, docs) { IsNullByDefault = value.Length == 0 });

    private static BrokerConfig Define(string name, ConfigType type, string usual, string docs, string value) => new(
        new ConfigDefinition(name, type, usual, ConfigRule.Any, docs), value, value == usual ? ConfigSource.Default : ConfigSource.Broker);

    private static BrokerConfig AsDefault(ConfigDefinition definition) =>
        new(definition, definition.IsNullByDefault ? null : definition.Default, ConfigSource.Default);

    private static ConfigValue ValueOf(BrokerConfig config) => new(config.Definition.Name, config.Value, config.Source);

    private static string Ms(TimeSpan time) => Text((long)time.TotalMilliseconds);

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
