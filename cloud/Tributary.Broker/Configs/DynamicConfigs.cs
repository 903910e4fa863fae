using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Globalization;

namespace Tributary.Broker.Configs;

/// <summary>
/// The broker configs that Kafka changes while its brokers run (KIP-226; "Dynamic Update Mode" in its documentation), with its rules and
/// defaults. Those that give topics their defaults are the topics' own, under other names. Left out are those that would open listeners or
/// hold secrets: they are settings of the program (<see cref="FixedConfigs"/>).
/// </summary>
internal static class DynamicConfigs
{
    public const string MaxConnections = "max.connections";
    public const string MaxConnectionsPerAddress = "max.connections.per.ip";
    public const string ProducerExpirationMs = "producer.id.expiration.ms";

    private const string NoCleaner = "Compaction goes by the settings that the broker was started with.";
    private const string NoThreads = "Threads are not numbered.";
    private const string NoThrottle = "Replicas are not throttled.";
    private const string NoTiers = "Tiered storage is not served.";
    private const string NoTls = "TLS is not served yet.";
    private const string NoSasl = "SASL is not served yet.";
    private const string Forever = "9223372036854775807";

    private static readonly BrokerOptions Settings = new();

    /// <summary>Those of a single broker: Kafka doesn't take them for all.</summary>
    private static readonly ImmutableArray<ConfigDefinition> OfOneBroker =
        [.. Security.Select(config => config with { HasEffect = false })];

    /// <summary>In the order of their names.</summary>
    public static ImmutableArray<ConfigDefinition> All { get; } =
    [
        .. OfTopics.Concat(Limits).Concat(WithoutEffect.Select(config => config with { HasEffect = false })).Concat(OfOneBroker)
            .OrderBy(config => config.Name, StringComparer.Ordinal),
    ];

    private static readonly FrozenDictionary<string, ConfigDefinition> ByName =
        All.ToFrozenDictionary(config => config.Name, StringComparer.Ordinal);

    private static readonly FrozenSet<string> PerBroker = OfOneBroker.Select(config => config.Name).ToFrozenSet(StringComparer.Ordinal);

    /// <summary>Names under which one config can be given, the first goes before the others.</summary>
    private static readonly ImmutableArray<ImmutableArray<string>> Families =
    [
        ["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        ["log.roll.ms", "log.roll.hours"],
        ["log.roll.jitter.ms", "log.roll.jitter.hours"],
    ];

    /// <summary>The numbers of threads that Kafka changes by a factor of two at most.</summary>
    public static ImmutableArray<string> Threads { get; } =
    [
        "background.threads", "log.cleaner.threads", "num.io.threads", "num.network.threads", "num.recovery.threads.per.data.dir",
        "num.replica.fetchers",
    ];

    /// <summary>The defaults of topics, by the names that brokers have for them.</summary>
    private static IEnumerable<ConfigDefinition> OfTopics => TopicConfigs.All
        .Where(config => config.BrokerName is { } name && !FixedConfigs.Contains(name))
        .Select(config => config with { Name = config.BrokerName!, BrokerName = null });

    private static IEnumerable<ConfigDefinition> Limits =>
    [
        new(MaxConnections, ConfigType.Int, Text(Settings.MaxConnections), ConfigRule.Int32(1), "Most connections at a time."),
        new(MaxConnectionsPerAddress, ConfigType.Int, Text(Settings.MaxConnectionsPerAddress), ConfigRule.Int32(1),
            "Most connections from one address."),
        new(ProducerExpirationMs, ConfigType.Long, Text((long)Settings.ProducerExpiration.TotalMilliseconds),
            ConfigRule.Int64(1, (long)TimeSpan.MaxValue.TotalMilliseconds / 2), "Idle time after which a producer is forgotten."),
    ];

    private static IEnumerable<ConfigDefinition> WithoutEffect =>
    [
        new("background.threads", ConfigType.Int, "10", ConfigRule.Int32(1), NoThreads),
        new("follower.fetch.last.tiered.offset.enable", ConfigType.Boolean, "false", ConfigRule.Boolean, NoTiers),
        new("follower.replication.throttled.rate", ConfigType.Long, Forever, ConfigRule.Int64(0), NoThrottle),
        new("leader.replication.throttled.rate", ConfigType.Long, Forever, ConfigRule.Int64(0), NoThrottle),
        new("log.cleaner.backoff.ms", ConfigType.Long, "15000", ConfigRule.Int64(0), NoCleaner),
        new("log.cleaner.dedupe.buffer.size", ConfigType.Long, "134217728", ConfigRule.Int64(0), NoCleaner),
        new("log.cleaner.io.buffer.load.factor", ConfigType.Double, "0.9", ConfigRule.Double(0, double.MaxValue), NoCleaner),
        new("log.cleaner.io.buffer.size", ConfigType.Int, "524288", ConfigRule.Int32(0), NoCleaner),
        new("log.cleaner.io.max.bytes.per.second", ConfigType.Double, "1.7976931348623157E308",
            ConfigRule.Double(0, double.MaxValue), NoCleaner),
        new("log.cleaner.threads", ConfigType.Int, "1", ConfigRule.Int32(0), NoCleaner),
        new("max.connection.creation.rate", ConfigType.Int, "2147483647", ConfigRule.Int32(0), "Connections are counted, not their rate."),
        new("max.connections.per.ip.overrides", ConfigType.String, "", ConfigRule.Any, "All addresses have the same limit."),
        new("metric.reporters", ConfigType.List, "", ConfigRule.Any, "Metrics are those of the program."),
        new("num.io.threads", ConfigType.Int, "8", ConfigRule.Int32(1), NoThreads),
        new("num.network.threads", ConfigType.Int, "3", ConfigRule.Int32(1), NoThreads),
        new("num.recovery.threads.per.data.dir", ConfigType.Int, "2", ConfigRule.Int32(1), NoThreads),
        new("num.replica.fetchers", ConfigType.Int, "1", ConfigRule.Int32(1), NoThreads),
        new("remote.fetch.max.wait.ms", ConfigType.Int, "500", ConfigRule.Int32(1), NoTiers),
        new("remote.list.offsets.request.timeout.ms", ConfigType.Long, "30000", ConfigRule.Int64(1), NoTiers),
        new("remote.log.index.file.cache.total.size.bytes", ConfigType.Long, "1073741824", ConfigRule.Int64(1), NoTiers),
        new("remote.log.manager.copier.thread.pool.size", ConfigType.Int, "10", ConfigRule.Int32(1), NoTiers),
        new("remote.log.manager.copy.max.bytes.per.second", ConfigType.Long, Forever, ConfigRule.Int64(1), NoTiers),
        new("remote.log.manager.expiration.thread.pool.size", ConfigType.Int, "10", ConfigRule.Int32(1), NoTiers),
        new("remote.log.manager.fetch.max.bytes.per.second", ConfigType.Long, Forever, ConfigRule.Int64(1), NoTiers),
        new("remote.log.reader.threads", ConfigType.Int, "10", ConfigRule.Int32(1), NoTiers),
        new("replica.alter.log.dirs.io.max.bytes.per.second", ConfigType.Long, Forever, ConfigRule.Int64(0), NoThrottle),
        new("transaction.partition.verification.enable", ConfigType.Boolean, "true", ConfigRule.Boolean, "What it says is always so."),
    ];

    private static IEnumerable<ConfigDefinition> Security =>
    [
        new("principal.builder.class", ConfigType.Class, "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
            ConfigRule.Any, "Clients have no principals yet."),
        new("sasl.enabled.mechanisms", ConfigType.List, "GSSAPI", ConfigRule.Any, NoSasl),
        new("sasl.kerberos.kinit.cmd", ConfigType.String, "/usr/bin/kinit", ConfigRule.Any, NoSasl),
        new("sasl.kerberos.min.time.before.relogin", ConfigType.Long, "60000", ConfigRule.Int64(long.MinValue), NoSasl),
        new("sasl.kerberos.principal.to.local.rules", ConfigType.List, "DEFAULT", ConfigRule.Any, NoSasl),
        new("sasl.kerberos.service.name", ConfigType.String, "", ConfigRule.Any, NoSasl) { IsNullByDefault = true },
        new("sasl.kerberos.ticket.renew.jitter", ConfigType.Double, "0.05", AnyDouble, NoSasl),
        new("sasl.kerberos.ticket.renew.window.factor", ConfigType.Double, "0.8", AnyDouble, NoSasl),
        new("sasl.login.refresh.buffer.seconds", ConfigType.Short, "300", ConfigRule.Int16(0, 3600), NoSasl),
        new("sasl.login.refresh.min.period.seconds", ConfigType.Short, "60", ConfigRule.Int16(0, 900), NoSasl),
        new("sasl.login.refresh.window.factor", ConfigType.Double, "0.8", ConfigRule.Double(0.5, 1), NoSasl),
        new("sasl.login.refresh.window.jitter", ConfigType.Double, "0.05", ConfigRule.Double(0, 0.25), NoSasl),
        new("sasl.mechanism.inter.broker.protocol", ConfigType.String, "GSSAPI", ConfigRule.Any, NoSasl),
        new("ssl.cipher.suites", ConfigType.List, "", ConfigRule.Any, NoTls),
        new("ssl.client.auth", ConfigType.String, "none", ConfigRule.OneOf("required", "requested", "none"), NoTls),
        new("ssl.enabled.protocols", ConfigType.List, "TLSv1.2,TLSv1.3", ConfigRule.Any, NoTls),
        new("ssl.endpoint.identification.algorithm", ConfigType.String, "https", ConfigRule.Any, NoTls),
        new("ssl.engine.factory.class", ConfigType.Class, "", ConfigRule.Any, NoTls) { IsNullByDefault = true },
        new("ssl.keymanager.algorithm", ConfigType.String, "SunX509", ConfigRule.Any, NoTls),
        new("ssl.protocol", ConfigType.String, "TLSv1.3", ConfigRule.Any, NoTls),
        new("ssl.provider", ConfigType.String, "", ConfigRule.Any, NoTls) { IsNullByDefault = true },
        new("ssl.secure.random.implementation", ConfigType.String, "", ConfigRule.Any, NoTls) { IsNullByDefault = true },
        new("ssl.trustmanager.algorithm", ConfigType.String, "PKIX", ConfigRule.Any, NoTls),
    ];

    private static ConfigRule AnyDouble => ConfigRule.Double(double.MinValue, double.MaxValue);

    /// <summary>The config of a name, null if it isn't one of these.</summary>
    public static ConfigDefinition? Find(string name) => ByName.GetValueOrDefault(name);

    /// <summary>Whether Kafka takes it for a single broker only.</summary>
    public static bool IsPerBroker(string name) => PerBroker.Contains(name);

    /// <summary>The names under which a config can be given, its own included, the first goes before the others.</summary>
    public static ImmutableArray<string> SynonymsOf(string name) =>
        Families.FirstOrDefault(family => family.Contains(name)) is { IsDefault: false } family ? family : [name];

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
