using System.Buffers;

namespace Tributary.Log;

/// <summary>
/// Whole batches read from a log, in memory that is given back at <see cref="Dispose"/>: chunks of the tail, held by a count, or a
/// pooled buffer filled from a file. The object itself is pooled too: dispose it exactly once and don't touch it afterwards.
/// </summary>
public sealed class LogRead : IDisposable
{
    private const int PooledReads = 256;
    private static readonly ObjectPool<LogRead> Pool = new(PooledReads);
    private readonly List<Piece> _pieces = [];
    private int _count;
    private byte[]? _rented;
    private ReadOnlyMemory<byte> _fromFile;
    private int _disposed;

    /// <summary>The batches, one behind the other.</summary>
    public ReadOnlySequence<byte> Bytes
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed != 0, this);
            return _count switch
            {
                0 => new ReadOnlySequence<byte>(_fromFile),
                1 => new ReadOnlySequence<byte>(_pieces[0].Memory),
                _ => new ReadOnlySequence<byte>(_pieces[0], 0, _pieces[_count - 1], _pieces[_count - 1].Memory.Length),
            };
        }
    }

    /// <summary>The offset after the last batch; the asked one if nothing was read.</summary>
    public long NextOffset { get; internal set; }

    /// <summary>Whether the batches come from a file, where they may be damaged, not from the tail in memory.</summary>
    public bool IsFromFile => _count == 0;

    /// <summary>Bytes in <see cref="Bytes"/>.</summary>
    public int Size { get; private set; }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }
        for (int i = 0; i < _count; i++)
        {
            _pieces[i].Clear();
        }
        _count = 0;
        if (_rented is not null)
        {
            ArrayPool<byte>.Shared.Return(_rented);
            _rented = null;
        }
        _fromFile = default;
        Pool.Return(this);
    }

    /// <summary>An empty read that continues at <paramref name="offset"/>.</summary>
    internal static LogRead At(long offset)
    {
        LogRead read = Pool.Rent();
        read.NextOffset = offset;
        read.Size = 0;
        Volatile.Write(ref read._disposed, 0);
        return read;
    }

    /// <summary>Adds bytes of a tail chunk, whose count the caller has raised for this read.</summary>
    internal void Add(TailChunk chunk, int position, int size, long nextOffset)
    {
        if (_count == _pieces.Count)
        {
            _pieces.Add(new Piece());
        }
        Piece piece = _pieces[_count];
        piece.Set(chunk, position, size, Size);
        if (_count > 0)
        {
            _pieces[_count - 1].LinkTo(piece);
        }
        _count++;
        Size += size;
        NextOffset = nextOffset;
    }

    /// <summary>Takes over <paramref name="rented"/>, which goes back to the pool at <see cref="Dispose"/>.</summary>
    internal void Own(byte[] rented, int position, int size, long nextOffset)
    {
        _rented = rented;
        _fromFile = rented.AsMemory(position, size);
        Size = size;
        NextOffset = nextOffset;
    }

    /// <summary>What <see cref="Own"/> took over: nobody else sees these bytes.</summary>
    internal Span<byte> Owned => _rented is null ? [] : System.Runtime.InteropServices.MemoryMarshal.AsMemory(_fromFile).Span;

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        private TailChunk? _chunk;

        public void Set(TailChunk chunk, int position, int size, long runningIndex)
        {
            _chunk = chunk;
            Memory = chunk.Memory(position, size);
            RunningIndex = runningIndex;
            Next = null;
        }

        public void LinkTo(Piece next) => Next = next;

        public void Clear()
        {
            _chunk?.Release();
            _chunk = null;
            Memory = default;
            Next = null;
        }
    }
}
