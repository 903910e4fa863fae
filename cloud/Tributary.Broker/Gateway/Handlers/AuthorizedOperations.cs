namespace Tributary.Broker.Gateway.Handlers;

/// <summary>What clients may do, as bits of Kafka's ACL operations (KIP-430): whoever is connected may do all.</summary>
internal static class AuthorizedOperations
{
    /// <summary>They weren't asked for.</summary>
    public const int Omitted = int.MinValue;

    /// <summary>READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS.</summary>
    public const int OfTopic = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;

    /// <summary>CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS and IDEMPOTENT_WRITE.</summary>
    public const int OfCluster = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;
}
