using System.Buffers.Binary;
using Tributary.Tests.Support;

namespace Tributary.Tests.Fuzz;

/// <summary>Makes bad input out of good: what <see cref="Mutations"/> does, and what breaks decoders in particular.</summary>
internal static class Mutator
{
    private const int MostRandomBytes = 200;
    private static readonly int[] TellingLengths = [0, 1, -1, -2, 127, 128, 255, 256, 32_767, 65_535, 1 << 20, int.MaxValue, int.MinValue, 1 << 30];

    private static readonly byte[][] TellingBytes =
    [
        [0xFF, 0xFF, 0xFF, 0xFF, 0x0F], // the greatest varint of 32 bits
        [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        [0x80, 0x80, 0x80, 0x80, 0x80, 0x00], // 0, longer than it needs to be
        [0xFF, 0xFF, 0xFF, 0x7F], // MQTT's greatest length
        [0xC0, 0x80], // NUL, overlong
        [0xED, 0xA0, 0x80], // half a surrogate pair
        [0xF4, 0x90, 0x80, 0x80], // above U+10FFFF
        [0xEF, 0xBF, 0xBF],
        [0x00],
    ];

    /// <summary>An input: sometimes the original, mostly something like it, sometimes noise.</summary>
    /// <param name="original">A valid one.</param>
    /// <param name="other">Another valid one, to splice.</param>
    /// <param name="random">Where it comes from.</param>
    public static byte[] Mutate(byte[] original, byte[] other, Random random)
    {
        byte[] bytes = [.. original];
        int at = random.Next(bytes.Length + 1);
        switch (random.Next(18))
        {
            case 0 or 10 or 11:
                return bytes;
            case >= 12 when at < bytes.Length:
                bytes[at] = (byte)random.Next(256); // often good enough to get past the decoder
                return bytes;
            case 1 or 2 or 3:
                return Mutations.Damage(original, random);
            case 4 when bytes.Length >= sizeof(int):
                BinaryPrimitives.WriteInt32BigEndian(
                    bytes.AsSpan(random.Next(bytes.Length - sizeof(int) + 1)), TellingLengths[random.Next(TellingLengths.Length)]);
                return bytes;
            case 5 when bytes.Length >= sizeof(short):
                BinaryPrimitives.WriteInt16BigEndian(
                    bytes.AsSpan(random.Next(bytes.Length - sizeof(short) + 1)), (short)TellingLengths[random.Next(TellingLengths.Length)]);
                return bytes;
            case 6:
                byte[] telling = TellingBytes[random.Next(TellingBytes.Length)];
                int replaced = Math.Min(random.Next(telling.Length + 1), bytes.Length - at);
                return [.. bytes[..at], .. telling, .. bytes[(at + replaced)..]];
            case 7:
                return [.. bytes[..at], .. other[random.Next(other.Length + 1)..]];
            case 8:
                return bytes[..at];
            default:
                byte[] noise = new byte[random.Next(MostRandomBytes)];
                random.NextBytes(noise);
                return random.Next(2) == 0 ? noise : [.. bytes[..at], .. noise, .. bytes[at..]];
        }
    }

    /// <summary>One of some.</summary>
    public static T Pick<T>(this Random random, IReadOnlyList<T> from) => from[random.Next(from.Count)];
}
