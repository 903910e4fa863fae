using System.Collections.Immutable;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Creates topics through the control plane: on request, and by itself for Metadata.</summary>
internal sealed class TopicCreation(BrokerContext broker)
{
    private const int UseDefault = -1;

    /// <summary>Creates a topic with the default number of partitions. Another that creates it at the same time is no error.</summary>
    public async ValueTask<ErrorCode> CreateDefaultAsync(string name, CancellationToken cancellation)
    {
        CreateTopicOutcome outcome = await CreateAsync(
            new NewTopic(name, UseDefault, UseDefault, ImmutableDictionary<string, string>.Empty, ValidateOnly: false), cancellation);
        return outcome.Error == ErrorCode.TopicAlreadyExists ? ErrorCode.None : outcome.Error;
    }

    /// <summary>Creates a topic that was validated. A control plane that fails gives an error that clients try again.</summary>
    public async ValueTask<CreateTopicOutcome> CreateAsync(NewTopic topic, CancellationToken cancellation)
    {
        NewTopic asked = topic.PartitionCount == UseDefault ? topic with { PartitionCount = broker.Options.DefaultPartitions } : topic;
        try
        {
            return await broker.Control.CreateTopicAsync(asked, cancellation);
        }
        catch (OperationCanceledException)
        {
            return new CreateTopicOutcome(ErrorCode.RequestTimedOut, "the topic wasn't created in time; it may still be", null);
        }
        catch (Exception e)
        {
            broker.Logger.TopicCreationFailed(e, topic.Name);
            return new CreateTopicOutcome(ErrorCode.RequestTimedOut, "the topic could not be created now; try again", null);
        }
    }
}
