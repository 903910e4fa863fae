using System.Buffers;

namespace Tributary.Contracts.Kafka;

/// <summary>Records that are written into a message from wherever they lie.</summary>
public abstract class RecordsSource
{
    /// <summary>Bytes that <see cref="WriteTo"/> writes; the same for as long as the message lives.</summary>
    public abstract int Size { get; }

    /// <summary>
    /// Writes the records. An output that can take them without a copy is recognised by its type; what is written through
    /// <see cref="IBufferWriter{T}"/> before and after keeps its place.
    /// </summary>
    public abstract void WriteTo(IBufferWriter<byte> output);
}

/// <summary>
/// A field of type <c>records</c>: record batches, null or empty. Read, it is a slice of the frame; to be written, bytes or a
/// <see cref="RecordsSource"/>. The default is empty, since clients exist that don't expect null in a Fetch response.
/// </summary>
public readonly struct RecordBytes
{
    private readonly ReadOnlyMemory<byte> _memory;
    private readonly RecordsSource? _source;

    /// <summary>Bytes that stay valid until the message is written.</summary>
    public RecordBytes(ReadOnlyMemory<byte> memory) => _memory = memory;

    /// <summary>Records that the source writes.</summary>
    public RecordBytes(RecordsSource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        _source = source;
    }

    private RecordBytes(bool isNull) => IsNull = isNull;

    /// <summary>No records: the field is null.</summary>
    public static RecordBytes Null => new(isNull: true);

    /// <summary>Whether the field is null.</summary>
    public bool IsNull { get; }

    /// <summary>Bytes of the records, 0 for null.</summary>
    public int Size => _source?.Size ?? _memory.Length;

    /// <summary>The bytes; empty for null. Of a message that was read they are the frame's own: valid as long as the frame is.</summary>
    /// <exception cref="InvalidOperationException">They come from a <see cref="RecordsSource"/>.</exception>
    public ReadOnlyMemory<byte> Memory =>
        _source is null ? _memory : throw new InvalidOperationException("the records lie with their source; they can only be written");

    /// <summary>The bytes.</summary>
    public ReadOnlySpan<byte> Span => Memory.Span;

    /// <summary>Takes bytes as records.</summary>
    public static implicit operator RecordBytes(ReadOnlyMemory<byte> memory) => new(memory);

    /// <summary>Takes bytes as records.</summary>
    public static implicit operator RecordBytes(byte[] bytes) => new((ReadOnlyMemory<byte>)bytes);

    /// <summary>Takes a source's records.</summary>
    public static implicit operator RecordBytes(RecordsSource source) => new(source);

    /// <summary>Writes the records without a length.</summary>
    public void WriteTo(IBufferWriter<byte> output)
    {
        if (_source is not null)
        {
            _source.WriteTo(output);
        }
        else
        {
            output.Write(_memory.Span);
        }
    }
}
