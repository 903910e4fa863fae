using System.Buffers.Binary;

namespace Tributary.Edge.Uplink;

/// <summary>
/// The choice of partition that Kafka's Java producer makes for a record with a key
/// (<c>org.apache.kafka.common.utils.Utils.murmur2</c> and <c>toPositive</c>), so that other producers agree where a device's records are.
/// </summary>
internal static class Partitioner
{
    private const uint Seed = 0x9747b28c;
    private const uint M = 0x5bd1e995;
    private const int R = 24;

    /// <summary>The partition of <paramref name="key"/> among <paramref name="count"/>.</summary>
    public static int Target(ReadOnlySpan<byte> key, int count) => (Murmur2(key) & int.MaxValue) % count;

    /// <summary>MurmurHash2, 32 bits, with Kafka's seed.</summary>
    public static int Murmur2(ReadOnlySpan<byte> data)
    {
        uint h = Seed ^ (uint)data.Length;
        while (data.Length >= sizeof(uint))
        {
            uint k = BinaryPrimitives.ReadUInt32LittleEndian(data) * M;
            k ^= k >> R;
            h = (h * M) ^ (k * M);
            data = data[sizeof(uint)..];
        }
        if (data.Length > 0)
        {
            for (int i = data.Length - 1; i >= 0; i--)
            {
                h ^= (uint)data[i] << (8 * i);
            }
            h *= M;
        }
        h ^= h >> 13;
        h *= M;
        return (int)(h ^ (h >> 15));
    }
}
