using System.Collections.Immutable;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Configs;

/// <summary>
/// Changes of the configs of brokers as a function: whoever decides on them calls it with what is stored. Rules and sentences are Kafka's
/// (DynamicBrokerConfig), but for the limits. A config whose name Kafka doesn't know is kept, as it keeps those of its plug-ins.
/// </summary>
public static class BrokerConfigEdits
{
    /// <summary>Most configs that are set on one broker, or for all.</summary>
    public const int MaxConfigs = 256;

    /// <summary>Most characters of a config's name.</summary>
    public const int MaxNameLength = 256;

    /// <summary>Most characters of the names and values that are set on one broker, or for all.</summary>
    public const int MaxTotalLength = 65_536;

    /// <summary>Makes all changes or none.</summary>
    /// <param name="now">What is set.</param>
    /// <param name="ofNode">What is set on the one broker is changed, not what is set for all.</param>
    /// <param name="edits">The changes.</param>
    /// <param name="replaceAll">Everything that isn't set by the changes goes, as AlterConfigs does.</param>
    /// <param name="next">What is set then; as before if there is an error.</param>
    /// <returns>An error and a sentence, or <see cref="ErrorCode.None"/>.</returns>
    public static (ErrorCode Error, string? Message) Apply(
        BrokerOverrides now, bool ofNode, IReadOnlyCollection<ConfigEdit> edits, bool replaceAll, out BrokerOverrides next)
    {
        next = now;
        if (FindMalformed(edits) is { } malformed)
        {
            return (ErrorCode.InvalidRequest, malformed);
        }
        ImmutableSortedDictionary<string, string> made = ofNode ? now.OfNode : now.OfAll;
        made = replaceAll ? made.Clear() : made;
        foreach (ConfigEdit edit in edits)
        {
            (ErrorCode error, string? message) = ApplyOne(made, edit, out made);
            if (error != ErrorCode.None)
            {
                return (error, message);
            }
        }
        if (FindExcess(made) is { } excess)
        {
            return (ErrorCode.PolicyViolation, excess);
        }
        BrokerOverrides then = ofNode ? now with { OfNode = made } : now with { OfAll = made };
        string[] set = [.. edits.Where(edit => edit.Operation != ConfigOperation.Delete).Select(edit => edit.Name)];
        if ((FindForbidden(set, ofNode) ?? FindFault(set, made) ?? FindConflict(now, then)) is { } fault)
        {
            return (ErrorCode.InvalidRequest, fault); // for topics it is INVALID_CONFIG: Kafka's own oddity (KAFKA-13609)
        }
        next = then;
        return (ErrorCode.None, null);
    }

    private static string? FindMalformed(IReadOnlyCollection<ConfigEdit> edits)
    {
        string[] repeated = [.. edits.CountBy(edit => edit.Name).Where(one => one.Value > 1).Select(one => one.Key)];
        if (repeated.Length > 0)
        {
            return $"Error due to duplicate config keys: {string.Join(", ", repeated)}";
        }
        string[] missing =
            [.. edits.Where(edit => edit.Operation != ConfigOperation.Delete && edit.Value is null).Select(edit => edit.Name)];
        return missing.Length > 0 ? $"Null value not supported for : {string.Join(", ", missing)}"
            : edits.Any(edit => !Enum.IsDefined(edit.Operation))
                ? $"Unknown operations type {(sbyte)edits.First(edit => !Enum.IsDefined(edit.Operation)).Operation}"
                : null;
    }

    private static (ErrorCode Error, string? Message) ApplyOne(
        ImmutableSortedDictionary<string, string> before, ConfigEdit edit, out ImmutableSortedDictionary<string, string> after)
    {
        after = before;
        if (edit.Operation is ConfigOperation.Set or ConfigOperation.Delete)
        {
            after = edit.Operation == ConfigOperation.Set ? before.SetItem(edit.Name, edit.Value!) : before.Remove(edit.Name);
            return (ErrorCode.None, null);
        }
        if (FixedConfigs.Contains(edit.Name))
        {
            after = before.SetItem(edit.Name, edit.Value!); // refused as what it is
            return (ErrorCode.None, null);
        }
        if (DynamicConfigs.Find(edit.Name) is not { } config)
        {
            return (ErrorCode.InvalidConfig, $"Unknown config name: {edit.Name}");
        }
        if (config.Type != ConfigType.List)
        {
            string operation = edit.Operation == ConfigOperation.Append ? "append" : "subtract";
            return (ErrorCode.InvalidRequest, $"Config value {operation} is not allowed for config key: {edit.Name}");
        }
        after = before.SetItem(
            edit.Name, ConfigEdits.Combine(before.GetValueOrDefault(edit.Name, config.Default), edit.Operation, edit.Value!));
        return (ErrorCode.None, null);
    }

    private static string? FindExcess(ImmutableSortedDictionary<string, string> made) =>
        made.Keys.FirstOrDefault(name => name.Length is 0 or > MaxNameLength) is { } wrong
            ? $"The name of a config must have 1 to {MaxNameLength} characters, not {wrong.Length}"
        : made.Count > MaxConfigs ? $"{made.Count} configs would be set where at most {MaxConfigs} can be"
        : made.Sum(config => config.Key.Length + config.Value.Length) > MaxTotalLength
            ? $"Configs of more than {MaxTotalLength} characters in all can't be set"
            : null;

    private static string? FindForbidden(string[] names, bool ofNode)
    {
        string[] isFixed = Array.FindAll(names, FixedConfigs.Contains);
        if (isFixed.Length > 0)
        {
            return $"Cannot update these configs dynamically: {Listed(isFixed)}. They are settings of the program.";
        }
        string[] ofListeners = Array.FindAll(names, FixedConfigs.IsOfListeners);
        if (ofListeners.Length > 0)
        {
            return "These security configs can be dynamically updated only per-listener using the listener prefix: "
                + $"{Listed(ofListeners)}. Listeners are settings of the program.";
        }
        string[] ofOne = ofNode ? [] : Array.FindAll(names, DynamicConfigs.IsPerBroker);
        return ofOne.Length == 0
            ? null
            : $"Cannot update these configs at default cluster level, broker id must be specified: {Listed(ofOne)}";
    }

    private static string? FindFault(string[] names, ImmutableSortedDictionary<string, string> made) => names
        .Select(name => DynamicConfigs.Find(name)?.FindFault(made[name]))
        .FirstOrDefault(fault => fault is not null);

    private static string? FindConflict(BrokerOverrides now, BrokerOverrides then)
    {
        foreach (string name in DynamicConfigs.Threads)
        {
            (long before, long after) = (Number(now, name), Number(then, name));
            if (before != after && FindThreadFault(name, before, after) is { } fault)
            {
                return fault;
            }
        }
        return FindLocalConflict("log.local.retention.ms", "log.retention.ms")
            ?? FindLocalConflict("log.local.retention.bytes", "log.retention.bytes");

        string? FindLocalConflict(string local, string whole) =>
            TopicConfigs.FindLocalConflict(local, Number(then, local), whole, Number(then, whole));
    }

    private static string? FindThreadFault(string name, long before, long after)
    {
        string failed = $"Dynamic thread count update validation failed for {name}={after}";
        return after < 1 ? $"{failed}, value should be at least 1"
            : after < before / 2 ? $"{failed}, value should be at least half the current value {before}"
            : after > before * 2 ? $"{failed}, value should not be greater than double the current value {before}"
            : null;
    }

    private static long Number(BrokerOverrides configs, string name) =>
        configs.FindNumber(name) ?? ConfigRule.TryInt64(DynamicConfigs.Find(name)!.Default)!.Value;

    private static string Listed(string[] names) => $"[{string.Join(", ", names)}]";
}
