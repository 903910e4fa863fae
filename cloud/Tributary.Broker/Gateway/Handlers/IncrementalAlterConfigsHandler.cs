using Tributary.Broker.Configs;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Changes single configs of topics (KIP-339).</summary>
internal sealed class IncrementalAlterConfigsHandler(BrokerContext broker)
    : ApiHandler<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<IncrementalAlterConfigsResponse> AnswerAsync(
        Request request, IncrementalAlterConfigsRequest body, CancellationToken cancellation)
    {
        ConfigChange[] changes =
        [
            .. body.Resources.Select(resource => new ConfigChange(
                resource.ResourceType, resource.ResourceName,
                [.. resource.Configs.Select(config => new ConfigEdit(config.Name, (ConfigOperation)config.ConfigOperation, config.Value))])),
        ];
        TopicOutcome[] outcomes = await ConfigChange.ApplyAsync(Broker, changes, replaceAll: false, body.ValidateOnly, cancellation);
        return new IncrementalAlterConfigsResponse
        {
            Responses =
            [
                .. changes.Zip(outcomes, (change, outcome) => new IncrementalAlterConfigsResponse.AlterConfigsResourceResponse
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
