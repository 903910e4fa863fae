using System.Collections.Immutable;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Configs;

/// <summary>What is done to a config, as IncrementalAlterConfigs tells it (KIP-339).</summary>
public enum ConfigOperation : sbyte
{
    /// <summary>It gets the value.</summary>
    Set = 0,

    /// <summary>It has its default again.</summary>
    Delete = 1,

    /// <summary>The value's items are added to the list.</summary>
    Append = 2,

    /// <summary>The value's items are taken out of the list.</summary>
    Subtract = 3,
}

/// <summary>One change of the configs of a topic or of brokers.</summary>
/// <param name="Name">Which config.</param>
/// <param name="Operation">What is done to it.</param>
/// <param name="Value">The value; it doesn't matter to <see cref="ConfigOperation.Delete"/>.</param>
public readonly record struct ConfigEdit(string Name, ConfigOperation Operation, string? Value);

/// <summary>Changes of configs as a function: whoever decides on a topic calls it with what is stored.</summary>
public static class ConfigEdits
{
    /// <summary>Makes all changes or none.</summary>
    /// <param name="configs">What was set on the topic.</param>
    /// <param name="edits">The changes.</param>
    /// <param name="replaceAll">Everything that isn't set by the changes goes, as AlterConfigs does.</param>
    /// <param name="next">What is set then; as before if there is an error.</param>
    /// <returns>An error and a sentence, or <see cref="ErrorCode.None"/>.</returns>
    public static (ErrorCode Error, string? Message) Apply(
        ImmutableDictionary<string, string> configs, IReadOnlyCollection<ConfigEdit> edits, bool replaceAll,
        out ImmutableDictionary<string, string> next)
    {
        next = configs;
        ImmutableDictionary<string, string> made = replaceAll ? ImmutableDictionary<string, string>.Empty : configs;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (ConfigEdit edit in edits)
        {
            if (!seen.Add(edit.Name))
            {
                return (ErrorCode.InvalidRequest, $"Error due to duplicate config keys: {edit.Name}");
            }
            (ErrorCode error, string? message) = ApplyOne(made, edit, out made);
            if (error != ErrorCode.None)
            {
                return (error, message);
            }
        }
        if (TopicConfigs.FindConflict(made) is { } conflict)
        {
            return (ErrorCode.InvalidConfig, conflict);
        }
        next = made;
        return (ErrorCode.None, null);
    }

    private static (ErrorCode Error, string? Message) ApplyOne(
        ImmutableDictionary<string, string> before, ConfigEdit edit, out ImmutableDictionary<string, string> after)
    {
        after = before;
        if (TopicConfigs.Find(edit.Name) is not { } config)
        {
            return (ErrorCode.InvalidConfig, $"Unknown topic config name: {edit.Name}");
        }
        if (!Enum.IsDefined(edit.Operation))
        {
            return (ErrorCode.InvalidRequest, $"Unknown operation {(sbyte)edit.Operation} on config {edit.Name}");
        }
        if (edit.Operation == ConfigOperation.Delete)
        {
            after = before.Remove(edit.Name);
            return (ErrorCode.None, null);
        }
        if (edit.Value is null)
        {
            return (ErrorCode.InvalidRequest, $"Null value not supported for : {edit.Name}");
        }
        string value = edit.Value;
        if (edit.Operation != ConfigOperation.Set)
        {
            if (config.Type != ConfigType.List)
            {
                return (ErrorCode.InvalidConfig, $"Can't {edit.Operation.ToString().ToUpperInvariant()} to key {edit.Name} because its type is not LIST.");
            }
            string current = before.TryGetValue(edit.Name, out string? set) ? set : config.Default;
            value = Combine(current, edit.Operation, value);
        }
        if (config.FindFault(value) is { } fault)
        {
            return (ErrorCode.InvalidConfig, fault);
        }
        after = before.SetItem(edit.Name, value);
        return (ErrorCode.None, null);
    }

    /// <summary>A list to which items were added, or from which they were taken.</summary>
    internal static string Combine(string list, ConfigOperation operation, string given)
    {
        string[] items = ConfigRule.Items(list);
        string[] named = ConfigRule.Items(given);
        return string.Join(',', operation == ConfigOperation.Append ? [.. items, .. named.Except(items)] : items.Except(named));
    }
}
