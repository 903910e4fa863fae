namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>
/// The rules for topic names and filters (MQTT 5, 4.7). The bytes are UTF-8 without null characters, as checked when read.
/// </summary>
internal static class TopicRules
{
    /// <summary>Stands between levels.</summary>
    public const byte Separator = (byte)'/';

    /// <summary>Stands for one level.</summary>
    public const byte SingleLevel = (byte)'+';

    /// <summary>Stands for any number of last levels.</summary>
    public const byte MultiLevel = (byte)'#';

    /// <summary>Begins topics that wildcards do not match in their first level [MQTT-4.7.2-1].</summary>
    public const byte Reserved = (byte)'$';

    /// <summary>Whether it is a name that can be published to.</summary>
    public static bool IsName(ReadOnlySpan<byte> topic) => !topic.IsEmpty && topic.IndexOfAny(SingleLevel, MultiLevel) < 0;

    /// <summary>Whether wildcards stand alone in their levels, and <c>#</c> only in the last one [MQTT-4.7.1-1, MQTT-4.7.1-2].</summary>
    public static bool IsFilter(ReadOnlySpan<byte> filter)
    {
        if (filter.IsEmpty)
        {
            return false;
        }
        while (true)
        {
            int end = filter.IndexOf(Separator);
            ReadOnlySpan<byte> level = end < 0 ? filter : filter[..end];
            if (level.IndexOfAny(SingleLevel, MultiLevel) >= 0 && (level.Length > 1 || (level[0] == MultiLevel && end >= 0)))
            {
                return false;
            }
            if (end < 0)
            {
                return true;
            }
            filter = filter[(end + 1)..];
        }
    }

    /// <summary>Whether it is a shared subscription (MQTT 5, 4.8.2).</summary>
    public static bool IsShared(ReadOnlySpan<byte> filter) => filter.StartsWith("$share/"u8);

    /// <summary>Whether it is a topic that only the broker publishes to.</summary>
    public static bool IsSystem(ReadOnlySpan<byte> topic) => topic.StartsWith("$SYS/"u8);

    /// <summary>Whether it is within the limits of length and levels.</summary>
    public static bool IsWithin(ReadOnlySpan<byte> topic, MqttOptions options) =>
        topic.Length <= options.MaxTopicBytes && topic.Count(Separator) < options.MaxTopicLevels;

    /// <summary>Cuts the first level off.</summary>
    /// <param name="rest">A topic name or filter, or what is left of one.</param>
    /// <param name="more">Whether there is another level.</param>
    public static ReadOnlySpan<byte> NextLevel(ref ReadOnlySpan<byte> rest, out bool more)
    {
        int end = rest.IndexOf(Separator);
        more = end >= 0;
        ReadOnlySpan<byte> level = more ? rest[..end] : rest;
        rest = more ? rest[(end + 1)..] : default;
        return level;
    }
}
