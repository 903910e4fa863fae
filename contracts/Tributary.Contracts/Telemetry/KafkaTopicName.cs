namespace Tributary.Contracts.Telemetry;

/// <summary>What Kafka takes for the name of a topic: 1 to 249 of <c>a–z A–Z 0–9 . _ -</c>, but neither <c>.</c> nor <c>..</c>.</summary>
public static class KafkaTopicName
{
    /// <summary>Longest name.</summary>
    public const int MaxLength = 249;

    /// <summary>Whether Kafka takes <paramref name="name"/>.</summary>
    public static bool IsValid(ReadOnlySpan<char> name)
    {
        if (name.Length is 0 or > MaxLength || name is "." or "..")
        {
            return false;
        }
        foreach (char c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_' or '-'))
            {
                return false;
            }
        }
        return true;
    }

    /// <exception cref="FormatException">It is no valid name.</exception>
    public static void Check(string name)
    {
        if (!IsValid(name))
        {
            throw new FormatException(
                $"'{name}' can't be the name of a Kafka topic, which has 1 to {MaxLength} letters, digits, '.', '_' and '-'");
        }
    }
}
