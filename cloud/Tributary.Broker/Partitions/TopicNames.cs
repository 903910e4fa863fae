using System.Buffers;

namespace Tributary.Broker.Partitions;

/// <summary>Kafka's rules for topic names.</summary>
internal static class TopicNames
{
    /// <summary>Most characters.</summary>
    public const int MaxLength = 249;

    private static readonly SearchValues<char> Allowed =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    /// <summary>Says what is wrong with a name, null if nothing is.</summary>
    public static string? Validate(string? name) => name switch
    {
        null or "" => "Topic name is invalid: it is empty",
        "." or ".." => "Topic name is invalid: it cannot be '.' or '..'",
        { Length: > MaxLength } => $"Topic name is invalid: it is longer than {MaxLength} characters",
        _ when name.AsSpan().ContainsAnyExcept(Allowed) =>
            "Topic name is invalid: it contains a character other than ASCII letters, digits, '.', '_' and '-'",
        _ => null,
    };
}
