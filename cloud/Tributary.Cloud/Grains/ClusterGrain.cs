using System.Buffers.Text;
using System.Collections.Immutable;
using System.Security.Cryptography;
using Tributary.Broker.Configs;
using Tributary.Cloud.Storage;

namespace Tributary.Cloud.Grains;

/// <inheritdoc cref="IClusterGrain"/>
internal sealed class ClusterGrain(
    [PersistentState(ClusterGrain.StateName, RecordStorage.Name)] IPersistentState<ClusterRecord> stored, ClusterLimits limits)
    : RecordGrain<ClusterRecord>(stored), IClusterGrain
{
    /// <summary>Name of the state in storage; no other grain class may have it.</summary>
    public const string StateName = "cluster";

    private const int ClusterIdBytes = 16;
    private const int DefaultReplicationFactor = 1;

    /// <inheritdoc/>
    public async Task<BrokerRegistration> RegisterBrokerAsync(string name, string host, int port)
    {
        await StoreAsync(Record.Register(name, host, port, NewClusterId()));
        BrokerRecord broker = Record.Brokers.Single(known => known.Name == name);
        return new BrokerRegistration(
            Record.ClusterId, broker, Record.Brokers, [.. Record.Topics.Values], [.. Record.Deleted.Values],
            StoredOverrides.From(Record.OverridesOf(broker.NodeId)));
    }

    /// <inheritdoc/>
    public Task<Placement> PlaceTopicAsync(string name, int partitions, int replicationFactor)
    {
        int factor = replicationFactor < 0 ? DefaultReplicationFactor : replicationFactor;
        Refusal? refusal = FindRefusal(name) ?? FindRefusal(name, partitions);
        if (factor < 1 || factor > Record.Brokers.Length)
        {
            refusal ??= new Refusal(
                ErrorCode.InvalidReplicationFactor, $"Replication factor {factor} is not from 1 to {Record.Brokers.Length}, the number of brokers");
        }
        return Task.FromResult(new Placement(refusal, [.. Record.Brokers.Select(broker => broker.NodeId)], factor));
    }

    /// <inheritdoc/>
    public async Task<Refusal?> ListTopicAsync(TopicListing topic)
    {
        if (Record.Topics.TryGetValue(topic.Name, out TopicListing? listed))
        {
            return listed.Id == topic.Id
                ? null
                : throw new InvalidOperationException($"topic '{topic.Name}' is listed with id {listed.Id}, its record has {topic.Id}");
        }
        if ((FindRefusal(topic.Name) ?? FindRefusal(topic.Name, topic.Partitions)) is { } refusal)
        {
            return refusal;
        }
        await StoreAsync(Record.List(topic));
        return null;
    }

    /// <inheritdoc/>
    public async Task<Placement> GrowTopicAsync(string name, Guid id, int partitions, bool validateOnly)
    {
        Refusal? refusal = null;
        if (!Record.Topics.TryGetValue(name, out TopicListing? topic) || topic.Id != id)
        {
            refusal = new Refusal(ErrorCode.UnknownTopicOrPartition, $"Topic '{name}' does not exist.");
        }
        else if (partitions > topic.Partitions)
        {
            refusal = FindRefusal(name, partitions - topic.Partitions);
            if (refusal is null && !validateOnly)
            {
                await StoreAsync(Record.Grow(topic, partitions));
            }
        }
        return new Placement(refusal, [.. Record.Brokers.Select(broker => broker.NodeId)], DefaultReplicationFactor);
    }

    /// <inheritdoc/>
    public async Task<TopicListing?> DeleteTopicAsync(string name, Guid id)
    {
        if (Record.Topics.TryGetValue(name, out TopicListing? topic) && topic.Id == id)
        {
            await StoreAsync(Record.Delete(topic));
            return topic;
        }
        return Record.Deleted.TryGetValue(name, out TopicListing? deleted) && deleted.Id == id ? deleted : null;
    }

    /// <inheritdoc/>
    public async Task ForgetTopicAsync(string name, Guid id)
    {
        if (Record.Deleted.TryGetValue(name, out TopicListing? deleted) && deleted.Id == id)
        {
            await StoreAsync(Record.Forget(deleted));
        }
    }

    /// <inheritdoc/>
    public Task<TopicStanding> FindTopicAsync(string name) =>
        Task.FromResult(new TopicStanding(Record.Topics.GetValueOrDefault(name), Record.Deleted.GetValueOrDefault(name)));

    /// <inheritdoc/>
    public async Task<Refusal?> AlterBrokerConfigsAsync(
        int nodeId, bool ofNode, ImmutableArray<StoredConfigEdit> edits, bool replaceAll, bool validateOnly)
    {
        (ErrorCode error, string? message) = BrokerConfigEdits.Apply(
            Record.OverridesOf(nodeId), ofNode, [.. edits.Select(edit => edit.ToEdit())], replaceAll, out BrokerOverrides next);
        if (error != ErrorCode.None)
        {
            return new Refusal(error, message!);
        }
        if (!validateOnly)
        {
            await StoreAsync(Record.Override(nodeId, next));
        }
        return null;
    }

    /// <inheritdoc/>
    public Task<StoredOverrides> GetBrokerConfigsAsync(int nodeId) => Task.FromResult(StoredOverrides.From(Record.OverridesOf(nodeId)));

    /// <inheritdoc/>
    public async Task<ProducerIdBlock> TakeProducerIdsAsync()
    {
        long first = Record.NextProducerId;
        await StoreAsync(Record.TakeProducerIds());
        return new ProducerIdBlock(first, ClusterRecord.ProducerIdBlockSize);
    }

    /// <summary>Why no topic of that name can be added, whatever it has.</summary>
    private Refusal? FindRefusal(string name) => Record.Deleted.ContainsKey(name)
        ? new Refusal(ErrorCode.TopicAlreadyExists, $"Topic '{name}' is marked for deletion.")
        : Record.Topics.Count >= limits.MaxTopics
            ? new Refusal(
                ErrorCode.PolicyViolation, $"Topic '{name}' would be one too many: there are {Record.Topics.Count}, and maxTopics is {limits.MaxTopics}")
            : null;

    /// <summary>Why a topic can't have so many partitions more.</summary>
    private Refusal? FindRefusal(string name, int partitions)
    {
        long existing = Record.Topics.Values.Sum(topic => (long)topic.Partitions);
        return existing + partitions <= limits.MaxPartitions ? null : new Refusal(
            ErrorCode.PolicyViolation,
            $"Topic '{name}' would bring {partitions} partitions to the {existing} there are, and maxPartitions is {limits.MaxPartitions}");
    }

    /// <summary>
    /// 16 random bytes in base64url, as Kafka's cluster ids are; none begins with '-', which command lines take for an option.
    /// </summary>
    private static string NewClusterId()
    {
        while (true)
        {
            string id = Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(ClusterIdBytes));
            if (id[0] != '-')
            {
                return id;
            }
        }
    }
}

/// <summary>How large the cluster's metadata may become.</summary>
/// <param name="MaxTopics">Most topics.</param>
/// <param name="MaxPartitions">Most partitions of all topics together.</param>
internal sealed record ClusterLimits(int MaxTopics, int MaxPartitions);
