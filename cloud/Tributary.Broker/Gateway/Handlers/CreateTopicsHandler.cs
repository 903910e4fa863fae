using System.Collections.Immutable;
using Tributary.Broker.Configs;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Telemetry;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Creates topics as an administrator asks. Each is checked and created by itself: one that fails doesn't hold up others.
/// </summary>
internal sealed class CreateTopicsHandler(BrokerContext broker) : ApiHandler<CreateTopicsRequest, CreateTopicsResponse>(broker)
{
    private const int UseDefault = -1;
    private const string OrDefault = ", or -1 for the default"; // in every version, though clients know it from 4 on (KIP-464)
    private readonly TopicCreation _creation = new(broker);

    /// <inheritdoc/>
    protected override async ValueTask<CreateTopicsResponse> AnswerAsync(
        Request request, CreateTopicsRequest body, CancellationToken cancellation)
    {
        using var limit = new AdminLimit(Broker, body.TimeoutMs, cancellation);
        var duplicates = body.Topics.CountBy(topic => topic.Name).Where(name => name.Value > 1).Select(name => name.Key).ToHashSet();
        CreateTopicsResponse.CreatableTopicResult[] results = await TopicChange.ForEachAsync(body.Topics, async (topic, i) =>
        {
            (ErrorCode error, string? message) = duplicates.Contains(topic.Name) ? (ErrorCode.InvalidRequest, "Duplicate topic name.")
                : i >= Broker.Options.MaxTopicsPerCreate
                    ? (ErrorCode.PolicyViolation, $"a request may create {Broker.Options.MaxTopicsPerCreate} topics at most")
                : Check(topic);
            return Answer(
                topic.Name,
                error == ErrorCode.None
                    ? await _creation.CreateAsync(ToNew(topic, body.ValidateOnly), limit.Token)
                    : new CreateTopicOutcome(error, message, null));
        });
        return new CreateTopicsResponse { Topics = results };
    }

    private (ErrorCode Error, string? Message) Check(CreateTopicsRequest.CreatableTopic topic)
    {
        if (KafkaTopicName.Fault(topic.Name) is { } wrong)
        {
            return (ErrorCode.InvalidTopicException, $"Topic name is invalid: {wrong}");
        }
        if (Broker.Control.Snapshot.Topics.ContainsKey(topic.Name))
        {
            return (ErrorCode.TopicAlreadyExists, $"Topic '{topic.Name}' already exists."); // whatever else is wrong, as Kafka has it
        }
        (ErrorCode error, string? message) = topic.Assignments.Length > 0 ? CheckAssignments(topic) : CheckCounts(topic);
        if (error != ErrorCode.None)
        {
            return (error, message);
        }
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (CreateTopicsRequest.CreatableTopicConfig config in topic.Configs)
        {
            string? problem = names.Add(config.Name) ? TopicConfigs.FindFault(config.Name, config.Value) : $"{config.Name} is given twice";
            if (problem is not null)
            {
                return (ErrorCode.InvalidConfig, problem);
            }
        }
        var configs = topic.Configs.ToDictionary(config => config.Name, config => config.Value!, StringComparer.Ordinal);
        return TopicConfigs.FindConflict(configs) is { } conflict ? (ErrorCode.InvalidConfig, conflict) : (ErrorCode.None, null);
    }

    private (ErrorCode Error, string? Message) CheckCounts(CreateTopicsRequest.CreatableTopic topic)
    {
        int most = Broker.Options.MaxPartitionsPerTopic;
        int brokers = Broker.Control.Snapshot.Brokers.Length;
        int count = topic.NumPartitions;
        int factor = topic.ReplicationFactor;
        if (count != UseDefault && (count < 1 || count > most))
        {
            return (ErrorCode.InvalidPartitions, $"Number of partitions must be 1 to {most}{OrDefault}.");
        }
        return factor != UseDefault && (factor < 1 || factor > brokers)
            ? (ErrorCode.InvalidReplicationFactor, $"Replication factor must be 1 to {brokers}, the number of brokers{OrDefault}.")
            : (ErrorCode.None, null);
    }

    /// <summary>A manual assignment is taken only where there is nothing to choose: each partition on the one broker.</summary>
    private (ErrorCode Error, string? Message) CheckAssignments(CreateTopicsRequest.CreatableTopic topic)
    {
        if (topic.NumPartitions != UseDefault || topic.ReplicationFactor != UseDefault)
        {
            return (ErrorCode.InvalidRequest, "Both assignments and a number of partitions or a replication factor are given.");
        }
        ImmutableArray<BrokerNode> brokers = Broker.Control.Snapshot.Brokers;
        if (topic.Assignments.Length > Broker.Options.MaxPartitionsPerTopic)
        {
            return (ErrorCode.InvalidPartitions, $"Number of partitions must be 1 to {Broker.Options.MaxPartitionsPerTopic}.");
        }
        bool isConsecutive = topic.Assignments.Select(one => one.PartitionIndex).Order()
            .SequenceEqual(Enumerable.Range(0, topic.Assignments.Length));
        return !isConsecutive ? (ErrorCode.InvalidReplicaAssignment, "Partitions of an assignment must be consecutive from 0.")
            : ManualAssignment.FindFault(brokers, topic.Assignments.Select(one => one.BrokerIds)) is { } fault
                ? (ErrorCode.InvalidReplicaAssignment, fault)
            : (ErrorCode.None, null);
    }

    private static NewTopic ToNew(CreateTopicsRequest.CreatableTopic topic, bool validateOnly) => new(
        topic.Name,
        topic.Assignments.Length > 0 ? topic.Assignments.Length : topic.NumPartitions,
        topic.ReplicationFactor,
        topic.Configs.ToImmutableDictionary(config => config.Name, config => config.Value!),
        validateOnly);

    private CreateTopicsResponse.CreatableTopicResult Answer(string name, CreateTopicOutcome outcome)
    {
        var result = new CreateTopicsResponse.CreatableTopicResult
        {
            Name = name,
            ErrorCode = Counted(outcome.Error),
            ErrorMessage = outcome.Message,
            Configs = null,
        };
        if (outcome is { Error: ErrorCode.None, Topic: { } topic })
        {
            result.TopicId = topic.Id;
            result.NumPartitions = topic.Partitions.Length;
            result.ReplicationFactor = (short)(topic.Partitions is [var first, ..] ? first.Replicas.Length : UseDefault);
            BrokerOverrides overrides = Broker.Control.Snapshot.Overrides;
            result.Configs = [.. TopicConfigs.All.Select(config => Describe(config, topic, overrides))];
        }
        return result;
    }

    private static CreateTopicsResponse.CreatableTopicConfigs Describe(ConfigDefinition config, TopicInfo topic, BrokerOverrides overrides)
    {
        (string value, ConfigSource source) =
            topic.Configs.TryGetValue(config.Name, out string? set) ? (set, ConfigSource.Topic) : overrides.DefaultOf(config);
        return new CreateTopicsResponse.CreatableTopicConfigs { Name = config.Name, Value = value, ConfigSource = (sbyte)source };
    }
}
