using Tributary.Contracts.Kafka;

namespace Tributary.Edge.Uplink;

/// <summary>The cloud did not answer, or answered with an error that says to try again; the message says which.</summary>
internal class CloudException : IOException
{
    /// <inheritdoc/>
    public CloudException(string message) : base(message) { }

    /// <inheritdoc/>
    public CloudException(string message, Exception inner) : base(message, inner) { }
}

/// <summary>No connection comes about: nobody is there, or nobody knows where.</summary>
internal sealed class CloudUnreachableException(string message, Exception inner) : CloudException(message, inner);

/// <summary>
/// Trying again will do no good until somebody changes something, here or there: who the other is or who we are is not accepted. It is
/// tried again, at a slow pace.
/// </summary>
internal sealed class CloudRefusedException(string message, Exception? inner = null) : CloudException(message, inner!);

/// <summary>The answer to one batch.</summary>
/// <param name="BaseOffset">Cloud offset of its first record, −1 if there is none.</param>
internal readonly record struct ProduceAnswer(RoundBatch Batch, ErrorCode Error, long BaseOffset);

/// <summary>A connection to one of the cloud's nodes.</summary>
internal interface ICloudNode
{
    /// <summary>
    /// Sends batches, at most one for each partition, in the order of the calls: they are on their way when it returns, and it needs
    /// their bytes no longer or has taken them over. acks=all.
    /// </summary>
    /// <param name="topic">The topic.</param>
    /// <param name="incarnation">Who has claimed the producer id of the batches.</param>
    /// <param name="batches">The batches.</param>
    /// <returns>One answer for each batch. Faults with <see cref="CloudException"/> if the connection is lost or an answer is late.</returns>
    Task<IReadOnlyList<ProduceAnswer>> Produce(string topic, Guid incarnation, IReadOnlyList<RoundBatch> batches);

    /// <summary>Closes the connection; all its requests fail.</summary>
    void Drop(string reason);
}

/// <summary>What the uplink asks of the cloud. Every task faults with <see cref="CloudException"/> if it can't be done now.</summary>
internal interface ICloud : IAsyncDisposable
{
    /// <summary>Whether a request was answered on a connection that is open now.</summary>
    bool IsConnected { get; }

    /// <summary>Looks up a topic and who leads its partitions.</summary>
    Task<TopicMetadata> GetMetadataAsync(string topic, bool allowCreate, CancellationToken cancellation);

    /// <summary>Gets a new producer id.</summary>
    Task<(long ProducerId, short ProducerEpoch)> InitProducerIdAsync(CancellationToken cancellation);

    /// <summary>
    /// Claims a producer id at the leaders of partitions 0 to <paramref name="targets"/> − 1, asks what they have of it,
    /// and after their answers where their logs end.
    /// </summary>
    /// <param name="topic">The topic.</param>
    /// <param name="producerId">The producer id.</param>
    /// <param name="claim">Who claims it.</param>
    /// <param name="targets">Partitions.</param>
    /// <param name="cancellation">Ends the wait.</param>
    Task<CloudPosition[]> GetPositionsAsync(string topic, long producerId, ProducerClaim claim, int targets, CancellationToken cancellation);

    /// <summary>The connection to the leader of a partition, as of the last metadata; it is made if need be.</summary>
    ValueTask<ICloudNode> GetLeaderAsync(string topic, int target, CancellationToken cancellation);
}

/// <summary>Who wants to be the only one to write under a producer id.</summary>
/// <param name="Incarnation">An uplink from its begin to its end, by chance unlike all others, also of copies of its directory.</param>
/// <param name="Start">How often the directory was in use by then: of two claims the later one is granted.</param>
internal readonly record struct ProducerClaim(Guid Incarnation, long Start);
