using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Deletes topics by name or id. When it answers, the topic doesn't exist: whoever waited for it has been answered, and after a crash it
/// stays away. Each is deleted by itself: one that fails doesn't hold up others.
/// </summary>
internal sealed class DeleteTopicsHandler(BrokerContext broker) : ApiHandler<DeleteTopicsRequest, DeleteTopicsResponse>(broker)
{
    private const short TopicsByIdSince = 6;

    /// <inheritdoc/>
    protected override async ValueTask<DeleteTopicsResponse> AnswerAsync(
        Request request, DeleteTopicsRequest body, CancellationToken cancellation)
    {
        using var limit = new AdminLimit(Broker, body.TimeoutMs, cancellation);
        DeleteTopicsRequest.DeleteTopicState[] asked = request.Version >= TopicsByIdSince
            ? body.Topics
            : [.. body.TopicNames.Select(name => new DeleteTopicsRequest.DeleteTopicState { Name = name })];
        ClusterSnapshot snapshot = Broker.Control.Snapshot;
        Found[] found = [.. asked.Select(topic => Find(snapshot, topic))];
        HashSet<Guid> repeated = [.. found.Where(one => one.Topic is not null).CountBy(one => one.Topic!.Id).Where(id => id.Value > 1).Select(id => id.Key)];
        return new DeleteTopicsResponse
        {
            Responses = await TopicChange.ForEachAsync(asked, async (topic, i) =>
            {
                (TopicInfo? known, TopicOutcome outcome) = found[i];
                if (known is not null)
                {
                    outcome = repeated.Contains(known.Id)
                        ? new TopicOutcome(ErrorCode.InvalidRequest, "Duplicate topic name or id.")
                        : await TopicChange.TryAsync(Broker, known.Name, () => Broker.Control.DeleteTopicAsync(known.Name, known.Id, limit.Token));
                }
                return new DeleteTopicsResponse.DeletableTopicResult
                {
                    Name = topic.Name ?? known?.Name,
                    TopicId = known?.Id ?? topic.TopicId,
                    ErrorCode = Counted(outcome.Error),
                    ErrorMessage = outcome.Message,
                };
            }),
        };
    }

    private static Found Find(ClusterSnapshot snapshot, DeleteTopicsRequest.DeleteTopicState asked)
    {
        if (asked.Name is null == (asked.TopicId == Guid.Empty))
        {
            return new Found(null, new TopicOutcome(
                ErrorCode.InvalidRequest,
                asked.Name is null ? "Neither topic name nor id were specified." : "You may not specify both topic name and topic id."));
        }
        if (asked.Name is { } name)
        {
            return snapshot.Topics.TryGetValue(name, out TopicInfo? named)
                ? new Found(named, TopicOutcome.Done)
                : new Found(null, new TopicOutcome(ErrorCode.UnknownTopicOrPartition, TopicChange.UnknownTopic));
        }
        return snapshot.TopicsById.TryGetValue(asked.TopicId, out TopicInfo? known)
            ? new Found(known, TopicOutcome.Done)
            : new Found(null, new TopicOutcome(ErrorCode.UnknownTopicId, "This server does not host this topic ID."));
    }

    /// <summary>A topic that is to be deleted, or why it can't be.</summary>
    private readonly record struct Found(TopicInfo? Topic, TopicOutcome Outcome);
}
