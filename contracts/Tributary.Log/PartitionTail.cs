namespace Tributary.Log;

/// <summary>
/// What was appended last to one partition, in memory: everything that is not durable yet, and before it, while somebody reads near the
/// end, as much as the directory's <see cref="TailCache"/> leaves. Where nobody does, the same few chunks are used again and again: what
/// is appended and written then lies in the processor's cache. Chunks are in offset order without a gap. All members are called under the
/// partition's lock.
/// </summary>
internal sealed class PartitionTail(PartitionLog owner, TailCache cache)
{
    /// <summary>Small, since thousands of partitions may hold one chunk each.</summary>
    private const int SmallestChunk = 4 << 10;

    /// <summary>Bounds the walk over batch headers that finds an offset in a chunk.</summary>
    private const int LargestChunk = 64 << 10;

    /// <summary>Kept of a partition that nobody reads.</summary>
    private const int UnreadBytes = 256 << 10;

    /// <summary>A read that is not farther from the end is one of the tail; so long after the last one a partition counts as unread.</summary>
    private const long NearBytes = 8 << 20;

    private TailChunk[] _chunks = new TailChunk[2];
    private long _capacity;
    private long _appended;
    private long _readAt = -NearBytes;

    /// <summary>Between one and two times <see cref="NearBytes"/> before the end, once there was so much: (bytes appended, offset).</summary>
    private (long Appended, long Offset) _near;
    private (long Appended, long Offset) _nextNear;
    private int _head;
    private int _count;

    /// <summary>The first offset that is in memory, or <see cref="long.MaxValue"/>.</summary>
    public long StartOffset => _count == 0 ? long.MaxValue : this[0].BaseOffset;

    private TailChunk this[int index] => _chunks[(_head + index) & (_chunks.Length - 1)];

    public void Append(ReadOnlySpan<byte> batch, long baseOffset, long nextOffset, int leaderEpoch)
    {
        TailChunk? last = _count > 0 ? this[_count - 1] : null;
        if (last is null || !last.HasRoom(batch.Length))
        {
            int wanted = last is null ? SmallestChunk : Math.Min(LargestChunk, 2 * last.Capacity);
            last = TailChunk.Rent(owner, Math.Max(wanted, batch.Length), baseOffset);
            Add(last);
        }
        last.Append(batch, baseOffset, nextOffset, leaderEpoch);
        if (_appended == 0)
        {
            _near.Offset = _nextNear.Offset = baseOffset;
        }
        _appended += batch.Length;
        if (_appended - _nextNear.Appended >= NearBytes)
        {
            _near = _nextNear;
            _nextNear = (_appended, baseOffset);
        }
    }

    /// <summary>Somebody reads at that offset, from here or from a file.</summary>
    public void NoteReader(long offset)
    {
        if (offset >= _near.Offset)
        {
            _readAt = _appended;
        }
    }

    /// <summary>Adds what is not durable yet to <paramref name="pieces"/>, holding the chunks in <paramref name="held"/>.</summary>
    public void CollectUnflushed(List<ReadOnlyMemory<byte>> pieces, List<TailChunk> held)
    {
        for (int i = FirstUnflushed(); i < _count; i++)
        {
            TailChunk chunk = this[i];
            chunk.Hold();
            held.Add(chunk);
            pieces.Add(chunk.Memory(chunk.Flushed, chunk.Used - chunk.Flushed));
        }
    }

    /// <summary>The first <paramref name="bytes"/> of what was not durable are durable now.</summary>
    public void MarkFlushed(long bytes)
    {
        for (int i = FirstUnflushed(); i < _count && bytes > 0; i++)
        {
            TailChunk chunk = this[i];
            int part = (int)Math.Min(bytes, chunk.Used - chunk.Flushed);
            chunk.Flushed += part;
            bytes -= part;
        }
        if (bytes != 0)
        {
            throw new InvalidOperationException("more bytes were flushed than appended");
        }
        while (_capacity > UnreadBytes && _appended - _readAt >= NearBytes && EvictOldest())
        {
        }
    }

    /// <summary>Forgets what is not durable.</summary>
    public void DropUnflushed(long flushedEnd)
    {
        while (_count > 0 && this[_count - 1].Flushed == 0)
        {
            RemoveLast();
        }
        if (_count > 0)
        {
            this[_count - 1].SealAtFlushed(flushedEnd);
        }
    }

    /// <summary>
    /// Forgets everything at or above <paramref name="offset"/>, where the next append will be. All must be durable: the files have what
    /// is dropped below the offset with the chunk that contains it, and with all before it, since there must be no gap.
    /// </summary>
    public void DropFrom(long offset)
    {
        _near.Offset = Math.Min(_near.Offset, offset);
        _nextNear.Offset = Math.Min(_nextNear.Offset, offset);
        while (_count > 0 && this[_count - 1].EndOffset > offset)
        {
            RemoveLast();
        }
        if (_count > 0 && this[_count - 1].EndOffset == offset)
        {
            this[_count - 1].SealAtFlushed(offset);
        }
        else
        {
            Clear();
        }
    }

    /// <summary>Forgets chunks that lie wholly below <paramref name="offset"/>.</summary>
    public void DropBelow(long offset)
    {
        while (_count > 0 && this[0].EndOffset <= offset && EvictOldest())
        {
        }
    }

    /// <summary>Forgets the oldest chunk if all of it is durable.</summary>
    public bool EvictOldest()
    {
        if (_count == 0 || this[0].Flushed < this[0].Used)
        {
            return false;
        }
        TailChunk chunk = this[0];
        _chunks[_head] = null!;
        _head = (_head + 1) & (_chunks.Length - 1);
        _count--;
        Forget(chunk);
        return true;
    }

    /// <summary>Forgets everything, durable or not.</summary>
    public void Clear()
    {
        while (_count > 0)
        {
            RemoveLast();
        }
    }

    /// <summary>Adds whole batches from <paramref name="offset"/> on, which must be in memory, to <paramref name="read"/>.</summary>
    public void Read(long offset, int maxBytes, long upTo, LogRead read)
    {
        for (int i = IndexOf(offset); i < _count; i++)
        {
            TailChunk chunk = this[i];
            int size = chunk.Slice(offset, maxBytes - read.Size, read.Size == 0, upTo, out int position, out long next);
            if (size > 0)
            {
                chunk.Hold();
                read.Add(chunk, position, size, next);
            }
            if (position + size < chunk.Used || size == 0)
            {
                return;
            }
            offset = next;
        }
    }

    private int IndexOf(long offset)
    {
        int low = 0;
        int high = _count - 1;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            if (this[middle].BaseOffset <= offset)
            {
                low = middle;
            }
            else
            {
                high = middle - 1;
            }
        }
        return low;
    }

    private int FirstUnflushed()
    {
        int index = _count;
        while (index > 0 && this[index - 1].Flushed < this[index - 1].Used)
        {
            index--;
        }
        return index;
    }

    private void Add(TailChunk chunk)
    {
        if (_count == _chunks.Length)
        {
            var larger = new TailChunk[2 * _count];
            for (int i = 0; i < _count; i++)
            {
                larger[i] = this[i];
            }
            _chunks = larger;
            _head = 0;
        }
        _chunks[(_head + _count++) & (_chunks.Length - 1)] = chunk;
        _capacity += chunk.Capacity;
        cache.Added(chunk);
    }

    private void Forget(TailChunk chunk)
    {
        _capacity -= chunk.Capacity;
        cache.Removed(chunk);
        chunk.Release();
    }

    private void RemoveLast()
    {
        int index = (_head + --_count) & (_chunks.Length - 1);
        TailChunk chunk = _chunks[index];
        _chunks[index] = null!;
        Forget(chunk);
    }
}
