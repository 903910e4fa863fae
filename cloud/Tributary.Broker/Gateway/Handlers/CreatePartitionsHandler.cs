using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Gives topics more partitions. Each is changed by itself: one that fails doesn't hold up others.</summary>
internal sealed class CreatePartitionsHandler(BrokerContext broker) : ApiHandler<CreatePartitionsRequest, CreatePartitionsResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<CreatePartitionsResponse> AnswerAsync(
        Request request, CreatePartitionsRequest body, CancellationToken cancellation)
    {
        using var limit = new AdminLimit(Broker, body.TimeoutMs, cancellation);
        HashSet<string> repeated = [.. body.Topics.CountBy(topic => topic.Name).Where(name => name.Value > 1).Select(name => name.Key)];
        return new CreatePartitionsResponse
        {
            Results = await TopicChange.ForEachAsync(body.Topics, async (topic, _) =>
            {
                TopicOutcome outcome = repeated.Contains(topic.Name)
                    ? new TopicOutcome(ErrorCode.InvalidRequest, "Duplicate topic in request.")
                    : Check(topic);
                if (outcome.Error == ErrorCode.None)
                {
                    outcome = await TopicChange.TryAsync(Broker, topic.Name, () => Broker.Control.CreatePartitionsAsync(
                        new MorePartitions(topic.Name, topic.Count, body.ValidateOnly), limit.Token));
                }
                return new CreatePartitionsResponse.CreatePartitionsTopicResult
                {
                    Name = topic.Name,
                    ErrorCode = Counted(outcome.Error),
                    ErrorMessage = outcome.Message,
                };
            }),
        };
    }

    private TopicOutcome Check(CreatePartitionsRequest.CreatePartitionsTopic topic)
    {
        ClusterSnapshot snapshot = Broker.Control.Snapshot;
        if (!snapshot.Topics.TryGetValue(topic.Name, out TopicInfo? known))
        {
            return new TopicOutcome(ErrorCode.UnknownTopicOrPartition, TopicChange.UnknownTopic);
        }
        if (topic.Count > Broker.Options.MaxPartitionsPerTopic)
        {
            return new TopicOutcome(
                ErrorCode.InvalidPartitions, $"{topic.Count} partitions are more than {Broker.Options.MaxPartitionsPerTopic} "
                + "(broker:maxPartitionsPerTopic).");
        }
        int added = topic.Count - known.Partitions.Length;
        if (topic.Assignments is not { } assignments || added <= 0)
        {
            return TopicOutcome.Done;
        }
        if (assignments.Length != added)
        {
            return new TopicOutcome(
                ErrorCode.InvalidReplicaAssignment,
                $"Attempted to add {added} additional partition(s), but {assignments.Length} assignment(s) were specified.");
        }
        return ManualAssignment.FindFault(snapshot.Brokers, assignments.Select(one => one.BrokerIds)) is { } fault
            ? new TopicOutcome(ErrorCode.InvalidReplicaAssignment, fault)
            : TopicOutcome.Done;
    }
}
