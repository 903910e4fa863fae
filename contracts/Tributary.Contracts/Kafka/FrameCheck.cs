using System.Buffers.Binary;
using Tributary.Contracts.Records;

namespace Tributary.Contracts.Kafka;

/// <summary>
/// A checksum over a frame, in a tagged field of its header. Not Kafka's: record batches have one of their own there, but what stands
/// around them has none, so that a flipped bit sends a batch to another partition, or acknowledges what was not stored. Peers that don't
/// know the tag skip it (KIP-482). A server answers with one whoever asks with one. TCP's own checksum misses one damaged segment in some
/// ten thousand.
/// <para>
/// Layout: tag 10001, 4 bytes: CRC-32C of the frame from behind its length to its end, with these four bytes as zeros.
/// </para>
/// </summary>
/// <param name="Position">Where in what was read the four bytes are.</param>
/// <param name="Value">What they say.</param>
public readonly record struct FrameCheck(int Position, uint Value)
{
    /// <summary>Bytes of the checksum.</summary>
    public const int Size = sizeof(uint);

    private const uint Tag = 10_001;

    /// <summary>Writes a header's tagged fields with an empty checksum, which are the last bytes written then.</summary>
    public static void WriteEmpty(ref KafkaWriter writer)
    {
        writer.WriteUnsignedVarint(1);
        writer.WriteUnsignedVarint(Tag);
        writer.WriteUnsignedVarint(Size);
        writer.WriteUInt32(0);
    }

    /// <summary>Reads a header's tagged fields.</summary>
    /// <returns>The checksum, null without one.</returns>
    /// <exception cref="KafkaProtocolException">The bytes are no tagged fields.</exception>
    public static FrameCheck? Read(ref KafkaReader reader, string structure)
    {
        FrameCheck? check = null;
        long tag = -1;
        for (int left = reader.ReadTagCount(structure); left > 0; left--)
        {
            int outerEnd = reader.BeginTaggedField(structure, ref tag);
            if (tag == Tag)
            {
                check = new FrameCheck(reader.Position, reader.ReadUInt32(structure));
            }
            else
            {
                reader.SkipTaggedField();
            }
            reader.EndTaggedField(structure, tag, outerEnd);
        }
        return check;
    }

    /// <summary>Whether the bytes are what was sent.</summary>
    /// <param name="frame">What was read, to the frame's end.</param>
    /// <param name="before">Checksum of what the frame has before that, behind its length.</param>
    public bool Holds(ReadOnlySpan<byte> frame, uint before = 0)
    {
        Span<byte> empty = stackalloc byte[Size];
        empty.Clear();
        uint crc = Crc32C.Append(Crc32C.Append(before, frame[..Position]), empty);
        return Crc32C.Append(crc, frame[(Position + Size)..]) == Value;
    }

    /// <summary>As <see cref="Holds(ReadOnlySpan{byte}, uint)"/>, for a response from behind the correlation id that it begins with.</summary>
    public bool HoldsBehind(int correlationId, ReadOnlySpan<byte> content)
    {
        Span<byte> id = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(id, correlationId);
        return Holds(content, Crc32C.Compute(id));
    }
}
