using Tributary.Broker;
using Tributary.Broker.Groups;
using Tributary.Broker.Transactions;
using Tributary.Log;

namespace Tributary.Cloud.Cli;

/// <summary>Everything that can be set.</summary>
internal static class Settings
{
    /// <summary>In the order of the help.</summary>
    public static readonly IReadOnlyList<Setting> All =
    [
        new("data", "DIR", "Where everything is kept (required)", (all, value) => all with { DataDirectory = value }) { Flag = "--data" },
        new("kafka", "HOST:PORT", "Where Kafka clients connect; port 0 for any free one [127.0.0.1:9092]",
            (all, value) => all with { Kafka = Setting.Address(value) }) { Flag = "--kafka" },
        new("kafkaAdvertised", "HOST:PORT", "Where Kafka clients are told to connect [as --kafka]",
            (all, value) => all with { KafkaAdvertised = Setting.Address(value) }) { Flag = "--kafka-advertised" },
        new("http", "HOST:PORT", "Where health and metrics are served; port 0 for any free one [127.0.0.1:8080]",
            (all, value) => all with { Http = Setting.Address(value) }) { Flag = "--http" },
        new("silo", "HOST:PORT", "Where the silo listens [127.0.0.1, any free port]",
            (all, value) => all with { Silo = Setting.Address(value) }) { Flag = "--silo" },
        new("logLevel", "LEVEL", "What is logged: trace, debug, information, warning, error, critical or none [information]",
            (all, value) => all with { LogLevel = Setting.Level(value) }) { Flag = "--log-level" },
        new("maxTopics", "N", "Most topics [5000]", (all, value) => all with { MaxTopics = Setting.Int32(value) }),
        new("maxPartitions", "N", "Most partitions of all topics together [20000]",
            (all, value) => all with { MaxPartitions = Setting.Int32(value) }),
        new("shutdownLimitMs", "MS", "Longest time from the signal to stop to the end [30000]",
            (all, value) => all with { ShutdownLimit = Setting.Milliseconds(value) }),
        .. Log,
        .. Broker,
        .. Groups,
        .. Transactions,
    ];

    private static IEnumerable<Setting> Log =>
    [
        OfLog("maxUnflushedBytes", "BYTES", "Most bytes that wait for their flush; producers wait beyond",
            (log, value) => log with { MaxUnflushedBytes = Setting.Int64(value) }),
        OfLog("tailCacheBytes", "BYTES", "Most bytes of batches kept in memory for readers at the end of partitions",
            (log, value) => log with { TailCacheBytes = Setting.Int64(value) }),
        OfLog("commitWindowMs", "MS", "How long a flush waits for more",
            (log, value) => log with { CommitWindow = Setting.Milliseconds(value) }),
        OfLog("flushTogetherFrom", "N", "Dirty files from which one flush of the file system replaces one of each; 0: never",
            (log, value) => log with { FlushTogetherFrom = Setting.Int32(value) }),
        OfLog("allowVolatile", "BOOL", "Take a data directory that can't keep what is flushed (tmpfs, volatile overlay, no barriers)",
            (log, value) => log with { AllowVolatile = Setting.Boolean(value) }),
    ];

    private static IEnumerable<Setting> Broker =>
    [
        OfBroker("autoCreateTopics", "BOOL", "Whether unknown topics are created when clients ask for them", "auto.create.topics.enable",
            (broker, value) => broker with { AutoCreateTopics = Setting.Boolean(value) }),
        OfBroker("defaultPartitions", "N", "Partitions of a topic that is created without a number", "num.partitions",
            (broker, value) => broker with { DefaultPartitions = Setting.Int32(value) }),
        OfBroker("maxPartitionsPerTopic", "N", "Most partitions of a topic", null,
            (broker, value) => broker with { MaxPartitionsPerTopic = Setting.Int32(value) }),
        OfBroker("maxTopicsPerCreate", "N", "Most topics that one request may create", null,
            (broker, value) => broker with { MaxTopicsPerCreate = Setting.Int32(value) }),
        OfBroker("maxConnections", "N", "Most connections at a time", "max.connections",
            (broker, value) => broker with { MaxConnections = Setting.Int32(value) }),
        OfBroker("maxConnectionsPerAddress", "N", "Most connections from one address", "max.connections.per.ip",
            (broker, value) => broker with { MaxConnectionsPerAddress = Setting.Int32(value) }),
        OfBroker("connectionReadBytes", "BYTES", "Most bytes that wait unread in a connection", null,
            (broker, value) => broker with { ConnectionReadBytes = Setting.Int32(value) }),
        OfBroker("maxRequestElements", "N", "Most topics, partitions and the like in a request", null,
            (broker, value) => broker with { MaxRequestElements = Setting.Int32(value) }),
        OfBroker("maxFrameBytes", "BYTES", "Most bytes of a request", "socket.request.max.bytes",
            (broker, value) => broker with { MaxFrameBytes = Setting.Int32(value) }),
        OfBroker("maxConnectionRequestBytes", "BYTES", "Most bytes of unanswered requests of a connection", null,
            (broker, value) => broker with { MaxConnectionRequestBytes = Setting.Int64(value) }),
        OfBroker("maxListenerRequestBytes", "BYTES", "Most bytes of unanswered requests of all connections", "queued.max.request.bytes",
            (broker, value) => broker with { MaxListenerRequestBytes = Setting.Int64(value) }),
        OfBroker("maxPipelinedProduces", "N", "Most Produce requests of a connection that wait for their flush", null,
            (broker, value) => broker with { MaxPipelinedProduces = Setting.Int32(value) }),
        OfBroker("idleLimitMs", "MS", "Time without a request after which a connection is closed", "connections.max.idle.ms",
            (broker, value) => broker with { IdleLimit = Setting.Milliseconds(value) }),
        OfBroker("frameGraceMs", "MS", "Time a request may take to come, or a response to go, beside what its size allows", null,
            (broker, value) => broker with { FrameGrace = Setting.Milliseconds(value) }),
        OfBroker("minFrameBytesPerSecond", "BYTES", "Rate at which a request must come, or a response go, at least", null,
            (broker, value) => broker with { MinFrameBytesPerSecond = Setting.Int32(value) }),
        OfBroker("maxFrameTimeMs", "MS", "Longest time that minFrameBytesPerSecond may make of a size", null,
            (broker, value) => broker with { MaxFrameTime = Setting.Milliseconds(value) }),
        OfBroker("maxDecompressedBytes", "BYTES", "Most bytes that the records of a compressed batch may have", null,
            (broker, value) => broker with { MaxDecompressedBytes = Setting.Int32(value) }),
        OfBroker("maxFetchBytes", "BYTES", "Most bytes of records in a Fetch response", "fetch.max.bytes",
            (broker, value) => broker with { MaxFetchBytes = Setting.Int32(value) }),
        OfBroker("maxFetchWaitMs", "MS", "Longest time a Fetch may wait", null,
            (broker, value) => broker with { MaxFetchWait = Setting.Milliseconds(value) }),
        OfBroker("maxFetchSessions", "N", "Most fetch sessions", "max.incremental.fetch.session.cache.slots",
            (broker, value) => broker with { MaxFetchSessions = Setting.Int32(value) }),
        OfBroker("maxFetchSessionPartitions", "N", "Most partitions in all fetch sessions together", null,
            (broker, value) => broker with { MaxFetchSessionPartitions = Setting.Int32(value) }),
        OfBroker("fetchSessionEvictionMs", "MS", "Idle time after which a fetch session gives way to another",
            "min.incremental.fetch.session.eviction.ms", (broker, value) => broker with { FetchSessionEviction = Setting.Milliseconds(value) }),
        OfBroker("maxListenerResponseBytes", "BYTES", "Most bytes of large responses of all connections", null,
            (broker, value) => broker with { MaxListenerResponseBytes = Setting.Int64(value) }),
        OfBroker("maxProduceWaitMs", "MS", "Longest time a Produce waits for its flush and the in-sync replicas", null,
            (broker, value) => broker with { MaxProduceWait = Setting.Milliseconds(value) }),
        OfBroker("maxCreateWaitMs", "MS", "Longest time CreateTopics waits for its topics", null,
            (broker, value) => broker with { MaxCreateWait = Setting.Milliseconds(value) }),
        OfBroker("describeProducersWaitMs", "MS", "Longest time DescribeProducers waits for commits", null,
            (broker, value) => broker with { DescribeProducersWait = Setting.Milliseconds(value) }),
        OfBroker("maxDescribedProducers", "N", "Most producers that one DescribeProducers may look up", null,
            (broker, value) => broker with { MaxDescribedProducers = Setting.Int32(value) }),
        OfBroker("retentionIntervalMs", "MS", "Time between two rounds of retention", "log.retention.check.interval.ms",
            (broker, value) => broker with { RetentionInterval = Setting.Milliseconds(value) }),
        OfBroker("compactionIntervalMs", "MS", "Time between two looks for partitions to compact", "log.cleaner.backoff.ms",
            (broker, value) => broker with { CompactionInterval = Setting.Milliseconds(value) }),
        OfBroker("compactionKeyMapBytes", "BYTES", "Most bytes of the map of keys with which a partition is compacted",
            "log.cleaner.dedupe.buffer.size", (broker, value) => broker with { CompactionKeyMapBytes = Setting.Int64(value) }),
        OfBroker("compactionBytesPerSecond", "N", "Most bytes per second that compaction reads and writes together",
            "log.cleaner.io.max.bytes.per.second", (broker, value) => broker with { CompactionBytesPerSecond = Setting.Int64(value) }),
        OfBroker("compactionRetryMs", "MS", "How long a partition is left alone whose compaction has failed", null,
            (broker, value) => broker with { CompactionRetry = Setting.Milliseconds(value) }),
        OfBroker("producerExpirationMs", "MS", "Idle time after which a producer is forgotten", "producer.id.expiration.ms",
            (broker, value) => broker with { ProducerExpiration = Setting.Milliseconds(value) }),
    ];

    private static IEnumerable<Setting> Groups =>
    [
        OfGroups("initialRebalanceDelayMs", "MS", "How long an empty group waits for more members", "group.initial.rebalance.delay.ms",
            (groups, value) => groups with { InitialRebalanceDelay = Setting.Milliseconds(value) }),
        OfGroups("minSessionTimeoutMs", "MS", "Shortest session timeout of a member", "group.min.session.timeout.ms",
            (groups, value) => groups with { MinSessionTimeout = Setting.Milliseconds(value) }),
        OfGroups("maxSessionTimeoutMs", "MS", "Longest session timeout of a member", "group.max.session.timeout.ms",
            (groups, value) => groups with { MaxSessionTimeout = Setting.Milliseconds(value) }),
        OfGroups("maxMembers", "N", "Most members of a group", "group.max.size",
            (groups, value) => groups with { MaxMembers = Setting.Int32(value) }),
        OfGroups("consumerSessionTimeoutMs", "MS", "Session timeout of members of the newer protocol", "group.consumer.session.timeout.ms",
            (groups, value) => groups with { ConsumerSessionTimeout = Setting.Milliseconds(value) }),
        OfGroups("consumerHeartbeatIntervalMs", "MS", "How often members of the newer protocol shall be heard of",
            "group.consumer.heartbeat.interval.ms", (groups, value) => groups with { ConsumerHeartbeatInterval = Setting.Milliseconds(value) }),
        OfGroups("consumerMaxMembers", "N", "Most members of a group of the newer protocol", "group.consumer.max.size",
            (groups, value) => groups with { ConsumerMaxMembers = Setting.Int32(value) }),
        OfGroups("consumerMaxExpressions", "N", "Most different expressions of a group of the newer protocol", null,
            (groups, value) => groups with { ConsumerMaxExpressions = Setting.Int32(value) }),
        OfGroups("maxGroups", "N", "Most groups", null, (groups, value) => groups with { MaxGroups = Setting.Int32(value) }),
        OfGroups("maxMemberBytes", "BYTES", "Most bytes of a member's names and metadata", null,
            (groups, value) => groups with { MaxMemberBytes = Setting.Int32(value) }),
        OfGroups("maxGroupBytes", "BYTES", "Most bytes of a group's members, and of their assignments", null,
            (groups, value) => groups with { MaxGroupBytes = Setting.Int64(value) }),
        OfGroups("maxOffsetBytes", "BYTES", "Most bytes of a group's offsets", null,
            (groups, value) => groups with { MaxOffsetBytes = Setting.Int64(value) }),
        OfGroups("maxTotalBytes", "BYTES", "Most bytes of all groups in memory together", null,
            (groups, value) => groups with { MaxTotalBytes = Setting.Int64(value) }),
        OfGroups("maxOffsetMetadata", "N", "Most characters of an offset's metadata", "offset.metadata.max.bytes",
            (groups, value) => groups with { MaxOffsetMetadata = Setting.Int32(value) }),
        OfGroups("offsetRetentionMinutes", "MINUTES", "How long offsets are kept once nobody needs them", "offsets.retention.minutes",
            (groups, value) => groups with { OffsetRetention = TimeSpan.FromMinutes(Setting.Int32(value)) }),
        OfGroups("offsetRetentionIntervalMs", "MS", "Time between two looks for offsets that are kept no longer",
            "offsets.retention.check.interval.ms", (groups, value) => groups with { OffsetRetentionInterval = Setting.Milliseconds(value) }),
    ];

    private static IEnumerable<Setting> Transactions =>
    [
        OfTransactions("maxTimeoutMs", "MS", "Longest timeout of a transaction", "transaction.max.timeout.ms",
            (transactions, value) => transactions with { MaxTimeout = Setting.Milliseconds(value) }),
        OfTransactions("idExpirationMs", "MS", "How long an unused transactional id is remembered", "transactional.id.expiration.ms",
            (transactions, value) => transactions with { IdExpiration = Setting.Milliseconds(value) }),
        OfTransactions("upkeepIntervalMs", "MS", "Time between two looks for transactions that are to end",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms",
            (transactions, value) => transactions with { UpkeepInterval = Setting.Milliseconds(value) }),
        OfTransactions("completionWaitMs", "MS", "How long a request waits until the transaction before is completed", null,
            (transactions, value) => transactions with { CompletionWait = Setting.Milliseconds(value) }),
        OfTransactions("maxIds", "N", "Most transactional ids", null,
            (transactions, value) => transactions with { MaxIds = Setting.Int32(value) }),
        OfTransactions("maxIdLength", "N", "Most characters of a transactional id", null,
            (transactions, value) => transactions with { MaxIdLength = Setting.Int32(value) }),
        OfTransactions("maxPartitions", "N", "Most partitions of a transaction", null,
            (transactions, value) => transactions with { MaxPartitions = Setting.Int32(value) }),
        OfTransactions("maxGroups", "N", "Most consumer groups of a transaction", null,
            (transactions, value) => transactions with { MaxGroups = Setting.Int32(value) }),
    ];

    /// <summary>Finds a setting by what users may call it.</summary>
    public static Setting? Find(string name) => All.FirstOrDefault(setting => setting.IsCalled(name));

    private static Setting OfLog(
        string name, string argument, string help, Func<LogDirectoryOptions, string, LogDirectoryOptions> set) =>
        new($"log:{name}", argument, help, (all, value) => all with { Log = set(all.Log, value) });

    private static Setting OfBroker(
        string name, string argument, string help, string? kafkaName, Func<BrokerOptions, string, BrokerOptions> set) =>
        new($"broker:{name}", argument, help, (all, value) => all with { Broker = set(all.Broker, value) }) { KafkaName = kafkaName };

    private static Setting OfGroups(
        string name, string argument, string help, string? kafkaName, Func<GroupOptions, string, GroupOptions> set) =>
        new($"groups:{name}", argument, help, (all, value) => all with { Broker = all.Broker with { Groups = set(all.Broker.Groups, value) } })
        {
            KafkaName = kafkaName,
        };

    private static Setting OfTransactions(
        string name, string argument, string help, string? kafkaName, Func<TransactionOptions, string, TransactionOptions> set) =>
        new(
            $"transactions:{name}", argument, help,
            (all, value) => all with { Broker = all.Broker with { Transactions = set(all.Broker.Transactions, value) } })
        {
            KafkaName = kafkaName,
        };
}
