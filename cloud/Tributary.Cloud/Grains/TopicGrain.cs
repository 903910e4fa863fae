using System.Collections.Immutable;
using Tributary.Broker.Configs;
using Tributary.Cloud.Storage;

namespace Tributary.Cloud.Grains;

/// <inheritdoc cref="ITopicGrain"/>
/// <remarks>
/// A topic is created by two writes: its record, then its place in the cluster's list. The second makes it exist. After a crash between
/// them there is a record that nothing knows of; whoever creates the topic next lists that record, whose id nobody else can have used.
/// It is deleted in the opposite order: the cluster's list first, which decides, then, when brokers have let it go, the record; until the
/// cluster has forgotten it, no topic of its name is created, so a record that is left is never listed again. Partitions are added to the
/// list's count first, so that it never says fewer than there are.
/// </remarks>
internal sealed class TopicGrain(
    [PersistentState(TopicGrain.StateName, RecordStorage.Name)] IPersistentState<TopicRecord> stored)
    : RecordGrain<TopicRecord>(stored), ITopicGrain
{
    /// <summary>Name of the state in storage; no other grain class may have it.</summary>
    public const string StateName = "topic";

    private IClusterGrain Cluster => GrainFactory.GetGrain<IClusterGrain>(IClusterGrain.Key);

    /// <inheritdoc/>
    public async Task<TopicCreationAnswer> CreateAsync(TopicSpec spec)
    {
        if (Exists)
        {
            return await AnswerExistsAsync(spec.ValidateOnly);
        }
        Placement placement = await Cluster.PlaceTopicAsync(spec.Name, spec.PartitionCount, spec.ReplicationFactor);
        if (placement.Refusal is not null)
        {
            return new TopicCreationAnswer(placement.Refusal, null);
        }
        TopicRecord topic = TopicRecord.Create(spec, Guid.NewGuid(), placement.Brokers, placement.ReplicationFactor);
        if (spec.ValidateOnly)
        {
            return new TopicCreationAnswer(null, topic);
        }
        await StoreAsync(topic);
        Refusal? refusal = await Cluster.ListTopicAsync(topic.ToListing());
        return new TopicCreationAnswer(refusal, refusal is null ? topic : null);
    }

    /// <inheritdoc/>
    public async Task<TopicRecord?> BrokerStartedAsync(int nodeId)
    {
        if (!Exists)
        {
            return null;
        }
        TopicRecord next = Record.BrokerStarted(nodeId);
        if (!ReferenceEquals(next, Record))
        {
            await StoreAsync(next);
        }
        return next;
    }

    /// <inheritdoc/>
    public async Task<TopicChangeAnswer> CreatePartitionsAsync(int count, bool validateOnly)
    {
        if (!Exists)
        {
            return Unknown;
        }
        int now = Record.Partitions.Length;
        if (count <= now)
        {
            return new TopicChangeAnswer(
                new Refusal(
                    ErrorCode.InvalidPartitions,
                    count == now
                        ? $"Topic already has {now} partition(s)."
                        : $"The topic {Record.Name} currently has {now} partition(s); {count} would not be an increase."),
                Record);
        }
        Placement placement = await Cluster.GrowTopicAsync(Record.Name, Record.Id, count, validateOnly);
        if (placement.Refusal is not null)
        {
            return new TopicChangeAnswer(placement.Refusal, null);
        }
        return await ChangeAsync(Record.Grow(count, placement.Brokers), validateOnly);
    }

    /// <inheritdoc/>
    public async Task<TopicChangeAnswer> AlterConfigsAsync(ImmutableArray<StoredConfigEdit> edits, bool replaceAll, bool validateOnly)
    {
        if (!Exists)
        {
            return Unknown;
        }
        (ErrorCode error, string? message) = ConfigEdits.Apply(
            Record.Configs, [.. edits.Select(edit => edit.ToEdit())], replaceAll,
            out ImmutableDictionary<string, string> next);
        return error == ErrorCode.None
            ? await ChangeAsync(Record with { Configs = next }, validateOnly)
            : new TopicChangeAnswer(new Refusal(error, message!), Record);
    }

    /// <inheritdoc/>
    public Task<TopicRecord?> GetAsync() => Task.FromResult(Exists ? Record : null);

    /// <inheritdoc/>
    public Task ForgetAsync(Guid id) => Exists && Record.Id == id ? ClearAsync() : Task.CompletedTask;

    private static TopicChangeAnswer Unknown { get; } =
        new(new Refusal(ErrorCode.UnknownTopicOrPartition, "This server does not host this topic-partition."), null);

    private async Task<TopicChangeAnswer> ChangeAsync(TopicRecord next, bool validateOnly)
    {
        if (!validateOnly)
        {
            await StoreAsync(next);
        }
        return new TopicChangeAnswer(null, next);
    }

    private async Task<TopicCreationAnswer> AnswerExistsAsync(bool validateOnly)
    {
        var exists = new Refusal(ErrorCode.TopicAlreadyExists, $"Topic '{Record.Name}' already exists.");
        if (validateOnly)
        {
            return new TopicCreationAnswer(exists, null);
        }
        Refusal? refusal = await Cluster.ListTopicAsync(Record.ToListing());
        return refusal is null ? new TopicCreationAnswer(exists, Record) : new TopicCreationAnswer(refusal, null);
    }
}
