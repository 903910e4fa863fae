using Tributary.Broker.Configs;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Changes of a resource's configs, for AlterConfigs and IncrementalAlterConfigs.</summary>
/// <param name="ResourceType">2 for a topic, 4 for a broker.</param>
/// <param name="ResourceName">Its name.</param>
/// <param name="Edits">The changes.</param>
internal sealed record ConfigChange(sbyte ResourceType, string ResourceName, ConfigEdit[] Edits)
{
    /// <summary>Makes the changes of a request, each resource's by itself.</summary>
    public static async Task<TopicOutcome[]> ApplyAsync(
        BrokerContext broker, ConfigChange[] changes, bool replaceAll, bool validateOnly, CancellationToken cancellation)
    {
        using var limit = new AdminLimit(broker, int.MaxValue, cancellation);
        HashSet<(sbyte, string)> repeated =
            [.. changes.CountBy(change => (change.ResourceType, change.ResourceName)).Where(one => one.Value > 1).Select(one => one.Key)];
        return await TopicChange.ForEachAsync(changes, (change, _) => repeated.Contains((change.ResourceType, change.ResourceName))
            ? Task.FromResult(new TopicOutcome(ErrorCode.InvalidRequest, "Each resource must appear at most once."))
            : change.ApplyAsync(broker, replaceAll, validateOnly, limit.Token));
    }

    private async Task<TopicOutcome> ApplyAsync(BrokerContext broker, bool replaceAll, bool validateOnly, CancellationToken cancellation)
    {
        ConfigResource resource = ConfigResource.Find(broker.Control.Snapshot, ResourceType, ResourceName, toChange: true);
        if (resource.Error != ErrorCode.None)
        {
            return new TopicOutcome(resource.Error, resource.Message);
        }
        if (resource.Topic is { } topic)
        {
            return await TopicChange.TryAsync(broker, topic.Name, () => broker.Control.AlterConfigsAsync(
                new ConfigAlteration(topic.Name, Edits, replaceAll, validateOnly), cancellation));
        }
        return await TopicChange.TryAsync(
            () => broker.Control.AlterBrokerConfigsAsync(
                new BrokerConfigAlteration(resource.Node is not null, Edits, replaceAll, validateOnly), cancellation),
            e => broker.Logger.BrokerConfigChangeFailed(e));
    }
}
