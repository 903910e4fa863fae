using Tributary.Broker.Configs;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Tells configs of topics, of this broker and of all, where each value comes from, and what it does.</summary>
internal sealed class DescribeConfigsHandler(BrokerContext broker) : ApiHandler<DescribeConfigsRequest, DescribeConfigsResponse>(broker)
{
    /// <summary>About what a config takes in the answer: by itself, with its synonyms, with its documentation.</summary>
    private const int ConfigBytes = 64;
    private const int SynonymBytes = 192;
    private const int DocumentationBytes = 192;

    private readonly BrokerConfigs _ofBroker = new(broker.Options, broker.Logs?.Path ?? "");

    /// <summary>Names each resource once: a request that repeats one must not get its configs as often.</summary>
    protected override long Prepare(DescribeConfigsRequest body)
    {
        body.Resources = [.. body.Resources.DistinctBy(resource => (resource.ResourceType, resource.ResourceName))];
        int each = ConfigBytes + (body.IncludeSynonyms ? SynonymBytes : 0) + (body.IncludeDocumentation ? DocumentationBytes : 0);
        ClusterSnapshot snapshot = Broker.Control.Snapshot;
        return body.Resources.Sum(resource =>
            ConfigResource.Find(snapshot, resource.ResourceType, resource.ResourceName, toChange: false).Error == ErrorCode.None
                ? (long)each * (resource.ConfigurationKeys is { Length: > 0 } keys ? keys.Length : _ofBroker.All.Length)
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
        ConfigResource resource = ConfigResource.Find(snapshot, asked.ResourceType, asked.ResourceName, toChange: false);
        var result = new DescribeConfigsResponse.DescribeConfigsResult
        {
            ErrorCode = Counted(resource.Error),
            ErrorMessage = resource.Message,
            ResourceType = asked.ResourceType,
            ResourceName = asked.ResourceName,
        };
        if (resource.Error == ErrorCode.None)
        {
            // None named is all, whether as null or, by some clients, as an empty list.
            HashSet<string>? wanted = asked.ConfigurationKeys is { Length: > 0 } keys ? keys.ToHashSet(StringComparer.Ordinal) : null;
            IEnumerable<Described> configs = resource.Topic is { } topic ? DescribeTopic(topic, snapshot.Overrides)
                : resource.Node is { } node ? DescribeNode(node, snapshot.Overrides)
                : DescribeAll(snapshot.Overrides);
            result.Configs =
                [.. configs.Where(config => wanted?.Contains(config.Definition.Name) ?? true).Select(config => config.ToResult(body))];
        }
        return result;
    }

    private IEnumerable<Described> DescribeTopic(TopicInfo topic, BrokerOverrides overrides) => TopicConfigs.All.Select(config =>
    {
        IEnumerable<ConfigValue> usual = config.BrokerName is { } name
            ? _ofBroker.ValuesOf(name, overrides)
            : [new ConfigValue(config.Name, config.Default, ConfigSource.Default)];
        return new Described(
            config,
            topic.Configs.TryGetValue(config.Name, out string? set)
                ? usual.Prepend(new ConfigValue(config.Name, set, ConfigSource.Topic))
                : usual,
            IsReadOnly: false);
    });

    private IEnumerable<Described> DescribeNode(BrokerNode node, BrokerOverrides overrides) => BrokerConfigs.OfNode(node)
        .Select(config => new Described(config.Definition, BrokerConfigs.ValuesOf(config), IsReadOnly: true))
        .Concat(_ofBroker.All.Select(config => config.Definition).Concat(Unknown(overrides.OfNode.Keys.Union(overrides.OfAll.Keys)))
            .Select(config => new Described(config, _ofBroker.ValuesOf(config.Name, overrides), DynamicConfigs.Find(config.Name) is null)));

    /// <summary>Of all brokers together, only what is set for them.</summary>
    private IEnumerable<Described> DescribeAll(BrokerOverrides overrides) => overrides.OfAll.Keys
        .Select(DynamicConfigs.Find).OfType<ConfigDefinition>().Concat(Unknown(overrides.OfAll.Keys))
        .Select(config => new Described(
            config,
            _ofBroker.ValuesOf(config.Name, overrides).Where(value => value.Source == ConfigSource.DynamicDefault),
            DynamicConfigs.Find(config.Name) is null));

    private IEnumerable<ConfigDefinition> Unknown(IEnumerable<string> names) => names
        .Where(name => !_ofBroker.Has(name))
        .Select(name =>
            new ConfigDefinition(name, ConfigType.Unknown, "", ConfigRule.Any, "Not a config of this broker.") { HasEffect = false });

    /// <summary>A config, and its values, the one that counts first.</summary>
    private readonly record struct Described(ConfigDefinition Definition, IEnumerable<ConfigValue> Values, bool IsReadOnly)
    {
        public DescribeConfigsResponse.DescribeConfigsResourceResult ToResult(DescribeConfigsRequest body)
        {
            // Of what isn't known it isn't known either whether it is a secret: Kafka doesn't tell it.
            bool isSensitive = Definition.Type == ConfigType.Unknown;
            ConfigValue[] values = [.. Values.Select(value => isSensitive ? value with { Value = null } : value)];
            ConfigValue first = values is [var counts, ..] ? counts : new ConfigValue(Definition.Name, null, ConfigSource.Default);
            return new DescribeConfigsResponse.DescribeConfigsResourceResult
            {
                Name = Definition.Name,
                Value = first.Value,
                ReadOnly = IsReadOnly,
                ConfigSource = (sbyte)first.Source,
                IsSensitive = isSensitive,
                ConfigType = (sbyte)Definition.Type,
                Synonyms = body.IncludeSynonyms ? [.. values.Select(ToSynonym)] : [],
                Documentation = !body.IncludeDocumentation ? null
                    : Definition.HasEffect ? Definition.Documentation
                    : $"Without effect: {Definition.Documentation}",
            };
        }

        private static DescribeConfigsResponse.DescribeConfigsSynonym ToSynonym(ConfigValue value) =>
            new() { Name = value.Name, Value = value.Value, Source = (sbyte)value.Source };
    }
}
