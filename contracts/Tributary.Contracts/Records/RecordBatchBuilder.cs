using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Tributary.Contracts.Records;

/// <summary>
/// Record headers in their encoded form. Encoded once (a route and topic always give the same ones) and copied into
/// every record that carries them.
/// </summary>
public sealed class EncodedHeaders
{
    /// <summary>No headers.</summary>
    public static readonly EncodedHeaders None = new([]);

    /// <summary>Encodes <paramref name="headers"/> in their order; a null value is a header without one.</summary>
    public EncodedHeaders(IReadOnlyList<KeyValuePair<string, byte[]?>> headers)
    {
        Count = headers.Count;
        var buffer = new ArrayBufferWriter<byte>(64);
        foreach ((string key, byte[]? value) in headers)
        {
            int keySize = Encoding.UTF8.GetByteCount(key);
            buffer.Advance(Varint.Write(buffer.GetSpan(Varint.MaxSize), keySize));
            buffer.Advance(Encoding.UTF8.GetBytes(key, buffer.GetSpan(Math.Max(1, keySize))));
            buffer.Advance(Varint.Write(buffer.GetSpan(Varint.MaxSize), value?.Length ?? -1));
            buffer.Write(value);
        }
        Bytes = buffer.WrittenMemory;
    }

    /// <summary>Number of headers.</summary>
    public int Count { get; }

    /// <summary>The headers, without their count.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }
}

/// <summary>What a built batch says of its producer. <see cref="None"/> for the edge's log and for plain producers.</summary>
/// <param name="Id">Producer id, −1 for none.</param>
/// <param name="Epoch">Producer epoch, −1 for none.</param>
/// <param name="BaseSequence">Sequence of the first record, −1 for none.</param>
public readonly record struct BatchProducer(long Id, short Epoch, int BaseSequence)
{
    /// <summary>No producer.</summary>
    public static readonly BatchProducer None = new(-1, -1, -1);
}

/// <summary>
/// Collects records and makes a batch of them. The buffer is kept between batches, so a builder in steady state
/// allocates nothing. Not safe for concurrent use. Records have consecutive offset deltas from 0; base offset and leader epoch
/// are left 0 and −1 for <see cref="RecordBatch.Stamp"/>.
/// </summary>
public sealed class RecordBatchBuilder : IDisposable
{
    private const int InitialCapacity = 4096;
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(InitialCapacity);
    private byte[]? _compressed;
    private int _size = BatchLayout.HeaderSize;
    private long _baseTimestamp;
    private long _maxTimestamp;

    /// <summary>Number of records so far.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of the batch so far, header included, before compression.</summary>
    public int Size => _size;

    /// <summary>
    /// The timestamp that those of the records count from, Unix milliseconds; null for the first one's. Asked for with the first record,
    /// forgotten by <see cref="Reset"/>.
    /// </summary>
    public long? BaseTimestamp { get; set; }

    /// <summary>Adds a record. <paramref name="timestamp"/> is Unix milliseconds.</summary>
    public void Add(long timestamp, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, EncodedHeaders headers) =>
        Add(timestamp, key, hasKey: true, value, hasValue: true, headers.Bytes.Span, headers.Count);

    /// <summary>Adds a record whose key or value may be absent, with headers that are encoded already.</summary>
    /// <exception cref="InvalidOperationException">The batch would exceed 2³¹ bytes or records.</exception>
    public void Add(
        long timestamp, ReadOnlySpan<byte> key, bool hasKey, ReadOnlySpan<byte> value, bool hasValue,
        ReadOnlySpan<byte> encodedHeaders, int headerCount)
    {
        if (Count == 0)
        {
            _baseTimestamp = BaseTimestamp ?? timestamp;
            _maxTimestamp = timestamp;
        }
        long delta = timestamp - _baseTimestamp;
        long body = 1L + Varint.SizeOf(delta) + Varint.SizeOf(Count)
            + Varint.SizeOf(hasKey ? key.Length : -1) + (hasKey ? key.Length : 0)
            + Varint.SizeOf(hasValue ? value.Length : -1) + (hasValue ? value.Length : 0)
            + Varint.SizeOf(headerCount) + encodedHeaders.Length;
        Span<byte> to = Reserve(body + Varint.SizeOf(body));
        int at = Varint.Write(to, body);
        to[at++] = 0;
        at += Varint.Write(to[at..], delta);
        at += Varint.Write(to[at..], Count);
        at += WriteBytes(to[at..], key, hasKey);
        at += WriteBytes(to[at..], value, hasValue);
        at += Varint.Write(to[at..], headerCount);
        encodedHeaders.CopyTo(to[at..]);
        _size += at + encodedHeaders.Length;
        _maxTimestamp = Math.Max(_maxTimestamp, timestamp);
        Count++;
    }

    /// <summary>
    /// Makes the batch of what was added. The memory belongs to the builder and is valid until the next call of
    /// <see cref="Reset"/>, <see cref="Build"/> or <see cref="Dispose"/>.
    /// </summary>
    /// <exception cref="InvalidOperationException">Nothing was added.</exception>
    public Memory<byte> Build(
        BatchProducer producer, CompressionCodec codec = CompressionCodec.None, int compressionLevel = 0,
        BatchAttributes attributes = BatchAttributes.None)
    {
        if (Count == 0)
        {
            throw new InvalidOperationException("a record batch needs at least one record");
        }
        byte[] batch = _buffer;
        int size = _size;
        if (codec != CompressionCodec.None)
        {
            ReadOnlySpan<byte> payload = _buffer.AsSpan(BatchLayout.HeaderSize.._size);
            size = Compression.Compress(codec, payload, ref _compressed, BatchLayout.HeaderSize, compressionLevel);
            batch = _compressed!;
        }
        Span<byte> to = batch.AsSpan(0, size);
        RecordBatch.Stamp(to, 0, -1);
        BinaryPrimitives.WriteInt32BigEndian(to[BatchLayout.Length..], size - BatchLayout.LengthOverhead);
        to[BatchLayout.Magic] = BatchLayout.CurrentMagic;
        BinaryPrimitives.WriteInt16BigEndian(to[BatchLayout.Attributes..], (short)((short)attributes | (short)codec));
        BinaryPrimitives.WriteInt32BigEndian(to[BatchLayout.LastOffsetDelta..], Count - 1);
        BinaryPrimitives.WriteInt64BigEndian(to[BatchLayout.BaseTimestamp..], _baseTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(to[BatchLayout.MaxTimestamp..], _maxTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(to[BatchLayout.ProducerId..], producer.Id);
        BinaryPrimitives.WriteInt16BigEndian(to[BatchLayout.ProducerEpoch..], producer.Epoch);
        BinaryPrimitives.WriteInt32BigEndian(to[BatchLayout.BaseSequence..], producer.BaseSequence);
        BinaryPrimitives.WriteInt32BigEndian(to[BatchLayout.RecordCount..], Count);
        BinaryPrimitives.WriteUInt32BigEndian(to[BatchLayout.Crc..], Crc32C.Compute(to[BatchLayout.Attributes..]));
        return batch.AsMemory(0, size);
    }

    /// <summary>Forgets what was added and keeps the buffer.</summary>
    public void Reset()
    {
        _size = BatchLayout.HeaderSize;
        Count = 0;
        BaseTimestamp = null;
    }

    /// <summary>Gives the buffers back.</summary>
    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        if (_compressed is not null)
        {
            ArrayPool<byte>.Shared.Return(_compressed);
            _compressed = null;
        }
    }

    private static int WriteBytes(Span<byte> to, ReadOnlySpan<byte> bytes, bool present)
    {
        if (!present)
        {
            return Varint.Write(to, -1);
        }
        int at = Varint.Write(to, bytes.Length);
        bytes.CopyTo(to[at..]);
        return at + bytes.Length;
    }

    private Span<byte> Reserve(long bytes)
    {
        long needed = _size + bytes;
        if (needed > _buffer.Length)
        {
            if (needed > Array.MaxLength)
            {
                throw new InvalidOperationException("the record batch would exceed 2 GiB");
            }
            byte[] larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(Array.MaxLength, Math.Max(needed, 2L * _buffer.Length)));
            _buffer.AsSpan(0, _size).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }
        return _buffer.AsSpan(_size, (int)bytes);
    }
}
