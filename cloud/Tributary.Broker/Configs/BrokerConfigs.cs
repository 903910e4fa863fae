using System.Collections.Immutable;
using System.Globalization;
using Tributary.Broker.Metadata;

namespace Tributary.Broker.Configs;

/// <summary>
/// The broker configs that tools look at, by Kafka's names. All are read-only: what can be set is set when the broker is started.
/// </summary>
internal sealed class BrokerConfigs
{
    private static readonly BrokerOptions Defaults = new();

    /// <param name="options">What the broker was started with.</param>
    /// <param name="logDirectory">Where its partitions lie.</param>
    public BrokerConfigs(BrokerOptions options, string logDirectory) =>
        All = [.. Own(options, logDirectory).Concat(OfTopics()).OrderBy(config => config.Definition.Name, StringComparer.Ordinal)];

    /// <summary>In the order of their names, but for those that depend on which broker is asked.</summary>
    public ImmutableArray<(ConfigDefinition Definition, string Value, ConfigSource Source)> All { get; }

    /// <summary>Those that depend on which broker is asked.</summary>
    public static IEnumerable<(ConfigDefinition Definition, string Value, ConfigSource Source)> OfNode(BrokerNode node)
    {
        string listener = string.Create(CultureInfo.InvariantCulture, $"PLAINTEXT://{node.Host}:{node.Port}");
        string id = Text(node.NodeId);
        yield return (Define("advertised.listeners", ConfigType.String, "", "Where clients are told to connect."), listener, ConfigSource.Broker);
        yield return (Define("broker.id", ConfigType.Int, "-1", "The broker's number; it follows from its name."), id, ConfigSource.Broker);
        yield return (Define("node.id", ConfigType.Int, "-1", "The broker's number; it follows from its name."), id, ConfigSource.Broker);
    }

    private static IEnumerable<(ConfigDefinition Definition, string Value, ConfigSource Source)> Own(BrokerOptions now, string logDirectory)
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
            ("max.connections", ConfigType.Int, options => Text(options.MaxConnections), "Most connections at a time."),
            ("max.connections.per.ip", ConfigType.Int, options => Text(options.MaxConnectionsPerAddress), "Most connections from one address."),
            ("num.partitions", ConfigType.Int, options => Text(options.DefaultPartitions),
                "Partitions of a topic that is created without a number."),
            ("producer.id.expiration.ms", ConfigType.Int, options => Ms(options.ProducerExpiration),
                "Idle time after which a producer is forgotten."),
            ("queued.max.request.bytes", ConfigType.Long, options => Text(options.MaxListenerRequestBytes),
                "Most bytes of unanswered requests."),
            ("socket.request.max.bytes", ConfigType.Int, options => Text(options.MaxFrameBytes), "Most bytes of a request."),
        ];
        foreach ((string name, ConfigType type, Func<BrokerOptions, string> read, string docs) in set)
        {
            (string value, string usual) = (read(now), read(Defaults));
            yield return (Define(name, type, usual, docs), value, value == usual ? ConfigSource.Default : ConfigSource.Broker);
        }
        (string Name, ConfigType Type, string Value, string Docs)[] given =
        [
            ("default.replication.factor", ConfigType.Int, "1", "Copies of a partition that is created without a number."),
            ("delete.topic.enable", ConfigType.Boolean, "true", "Topics can be deleted."),
            ("log.retention.hours", ConfigType.Int, "168", "What log.retention.ms says, in hours."),
            ("log.roll.hours", ConfigType.Int, "168", "What log.roll.ms says, in hours."),
        ];
        foreach ((string name, ConfigType type, string value, string docs) in given)
        {
            yield return (Define(name, type, value, docs), value, ConfigSource.Default);
        }
        yield return (Define("log.dirs", ConfigType.List, "", "Where partitions lie."), logDirectory, ConfigSource.Broker);
    }

    /// <summary>The defaults of topics.</summary>
    private static IEnumerable<(ConfigDefinition Definition, string Value, ConfigSource Source)> OfTopics() =>
        TopicConfigs.All.Where(config => config.BrokerName is not null).Select(config =>
            (config with { Name = config.BrokerName!, BrokerName = null }, config.Default, ConfigSource.Default));

    private static ConfigDefinition Define(string name, ConfigType type, string value, string docs) =>
        new(name, type, value, ConfigRule.Any, docs);

    private static string Ms(TimeSpan time) => Text((long)time.TotalMilliseconds);

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
