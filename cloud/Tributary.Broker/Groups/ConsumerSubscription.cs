using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Groups;

/// <summary>
/// The one opaque thing that a coordinator looks into, as Kafka's does: what the metadata of a consumer says (Kafka's
/// ConsumerProtocolSubscription). In every version it begins with int16 version, an array of topic names and bytes of the assignor's.
/// Version 1 adds what the consumer has, 2 the generation that it had it in, 3 the rack.
/// </summary>
/// <param name="Topics">The topics that it reads.</param>
/// <param name="Owned">What it has, as far as it says.</param>
/// <param name="Rack">Its rack, null if it does not say.</param>
internal sealed record ConsumerSubscription(HashSet<string> Topics, IReadOnlyList<GroupPartition> Owned, string? Rack)
{
    /// <summary>The class of protocols of consumers.</summary>
    public const string ProtocolType = "consumer";

    private const int MinNameSize = sizeof(short);
    private const short OwnedSince = 1;
    private const short GenerationSince = 2;
    private const short RackSince = 3;

    /// <summary>The topics; null if the metadata is something else.</summary>
    public static HashSet<string>? FindTopics(byte[] metadata)
    {
        try
        {
            var reader = new KafkaReader(metadata);
            return ReadTopics(ref reader, out _);
        }
        catch (KafkaProtocolException)
        {
            return null;
        }
    }

    /// <summary>Whether two metadata name other topics; never if one of them can't be read.</summary>
    public static bool Differ(byte[] one, byte[] other) =>
        FindTopics(one) is { } topics && FindTopics(other) is { } others && !topics.SetEquals(others);

    /// <summary>All that the metadata says; null if it is something else.</summary>
    public static ConsumerSubscription? Parse(ReadOnlyMemory<byte> metadata)
    {
        try
        {
            var reader = new KafkaReader(metadata);
            if (ReadTopics(ref reader, out short version) is not { } topics)
            {
                return null;
            }
            _ = reader.ReadBytes("user data", compact: false, nullable: true);
            List<GroupPartition> owned = version >= OwnedSince ? ConsumerAssignment.ReadPartitions(ref reader) : [];
            _ = version >= GenerationSince ? reader.ReadInt32("generation") : -1;
            string? rack = version >= RackSince ? reader.ReadString("rack", compact: false, nullable: true) : null;
            return new ConsumerSubscription(topics, owned, rack);
        }
        catch (KafkaProtocolException)
        {
            return null;
        }
    }

    private static HashSet<string>? ReadTopics(ref KafkaReader reader, out short version)
    {
        version = reader.ReadInt16("version");
        if (version < 0)
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
}
