using Tributary.Broker.Configs;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Replaces all configs of topics: what isn't named has its default again.</summary>
internal sealed class AlterConfigsHandler(BrokerContext broker) : ApiHandler<AlterConfigsRequest, AlterConfigsResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<AlterConfigsResponse> AnswerAsync(
        Request request, AlterConfigsRequest body, CancellationToken cancellation)
    {
        ConfigChange[] changes =
        [
            .. body.Resources.Select(resource => new ConfigChange(
                resource.ResourceType, resource.ResourceName,
                [.. resource.Configs.Select(config => new ConfigEdit(config.Name, ConfigOperation.Set, config.Value))])),
        ];
        TopicOutcome[] outcomes = await ConfigChange.ApplyAsync(Broker, changes, replaceAll: true, body.ValidateOnly, cancellation);
        return new AlterConfigsResponse
        {
            Responses =
            [
                .. changes.Zip(outcomes, (change, outcome) => new AlterConfigsResponse.AlterConfigsResourceResponse
                {
                    ErrorCode = Counted(outcome.Error),
                    ErrorMessage = outcome.Message,
                    ResourceType = change.ResourceType,
                    ResourceName = change.ResourceName,
                }),
            ],
        };
    }
}
