namespace Tributary.Contracts.Records;

/// <summary>Zig-zag variable-length integers as records use them (Protocol Buffers' sint32 and sint64).</summary>
public static class Varint
{
    /// <summary>The most bytes that a 64-bit value takes.</summary>
    public const int MaxSize = 10;

    /// <summary>The most bytes that a 32-bit value takes.</summary>
    public const int MaxSize32 = 5;

    /// <summary>Bytes that <paramref name="value"/> takes.</summary>
    public static int SizeOf(long value)
    {
        ulong bits = ZigZag(value);
        int size = 1;
        while (bits >= 0x80)
        {
            bits >>= 7;
            size++;
        }
        return size;
    }

    /// <summary>Writes <paramref name="value"/> at the start of <paramref name="to"/> and returns the bytes that it took.</summary>
    public static int Write(Span<byte> to, long value)
    {
        ulong bits = ZigZag(value);
        int at = 0;
        while (bits >= 0x80)
        {
            to[at++] = (byte)(bits | 0x80);
            bits >>= 7;
        }
        to[at++] = (byte)bits;
        return at;
    }

    /// <summary>Reads a value and moves <paramref name="from"/> behind it. False if the bytes end or do not fit 64 bits.</summary>
    public static bool TryRead(scoped ref ReadOnlySpan<byte> from, out long value)
    {
        ulong bits = 0;
        for (int at = 0, shift = 0; at < from.Length && at < MaxSize; at++, shift += 7)
        {
            byte b = from[at];
            bits |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
            {
                if (at == MaxSize - 1 && b > 1)
                {
                    break;
                }
                from = from[(at + 1)..];
                value = (long)(bits >> 1) ^ -(long)(bits & 1);
                return true;
            }
        }
        value = 0;
        return false;
    }

    /// <summary>Reads a value that must fit 32 bits. One in more bytes than those ever need is refused, as Java's reader does.</summary>
    public static bool TryRead(scoped ref ReadOnlySpan<byte> from, out int value)
    {
        ReadOnlySpan<byte> rest = from;
        if (TryRead(ref rest, out long wide) && wide is >= int.MinValue and <= int.MaxValue && from.Length - rest.Length <= MaxSize32)
        {
            from = rest;
            value = (int)wide;
            return true;
        }
        value = 0;
        return false;
    }

    private static ulong ZigZag(long value) => (ulong)((value << 1) ^ (value >> 63));
}
