using System.Buffers;

namespace Tributary.Contracts.Records;

/// <summary>Buffers of the shared array pool that grow. Whoever holds the reference owns the buffer and returns it.</summary>
internal static class PooledBuffer
{
    /// <summary>Makes room for <paramref name="size"/> bytes; what was in the buffer may be gone.</summary>
    public static void Ensure(ref byte[]? pooled, long size) => Grow(ref pooled, 0, size);

    /// <summary>Makes room for <paramref name="size"/> bytes and keeps the first <paramref name="used"/>.</summary>
    public static void Grow(ref byte[]? pooled, int used, long size)
    {
        if (pooled is not null && pooled.Length >= size)
        {
            return;
        }
        if (size > Array.MaxLength)
        {
            throw new InvalidOperationException($"a buffer of {size} bytes is past the greatest array");
        }
        byte[] larger = ArrayPool<byte>.Shared.Rent((int)size);
        if (pooled is not null)
        {
            pooled.AsSpan(0, used).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(pooled);
        }
        pooled = larger;
    }
}
