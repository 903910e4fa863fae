using Tributary.Broker.Configs;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Tells configs of topics and of this broker, where each value comes from, and what it does.</summary>
internal sealed class DescribeConfigsHandler(BrokerContext broker) : ApiHandler<DescribeConfigsRequest, DescribeConfigsResponse>(broker)
{
    /// <summary>About what a config takes in the answer: by itself, with its synonyms, with its documentation.</summary>
    private const int ConfigBytes = 64;
    private const int SynonymBytes = 96;
    private const int DocumentationBytes = 192;

    private readonly BrokerConfigs _ofBroker = new(broker.Options, broker.Logs?.Path ?? "");

    /// <summary>Names each resource once: a request that repeats one must not get its configs as often.</summary>
    protected override long Prepare(DescribeConfigsRequest body)
    {
        body.Resources = [.. body.Resources.DistinctBy(resource => (resource.ResourceType, resource.ResourceName))];
        int each = ConfigBytes + (body.IncludeSynonyms ? SynonymBytes : 0) + (body.IncludeDocumentation ? DocumentationBytes : 0);
        ClusterSnapshot snapshot = Broker.Control.Snapshot;
        return body.Resources.Sum(resource =>
            ConfigResource.Find(snapshot, resource.ResourceType, resource.ResourceName).Error == ErrorCode.None
                ? (long)each * (resource.ConfigurationKeys?.Length ?? _ofBroker.All.Length)
                : 0);
    }

    /// <inheritdoc/>
    protected override ValueTask<DescribeConfigsResponse> AnswerAsync(
        Request request, DescribeConfigsRequest body, CancellationToken cancellation)
    {
        ClusterSnapshot snapshot = Broker.Control.Snapshot;
        return new(new DescribeConfigsResponse { Results = [.. body.Resources.Select(resource => Describe(snapshot, resource, body))] });
    }

    private DescribeConfigsResponse.DescribeConfigsResult Describe(
        ClusterSnapshot snapshot, DescribeConfigsRequest.DescribeConfigsResource asked, DescribeConfigsRequest body)
    {
        ConfigResource resource = ConfigResource.Find(snapshot, asked.ResourceType, asked.ResourceName);
        var result = new DescribeConfigsResponse.DescribeConfigsResult
        {
            ErrorCode = Counted(resource.Error),
            ErrorMessage = resource.Message,
            ResourceType = asked.ResourceType,
            ResourceName = asked.ResourceName,
        };
        HashSet<string>? wanted = asked.ConfigurationKeys?.ToHashSet(StringComparer.Ordinal);
        if (resource.Topic is { } topic)
        {
            result.Configs = [.. TopicConfigs.All.Where(config => wanted?.Contains(config.Name) ?? true).Select(config => Describe(config, topic, body))];
        }
        else if (resource.Node is { } node) // those of all brokers are none: nothing is set for them together
        {
            result.Configs =
            [
                .. BrokerConfigs.OfNode(node).Concat(_ofBroker.All).Where(config => wanted?.Contains(config.Definition.Name) ?? true)
                    .Select(config => Describe(config.Definition, config.Value, config.Source, isReadOnly: true, body)),
            ];
        }
        return result;
    }

    private static DescribeConfigsResponse.DescribeConfigsResourceResult Describe(
        ConfigDefinition config, TopicInfo topic, DescribeConfigsRequest body)
    {
        string? set = topic.Configs.GetValueOrDefault(config.Name);
        DescribeConfigsResponse.DescribeConfigsResourceResult result = Describe(
            config, set ?? config.Default, set is null ? ConfigSource.Default : ConfigSource.Topic, isReadOnly: false, body);
        if (body.IncludeSynonyms)
        {
            DescribeConfigsResponse.DescribeConfigsSynonym usual = Synonym(config.BrokerName ?? config.Name, config.Default, ConfigSource.Default);
            result.Synonyms = set is null ? [usual] : [Synonym(config.Name, set, ConfigSource.Topic), usual];
        }
        return result;
    }

    private static DescribeConfigsResponse.DescribeConfigsResourceResult Describe(
        ConfigDefinition config, string value, ConfigSource source, bool isReadOnly, DescribeConfigsRequest body) => new()
        {
            Name = config.Name,
            Value = value,
            ReadOnly = isReadOnly,
            ConfigSource = (sbyte)source,
            ConfigType = (sbyte)config.Type,
            Synonyms = body.IncludeSynonyms ? [Synonym(config.Name, value, source)] : [],
            Documentation = !body.IncludeDocumentation ? null
                : config.HasEffect ? config.Documentation
                : $"Without effect: {config.Documentation}",
        };

    private static DescribeConfigsResponse.DescribeConfigsSynonym Synonym(string name, string value, ConfigSource source) =>
        new() { Name = name, Value = value, Source = (sbyte)source };
}
