using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;

namespace Tributary.Log.Compaction;

/// <summary>A 128-bit hash of a key.</summary>
internal readonly record struct KeyHash(ulong High, ulong Low);

/// <summary>
/// SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012), under a key that is drawn at random: whoever chooses the keys of records can't
/// find two of the same hash, one of which would take the other's value away. Pure.
/// </summary>
internal readonly struct SipHash(ulong key0, ulong key1)
{
    private const int FinalRounds = 4;

    /// <summary>One with a key that nobody knows.</summary>
    public static SipHash Random()
    {
        Span<byte> key = stackalloc byte[2 * sizeof(ulong)];
        RandomNumberGenerator.Fill(key);
        return new SipHash(BinaryPrimitives.ReadUInt64LittleEndian(key), BinaryPrimitives.ReadUInt64LittleEndian(key[sizeof(ulong)..]));
    }

    public KeyHash Hash(ReadOnlySpan<byte> bytes)
    {
        var state = new State(key0, key1);
        ulong length = (ulong)bytes.Length << 56;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            state.Take(BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }
        ulong last = length;
        for (int i = 0; i < bytes.Length; i++)
        {
            last |= (ulong)bytes[i] << (8 * i);
        }
        state.Take(last);
        return new KeyHash(state.Finish(0xee, first: true), state.Finish(0xdd, first: false));
    }

    private struct State(ulong key0, ulong key1)
    {
        private ulong _v0 = key0 ^ 0x736f6d6570736575;
        private ulong _v1 = key1 ^ 0x646f72616e646f6d ^ 0xee;
        private ulong _v2 = key0 ^ 0x6c7967656e657261;
        private ulong _v3 = key1 ^ 0x7465646279746573;

        public void Take(ulong word)
        {
            _v3 ^= word;
            Round();
            Round();
            _v0 ^= word;
        }

        public ulong Finish(ulong mark, bool first)
        {
            if (first)
            {
                _v2 ^= mark;
            }
            else
            {
                _v1 ^= mark;
            }
            for (int i = 0; i < FinalRounds; i++)
            {
                Round();
            }
            return _v0 ^ _v1 ^ _v2 ^ _v3;
        }

        private void Round()
        {
            _v0 += _v1;
            _v1 = BitOperations.RotateLeft(_v1, 13) ^ _v0;
            _v0 = BitOperations.RotateLeft(_v0, 32);
            _v2 += _v3;
            _v3 = BitOperations.RotateLeft(_v3, 16) ^ _v2;
            _v0 += _v3;
            _v3 = BitOperations.RotateLeft(_v3, 21) ^ _v0;
            _v2 += _v1;
            _v1 = BitOperations.RotateLeft(_v1, 17) ^ _v2;
            _v2 = BitOperations.RotateLeft(_v2, 32);
        }
    }
}
