using System.Net;
using Microsoft.Extensions.Logging;
using Tributary.Broker;
using Tributary.Log;

namespace Tributary.Cloud;

/// <summary>What <c>tributary serve</c> runs with. Immutable; <see cref="Validate"/> is called before anything is opened.</summary>
internal sealed record CloudOptions
{
    /// <summary>The broker's name, which is its identity in the cluster's records.</summary>
    public const string BrokerName = "silo-1";

    /// <summary>Where everything is kept.</summary>
    public string DataDirectory { get; init; } = "";

    /// <summary>Where Kafka clients connect; port 0: any free one.</summary>
    public HostPort Kafka { get; init; } = new("127.0.0.1", 9092);

    /// <summary>Where Kafka clients are told to connect; null: where the listener is bound.</summary>
    public HostPort? KafkaAdvertised { get; init; }

    /// <summary>Where health and metrics are served; port 0: any free one.</summary>
    public HostPort Http { get; init; } = new("127.0.0.1", 8080);

    /// <summary>Where the silo listens, an address of this machine; null: a free port of the loopback address.</summary>
    public HostPort? Silo { get; init; }

    /// <summary>What is logged: this and what is more severe.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    /// <summary>Most topics.</summary>
    public int MaxTopics { get; init; } = 5_000;

    /// <summary>Most partitions of all topics together.</summary>
    public int MaxPartitions { get; init; } = 20_000;

    /// <summary>Longest time from the signal to stop until the process ends, requests in flight included.</summary>
    public TimeSpan ShutdownLimit { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The gateway's limits and defaults.</summary>
    public BrokerOptions Broker { get; init; } = new();

    /// <summary>The log's limits.</summary>
    public LogDirectoryOptions Log { get; init; } = new();

    /// <summary>Checks every setting.</summary>
    /// <returns>This.</returns>
    /// <exception cref="ArgumentException">A setting can't be; the message names it as users write it.</exception>
    public CloudOptions Validate()
    {
        Require(DataDirectory.Length > 0, "data", "is missing: say where to keep the data (--data DIR)");
        Require(KafkaAdvertised is null or { Port: > 0 }, "kafkaAdvertised", "needs a port above 0");
        Require(Silo is null or { Port: > 0 }, "silo", "needs a port above 0; leave it out for any free one");
        Require(
            !(Silo is { } silo && IPAddress.TryParse(silo.Host, out IPAddress? address)
                && (address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any))),
            "silo", "must name one address of this machine: it is the one that other silos are told");
        Require(MaxTopics > 0, "maxTopics", "must be positive");
        Require(MaxPartitions > 0, "maxPartitions", "must be positive");
        Require(ShutdownLimit > TimeSpan.Zero && ShutdownLimit <= TimeSpan.FromHours(1), "shutdownLimitMs", "must be 1 to 3600000");
        Require(Log.MaxUnflushedBytes > 0, "log:maxUnflushedBytes", "must be positive");
        Require(Log.TailCacheBytes >= 0, "log:tailCacheBytes", "must not be negative");
        Require(
            Log.CommitWindow >= TimeSpan.Zero && Log.CommitWindow <= TimeSpan.FromSeconds(1), "log:commitWindowMs", "must be 0 to 1000");
        Require(Log.FlushTogetherFrom >= 0, "log:flushTogetherFrom", "must not be negative; 0 stands for never");
        Broker.Validate();
        return this;
    }

    private static void Require(bool holds, string setting, string rule)
    {
        if (!holds)
        {
            throw new ArgumentException($"the setting '{setting}' {rule}");
        }
    }
}
