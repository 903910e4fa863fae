namespace Tributary.Broker.Transactions;

/// <summary>Limits and times of transactions. Immutable. Where Kafka has a broker config of the same meaning, its name is given.</summary>
public sealed record TransactionOptions
{
    /// <summary>Longest timeout that a producer may ask for (<c>transaction.max.timeout.ms</c>).</summary>
    public TimeSpan MaxTimeout { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>How long a transactional id without an open transaction is remembered (<c>transactional.id.expiration.ms</c>).</summary>
    public TimeSpan IdExpiration { get; init; } = TimeSpan.FromDays(7);

    /// <summary>
    /// Time between two looks for transactions that nobody works for although they are to end, and for transactional ids that are to be
    /// forgotten (<c>transaction.abort.timed.out.transaction.cleanup.interval.ms</c>).
    /// </summary>
    public TimeSpan UpkeepInterval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long a request waits until the transaction before is completed, before its client is told to ask again. Clients ask again only
    /// after some 20 ms or more, and it is mostly over sooner.
    /// </summary>
    public TimeSpan CompletionWait { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Most transactional ids.</summary>
    public int MaxIds { get; init; } = 100_000;

    /// <summary>Most characters of a transactional id.</summary>
    public int MaxIdLength { get; init; } = 1024;

    /// <summary>Most partitions of a transaction.</summary>
    public int MaxPartitions { get; init; } = 10_000;

    /// <summary>Most consumer groups of a transaction.</summary>
    public int MaxGroups { get; init; } = 100;

    /// <summary>Finds what can't be.</summary>
    /// <returns>The setting as users write it and the rule that it breaks; null if there is none.</returns>
    internal (string Setting, string Rule)? FindFault() =>
        MaxTimeout < TimeSpan.FromMilliseconds(1) || MaxTimeout > TimeSpan.FromDays(1)
            ? ("transactions:maxTimeoutMs", "must be 1 to 86400000")
        : IdExpiration <= TimeSpan.Zero ? ("transactions:idExpirationMs", "must be positive")
        : UpkeepInterval <= TimeSpan.Zero || UpkeepInterval > TimeSpan.FromDays(1)
            ? ("transactions:upkeepIntervalMs", "must be above zero and at most a day")
        : CompletionWait < TimeSpan.Zero || CompletionWait > TimeSpan.FromSeconds(10)
            ? ("transactions:completionWaitMs", "must be 0 to 10000")
        : MaxIds <= 0 ? ("transactions:maxIds", "must be positive")
        : MaxIdLength is <= 0 or > short.MaxValue ? ("transactions:maxIdLength", "must be 1 to 32767")
        : MaxPartitions <= 0 ? ("transactions:maxPartitions", "must be positive")
        : MaxGroups <= 0 ? ("transactions:maxGroups", "must be positive")
        : default((string, string)?);
}
