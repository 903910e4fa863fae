using Tributary.Cloud.Storage;

namespace Tributary.Cloud.Grains;

/// <inheritdoc cref="ITopicGrain"/>
/// <remarks>
/// A topic is created by two writes: its record, then its place in the cluster's list. The second makes it exist. After a crash between
/// them there is a record that nothing knows of; whoever creates the topic next lists that record, whose id nobody else can have used.
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
