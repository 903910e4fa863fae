using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Groups;

/// <summary>
/// The one opaque thing that a coordinator looks into, as Kafka's does: which topics a consumer's metadata names. It begins, in every
/// version, with int16 version and an array of topic names (Kafka's ConsumerProtocolSubscription).
/// </summary>
internal static class ConsumerSubscription
{
    /// <summary>The class of protocols of consumers.</summary>
    public const string ProtocolType = "consumer";

    private const int MinNameSize = sizeof(short);

    /// <summary>The topics; null if the metadata is something else.</summary>
    public static HashSet<string>? FindTopics(byte[] metadata)
    {
        try
        {
            var reader = new KafkaReader(metadata);
            if (reader.ReadInt16("version") < 0)
            {
                return null;
            }
            int count = reader.ReadCount("topics", compact: false, nullable: false, MinNameSize);
            var topics = new HashSet<string>(count, StringComparer.Ordinal);
            for (int i = 0; i < count; i++)
            {
                topics.Add(reader.ReadString("topic", compact: false));
            }
            return topics;
        }
        catch (KafkaProtocolException)
        {
            return null;
        }
    }

    /// <summary>Whether two metadata name other topics; never if one of them can't be read.</summary>
    public static bool Differ(byte[] one, byte[] other) =>
        FindTopics(one) is { } topics && FindTopics(other) is { } others && !topics.SetEquals(others);
}
