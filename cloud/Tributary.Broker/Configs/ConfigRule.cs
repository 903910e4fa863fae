using System.Globalization;

namespace Tributary.Broker.Configs;

/// <summary>What the value of a config must be. Immutable; the sentences are those that Kafka's administrators know.</summary>
internal sealed class ConfigRule
{
    private readonly Func<string, string?> _findFault;

    private ConfigRule(Func<string, string?> findFault) => _findFault = findFault;

    /// <summary>Any text.</summary>
    public static ConfigRule Any { get; } = new(static _ => null);

    /// <summary>true or false, in any case.</summary>
    public static ConfigRule Boolean { get; } =
        new(static value => TryBoolean(value) is null ? "Expected value to be either true or false" : null);

    /// <summary>Replicas that are throttled: <c>*</c>, or partition:broker pairs.</summary>
    public static ConfigRule ThrottledReplicas { get; } = new(static value => Items(value) is var items
        && (items is [] or ["*"] || items.All(IsReplica))
            ? null
            : "must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...");

    /// <summary>A whole number of 16 bits.</summary>
    public static ConfigRule Int16(int least, int most) => Number("SHORT", least, most, short.MaxValue);

    /// <summary>A whole number of 32 bits.</summary>
    public static ConfigRule Int32(int least, int most = int.MaxValue) => Number("INT", least, most, int.MaxValue);

    /// <summary>A whole number of 64 bits.</summary>
    public static ConfigRule Int64(long least, long most = long.MaxValue) => Number("LONG", least, most, long.MaxValue);

    /// <summary>A number with a fraction.</summary>
    public static ConfigRule Double(double least, double most) => new(value =>
        !double.TryParse(value.Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out double number)
            ? "Not a number of type DOUBLE"
            : number >= least && number <= most ? null
            : number < least ? string.Create(CultureInfo.InvariantCulture, $"Value must be at least {least}")
            : string.Create(CultureInfo.InvariantCulture, $"Value must be no more than {most}"));

    /// <summary>One of several texts.</summary>
    public static ConfigRule OneOf(params string[] texts) =>
        new(value => texts.Contains(value, StringComparer.Ordinal) ? null : $"String must be one of: {string.Join(", ", texts)}");

    /// <summary>A list of some of several texts.</summary>
    public static ConfigRule ListOf(params string[] texts) => new(value =>
        Items(value) is { Length: > 0 } items && Array.TrueForAll(items, item => texts.Contains(item, StringComparer.Ordinal))
            ? null
            : $"String must be one of: {string.Join(", ", texts)}");

    /// <summary>What is wrong with a value, null if nothing is.</summary>
    public string? FindFault(string value) => _findFault(value);

    /// <summary>The items of a list, as Kafka takes it apart.</summary>
    public static string[] Items(string value) =>
        value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    /// <summary>The value of a boolean; null if it is none.</summary>
    public static bool? TryBoolean(string value) =>
        value.Trim().Equals("true", StringComparison.OrdinalIgnoreCase) ? true
        : value.Trim().Equals("false", StringComparison.OrdinalIgnoreCase) ? false
        : null;

    /// <summary>The value of a whole number; null if it is none.</summary>
    public static long? TryInt64(string value) =>
        long.TryParse(value.Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ? number : null;

    private static ConfigRule Number(string type, long least, long most, long largest) => new(value => TryInt64(value) switch
    {
        null => $"Not a number of type {type}",
        { } number when number > largest || number < -largest - 1 => $"Not a number of type {type}",
        { } number when number < least => $"Value must be at least {least}",
        { } number when number > most => $"Value must be no more than {most}",
        _ => null,
    });

    private static bool IsReplica(string item) =>
        item.Split(':') is [var partition, var broker] && TryInt64(partition) >= 0 && TryInt64(broker) >= 0;
}
