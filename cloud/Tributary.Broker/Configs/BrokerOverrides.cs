using System.Collections.Immutable;

namespace Tributary.Broker.Configs;

/// <summary>
/// The broker configs that were set while brokers run (KIP-226), as one broker goes by them. Immutable. What is set on a topic goes before
/// them; settings that the broker was started with, and defaults, come after.
/// </summary>
/// <param name="OfNode">Set on this broker; they go before the others.</param>
/// <param name="OfAll">Set for all brokers.</param>
public sealed record BrokerOverrides(ImmutableSortedDictionary<string, string> OfNode, ImmutableSortedDictionary<string, string> OfAll)
{
    private static readonly ImmutableSortedDictionary<string, string> Nothing =
        ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);

    /// <summary>Nothing was set.</summary>
    public static readonly BrokerOverrides None = new(Nothing, Nothing);

    /// <summary>The configs as they are stored.</summary>
    public static BrokerOverrides From(
        IEnumerable<KeyValuePair<string, string>> ofNode, IEnumerable<KeyValuePair<string, string>> ofAll) =>
        new(Nothing.AddRange(ofNode), Nothing.AddRange(ofAll));

    /// <summary>The value by which the broker goes, null if none was set.</summary>
    public string? Find(string name) => OfNode.GetValueOrDefault(name) ?? OfAll.GetValueOrDefault(name);

    /// <summary>The value of a whole number, null if none was set or it isn't right (a newer broker set it).</summary>
    internal long? FindNumber(string name) =>
        Find(name) is { } value && DynamicConfigs.Find(name)?.FindFault(value) is null ? ConfigRule.TryInt64(value) : null;

    /// <summary>What a topic has on which a config isn't set, and where it comes from.</summary>
    internal (string Value, ConfigSource Source) DefaultOf(ConfigDefinition config) =>
        config.BrokerName is not { } name ? (config.Default, ConfigSource.Default)
        : OfNode.TryGetValue(name, out string? value) ? (value, ConfigSource.DynamicBroker)
        : OfAll.TryGetValue(name, out value) ? (value, ConfigSource.DynamicDefault)
        : (config.Default, ConfigSource.Default);
}
