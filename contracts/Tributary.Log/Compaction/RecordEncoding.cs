using System.Buffers;
using Tributary.Contracts.Records;

namespace Tributary.Log.Compaction;

/// <summary>Writes records that were read from a batch, at their old place in it.</summary>
internal static class RecordEncoding
{
    /// <summary>Writes a record behind what <paramref name="buffer"/>, which is pooled and grows, holds already.</summary>
    /// <param name="buffer">The caller's buffer, or null to rent one.</param>
    /// <param name="used">Bytes of it that are used, or stay free, at its start.</param>
    /// <param name="record">The record.</param>
    /// <param name="timestampDelta">Its timestamp, from the base timestamp of the batch that is written.</param>
    /// <returns>Bytes used then.</returns>
    public static int Write(ref byte[]? buffer, int used, in Record record, long timestampDelta)
    {
        int keySize = record.HasKey ? record.Key.Length : -1;
        int valueSize = record.HasValue ? record.Value.Length : -1;
        long body = 1L + Varint.SizeOf(timestampDelta) + Varint.SizeOf(record.OffsetDelta) + Varint.SizeOf(keySize) + record.Key.Length
            + Varint.SizeOf(valueSize) + record.Value.Length + Varint.SizeOf(record.HeaderCount) + record.EncodedHeaders.Length;
        Reserve(ref buffer, used, used + body + Varint.MaxSize);
        Span<byte> to = buffer.AsSpan(used);
        int at = Varint.Write(to, body);
        to[at++] = 0;
        at += Varint.Write(to[at..], timestampDelta);
        at += Varint.Write(to[at..], record.OffsetDelta);
        at += Varint.Write(to[at..], keySize);
        record.Key.CopyTo(to[at..]);
        at += record.Key.Length;
        at += Varint.Write(to[at..], valueSize);
        record.Value.CopyTo(to[at..]);
        at += record.Value.Length;
        at += Varint.Write(to[at..], record.HeaderCount);
        record.EncodedHeaders.CopyTo(to[at..]);
        return used + at + record.EncodedHeaders.Length;
    }

    /// <summary>Makes room for <paramref name="size"/> bytes and keeps the first <paramref name="used"/>.</summary>
    /// <exception cref="InvalidDataException">It would be more than an array can hold.</exception>
    public static void Reserve(ref byte[]? buffer, int used, long size)
    {
        if (buffer is not null && buffer.Length >= size)
        {
            return;
        }
        if (size > Array.MaxLength)
        {
            throw new InvalidDataException($"a batch of {size} bytes can't be");
        }
        byte[] larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(Array.MaxLength, Math.Max(size, 2L * (buffer?.Length ?? 0))));
        if (buffer is not null)
        {
            buffer.AsSpan(0, used).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(buffer);
        }
        buffer = larger;
    }
}
