namespace Tributary.Cloud.Grains;

/// <summary>Works for one transactional id.</summary>
[Alias("Tributary.ITransactionGrain")]
internal interface ITransactionGrain : IGrainWithStringKey
{
    private const string Prefix = "txn/";

    /// <summary>The grain's key for a transactional id.</summary>
    static string KeyOf(string id) => Prefix + id;

    /// <summary>The transactional id that a key is of.</summary>
    static string IdOf(string key) => key[Prefix.Length..];

    /// <inheritdoc cref="Broker.Transactions.ITransactionCoordinator.InitializeAsync"/>
    [Alias("Initialize")]
    Task<ProducerReply> InitializeAsync(int timeoutMs, ProducerCard? current);

    /// <inheritdoc cref="Broker.Transactions.ITransactionCoordinator.AddPartitionsAsync"/>
    [Alias("AddPartitions")]
    Task<TransactionReply> AddPartitionsAsync(ProducerCard producer, PartitionCard[] partitions);

    /// <inheritdoc cref="Broker.Transactions.ITransactionCoordinator.AddGroupAsync"/>
    [Alias("AddGroup")]
    Task<TransactionReply> AddGroupAsync(ProducerCard producer, string groupId);

    /// <inheritdoc cref="Broker.Transactions.ITransactionCoordinator.EndAsync"/>
    [Alias("End")]
    Task<TransactionReply> EndAsync(ProducerCard producer, bool commit);

    /// <inheritdoc cref="Broker.Transactions.ITransactionCoordinator.VerifyAsync"/>
    [Alias("Verify")]
    Task<TransactionReply> VerifyAsync(ProducerCard producer, PartitionCard partition);

    /// <inheritdoc cref="Broker.Transactions.ITransactionCoordinator.VerifyGroupAsync"/>
    [Alias("VerifyGroup")]
    Task<GroupVerification> VerifyGroupAsync(ProducerCard producer, string groupId);

    /// <inheritdoc cref="Broker.Transactions.ITransactionCoordinator.DescribeAsync"/>
    [Alias("Describe")]
    Task<DescribedTransaction?> DescribeAsync();

    /// <summary>Has the transactional id do what is due: go on with what was decided, abort what was open for too long, be forgotten.</summary>
    [Alias("Wake")]
    Task WakeAsync();
}

/// <summary>A producer id and epoch.</summary>
[GenerateSerializer, Immutable, Alias("Tributary.ProducerCard")]
internal sealed record ProducerCard([property: Id(0)] long ProducerId, [property: Id(1)] short Epoch);

/// <summary>A partition by its topic's name and id.</summary>
[GenerateSerializer, Immutable, Alias("Tributary.PartitionCard")]
internal sealed record PartitionCard([property: Id(0)] string Topic, [property: Id(1)] Guid TopicId, [property: Id(2)] int Index);

/// <summary>What became of a request.</summary>
[GenerateSerializer, Immutable, Alias("Tributary.TransactionReply")]
internal sealed record TransactionReply([property: Id(0)] ErrorCode Error);

/// <summary>Whether a group belongs to the open transaction.</summary>
[GenerateSerializer, Immutable, Alias("Tributary.GroupVerification")]
internal sealed record GroupVerification([property: Id(0)] ErrorCode Error, [property: Id(1)] int Version);

/// <summary>What became of asking for a producer id.</summary>
[GenerateSerializer, Immutable, Alias("Tributary.ProducerReply")]
internal sealed record ProducerReply([property: Id(0)] ErrorCode Error, [property: Id(1)] ProducerCard Producer);

/// <summary>What is known of a transactional id.</summary>
[GenerateSerializer, Immutable, Alias("Tributary.DescribedTransaction")]
internal sealed record DescribedTransaction(
    [property: Id(0)] byte State,
    [property: Id(1)] ProducerCard Producer,
    [property: Id(2)] int TimeoutMs,
    [property: Id(3)] long StartMs,
    [property: Id(4)] PartitionCard[] Partitions);
