using System.Text.Json.Serialization;

namespace Tributary.Broker.Transactions;

/// <summary>
/// What is decided on a transactional id, as it is stored. Immutable: each decision of <see cref="TransactionMachine"/> makes the next one.
/// </summary>
public sealed record TransactionRecord
{
    /// <summary>Its producer id.</summary>
    public required long ProducerId { get; init; }

    /// <summary>The epoch that may write, or that has aborted in place of the one that might.</summary>
    public required short Epoch { get; init; }

    /// <summary>
    /// Who asked for the present epoch by saying what it had (KIP-360), −1 if nobody: when it asks again, its answer was lost.
    /// </summary>
    public long LastProducerId { get; init; } = -1;

    /// <summary>The epoch of <see cref="LastProducerId"/>, −1 if nobody.</summary>
    public short LastEpoch { get; init; } = -1;

    /// <summary>Milliseconds after which an open transaction is aborted.</summary>
    public required int TimeoutMs { get; init; }

    /// <summary>Where it is.</summary>
    public TransactionState State { get; init; }

    /// <summary>
    /// How many transactions of the producer id were decided: the coordinator epoch of the markers of the last one. So a partition that has
    /// a marker of this number knows a repetition, and one that comes late.
    /// </summary>
    public int Number { get; init; }

    /// <summary>The partitions of the open transaction.</summary>
    public TransactionTopic[] Topics { get; init; } = [];

    /// <summary>The consumer groups of the open transaction.</summary>
    public string[] Groups { get; init; } = [];

    /// <summary>When the open transaction began, Unix milliseconds, −1 if none is open.</summary>
    public long StartMs { get; init; } = -1;

    /// <summary>When this was decided, Unix milliseconds.</summary>
    public long UpdatedMs { get; init; }

    /// <summary>Who may write.</summary>
    [JsonIgnore]
    public ProducerIdentity Producer => new(ProducerId, Epoch);

    /// <summary>It is decided how the transaction ends, and not everybody knows yet.</summary>
    [JsonIgnore]
    public bool IsEnding => State is TransactionState.PrepareCommit or TransactionState.PrepareAbort;

    /// <summary>All partitions of the open transaction.</summary>
    [JsonIgnore]
    public IEnumerable<TransactionPartition> Partitions =>
        Topics.SelectMany(topic => topic.Partitions.Select(index => new TransactionPartition(topic.Name, topic.Id, index)));

    /// <summary>How many <see cref="Partitions"/> there are.</summary>
    [JsonIgnore]
    public int PartitionCount => Topics.Sum(topic => topic.Partitions.Length);

    /// <summary>
    /// When somebody has to look after it, whatever its clients do: Unix milliseconds, 0 for at once, null while nothing is open.
    /// </summary>
    [JsonIgnore]
    public long? DueMs => IsEnding ? 0 : State == TransactionState.Ongoing ? StartMs + TimeoutMs : null;

    /// <summary>Whether a partition belongs to the open transaction.</summary>
    public bool Has(TransactionPartition partition) => Array.Exists(
        Topics, topic => topic.Id == partition.TopicId && topic.Name == partition.Topic && Array.IndexOf(topic.Partitions, partition.Index) >= 0);

    /// <summary>The record with more partitions.</summary>
    internal TransactionRecord With(IEnumerable<TransactionPartition> more)
    {
        var merged = new Dictionary<(string, Guid), SortedSet<int>>();
        foreach (TransactionPartition partition in Partitions.Concat(more))
        {
            if (!merged.TryGetValue((partition.Topic, partition.TopicId), out SortedSet<int>? indexes))
            {
                merged.Add((partition.Topic, partition.TopicId), indexes = []);
            }
            indexes.Add(partition.Index);
        }
        return this with { Topics = [.. merged.Select(topic => new TransactionTopic(topic.Key.Item1, topic.Key.Item2, [.. topic.Value]))] };
    }
}

/// <summary>Partitions of one topic that belong to a transaction.</summary>
/// <param name="Name">The topic's name.</param>
/// <param name="Id">The topic's id.</param>
/// <param name="Partitions">Their indexes.</param>
public sealed record TransactionTopic(string Name, Guid Id, int[] Partitions);
