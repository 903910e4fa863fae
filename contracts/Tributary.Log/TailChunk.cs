using System.Buffers;
using Tributary.Contracts.Records;

namespace Tributary.Log;

/// <summary>
/// Whole batches in one pooled buffer, in offset order: what was appended last. Appended to and searched under its partition's lock;
/// bytes below <see cref="Used"/> never change, so readers and the writer thread look at them without a lock while they hold a count.
/// </summary>
internal sealed class TailChunk
{
    private const int PooledChunks = 1024;
    private static readonly ObjectPool<TailChunk> Pool = new(PooledChunks);
    private byte[] _buffer = [];
    private int _references;
    private long _hintOffset;
    private int _hintPosition;

    public TailChunk() => Node = new LinkedListNode<TailChunk>(this);

    /// <summary>Its place in the <see cref="TailCache"/>.</summary>
    public LinkedListNode<TailChunk> Node { get; }

    /// <summary>Whose tail it is part of.</summary>
    public PartitionLog? Owner { get; private set; }

    /// <summary>Offset of the first record.</summary>
    public long BaseOffset { get; private set; }

    /// <summary>The offset after the last record.</summary>
    public long EndOffset { get; private set; }

    /// <summary>Bytes that hold batches.</summary>
    public int Used { get; private set; }

    /// <summary>Bytes that are durable.</summary>
    public int Flushed { get; set; }

    /// <summary>Bytes of memory that the chunk takes.</summary>
    public int Capacity => _buffer.Length;

    /// <summary>
    /// No more is appended, although there may be room: bytes behind <see cref="Used"/> may still be in a reader's hands.
    /// </summary>
    public bool Sealed { get; private set; }

    /// <summary>A chunk with room for <paramref name="capacity"/> bytes, counted once for its owner.</summary>
    public static TailChunk Rent(PartitionLog owner, int capacity, long baseOffset)
    {
        TailChunk chunk = Pool.Rent();
        chunk._buffer = ArrayPool<byte>.Shared.Rent(capacity);
        chunk._references = 1;
        chunk.Owner = owner;
        chunk.BaseOffset = chunk.EndOffset = chunk._hintOffset = baseOffset;
        chunk.Used = chunk.Flushed = chunk._hintPosition = 0;
        chunk.Sealed = false;
        return chunk;
    }

    public void Hold() => Interlocked.Increment(ref _references);

    public void Release()
    {
        int left = Interlocked.Decrement(ref _references);
        if (left < 0)
        {
            throw new InvalidOperationException("a chunk of the tail was released more often than it was held");
        }
        if (left == 0)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = [];
            Owner = null;
            Pool.Return(this);
        }
    }

    public bool HasRoom(int size) => !Sealed && _buffer.Length - Used >= size;

    /// <summary>Copies a batch in and stamps it. The caller has asked <see cref="HasRoom"/>.</summary>
    public void Append(ReadOnlySpan<byte> batch, long baseOffset, long nextOffset, int leaderEpoch)
    {
        Span<byte> to = _buffer.AsSpan(Used, batch.Length);
        batch.CopyTo(to);
        RecordBatch.Stamp(to, baseOffset, leaderEpoch);
        Used += batch.Length;
        EndOffset = nextOffset;
    }

    public ReadOnlyMemory<byte> Memory(int position, int size) => _buffer.AsMemory(position, size);

    /// <summary>Takes no more batches and forgets those that are not durable.</summary>
    public void SealAtFlushed(long flushedEnd)
    {
        Sealed = true;
        Used = Flushed;
        EndOffset = flushedEnd;
        _hintOffset = BaseOffset;
        _hintPosition = 0;
    }

    /// <summary>
    /// The bytes of whole batches from the one that contains <paramref name="offset"/>: at most <paramref name="maxBytes"/>, or one batch
    /// of any size if <paramref name="first"/>, none with an offset ≥ <paramref name="upTo"/>.
    /// </summary>
    /// <returns>Bytes from <paramref name="position"/> on; <paramref name="next"/> is the offset after them.</returns>
    public int Slice(long offset, int maxBytes, bool first, long upTo, out int position, out long next)
    {
        bool hinted = offset >= _hintOffset;
        int at = hinted ? _hintPosition : 0;
        next = hinted ? _hintOffset : BaseOffset;
        RecordBatch batch = default;
        while (at < Used && (batch = At(at)).NextOffset <= offset)
        {
            at += batch.Size;
            next = batch.NextOffset;
        }
        position = at;
        while (at < Used && (batch = At(at)).NextOffset <= upTo)
        {
            long taken = (long)at - position + batch.Size;
            if (taken > maxBytes && !(first && at == position))
            {
                break;
            }
            at += batch.Size;
            next = batch.NextOffset;
        }
        _hintOffset = next;
        _hintPosition = at;
        return at - position;
    }

    private RecordBatch At(int position) => RecordBatch.TryRead(_buffer.AsSpan(position, Used - position), out RecordBatch batch) == BatchStatus.Ok
        ? batch
        : throw new InvalidOperationException("the tail in memory does not hold whole batches");
}
