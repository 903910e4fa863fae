using System.Buffers;
using System.Text;

namespace Tributary.Contracts.Telemetry;

/// <summary>What Kafka takes for the name of a topic: 1 to 249 of <c>a–z A–Z 0–9 . _ -</c>, but neither <c>.</c> nor <c>..</c>.</summary>
public static class KafkaTopicName
{
    /// <summary>Longest name.</summary>
    public const int MaxLength = 249;

    private static readonly SearchValues<char> Allowed =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    /// <summary>Whether Kafka takes <paramref name="name"/>.</summary>
    public static bool IsValid(ReadOnlySpan<char> name) => Fault(name) is null;

    /// <summary>What is wrong with a name, null if nothing is.</summary>
    public static string? Fault(ReadOnlySpan<char> name) => name switch
    {
        "" => "it is empty",
        "." or ".." => "it cannot be '.' or '..'",
        { Length: > MaxLength } => $"it is longer than {MaxLength} characters",
        _ when name.ContainsAnyExcept(Allowed) => "it contains a character other than ASCII letters, digits, '.', '_' and '-'",
        _ => null,
    };

    /// <summary>
    /// A name that Kafka takes, made of what a device has chosen: other characters become <c>_</c>, it is cut at its longest, and <c>__</c>
    /// at its beginning, which names Kafka's own topics, becomes <c>-_</c>. Different texts may give the same name.
    /// </summary>
    /// <param name="text">UTF-8.</param>
    public static string Sanitize(ReadOnlySpan<byte> text)
    {
        char[] name = Encoding.UTF8.GetString(text).EnumerateRunes()
            .Select(rune => rune.IsAscii && Allowed.Contains((char)rune.Value) ? (char)rune.Value : '_').Take(MaxLength).ToArray();
        if (name is [] or ['.'] or ['.', '.'])
        {
            name = [.. name.Select(_ => '_'), '_'];
        }
        else if (name is ['_', '_', ..])
        {
            name[0] = '-';
        }
        return new string(name);
    }

    /// <exception cref="FormatException">It is no valid name.</exception>
    public static void Check(string name)
    {
        if (Fault(name) is { } fault)
        {
            throw new FormatException($"'{name}' can't be the name of a Kafka topic: {fault}");
        }
    }
}
