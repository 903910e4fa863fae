namespace Tributary.Broker.Configs;

/// <summary>What kind of value a config has, as DescribeConfigs tells it (KIP-569).</summary>
internal enum ConfigType : sbyte
{
    /// <summary>A config that the broker doesn't know.</summary>
    Unknown = 0,

    /// <summary>true or false.</summary>
    Boolean = 1,

    /// <summary>Text.</summary>
    String = 2,

    /// <summary>32 bits.</summary>
    Int = 3,

    /// <summary>16 bits.</summary>
    Short = 4,

    /// <summary>64 bits.</summary>
    Long = 5,

    /// <summary>A number with a fraction.</summary>
    Double = 6,

    /// <summary>Texts separated by commas.</summary>
    List = 7,

    /// <summary>The name of a Java class.</summary>
    Class = 8,
}

/// <summary>Where a config's value comes from, as DescribeConfigs tells it.</summary>
internal enum ConfigSource : sbyte
{
    /// <summary>It was set on the topic.</summary>
    Topic = 1,

    /// <summary>It was set on the broker while it runs (KIP-226).</summary>
    DynamicBroker = 2,

    /// <summary>It was set for all brokers while they run (KIP-226).</summary>
    DynamicDefault = 3,

    /// <summary>It is a setting that the broker was started with.</summary>
    Broker = 4,

    /// <summary>Nobody has set it.</summary>
    Default = 5,
}

/// <summary>A config by Kafka's name.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Kind of value.</param>
/// <param name="Default">Its value unless it is set.</param>
/// <param name="Rule">What a value must be.</param>
/// <param name="Documentation">What it does here, a sentence.</param>
internal sealed record ConfigDefinition(string Name, ConfigType Type, string Default, ConfigRule Rule, string Documentation)
{
    /// <summary>Most characters of a value: it is kept for ever and told to everybody.</summary>
    public const int MaxValueLength = 32_768;

    /// <summary>The broker config that gives topics their default; null if there is none.</summary>
    public string? BrokerName { get; init; }

    /// <summary>Whether Kafka says null where nothing is set.</summary>
    public bool IsNullByDefault { get; init; }

    /// <summary>Whether it changes anything here. The others are kept and returned, so that tools which set them go on working.</summary>
    public bool HasEffect { get; init; } = true;

    /// <summary>What is wrong with a value, in the words of Kafka; null if nothing is.</summary>
    public string? FindFault(string? value) => value is null
        ? $"Null value not supported for topic configs: {Name}"
        : value.Length > MaxValueLength ? $"Invalid value for configuration {Name}: it has more than {MaxValueLength} characters"
        : Rule.FindFault(value) is { } fault ? $"Invalid value {value} for configuration {Name}: {fault}" : null;
}
