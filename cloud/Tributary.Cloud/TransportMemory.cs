using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;

namespace Tributary.Cloud;

/// <summary>
/// The buffers of sockets. A socket is asked whether it has bytes, and then for as many as a buffer holds: with Kestrel's own of 4 KiB that
/// makes five hundred system calls for a Produce of 1 MiB. A connection without unread bytes has no buffer.
/// </summary>
internal sealed class TransportMemoryFactory : IMemoryPoolFactory<byte>
{
    /// <inheritdoc/>
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => new TransportMemory();
}

/// <summary>
/// Blocks of one size that are used again, pinned, as the kernel reads into them. Callable from any thread. More than <see cref="MaxKept"/>
/// that nobody uses are left to the garbage collector.
/// </summary>
internal sealed class TransportMemory : MemoryPool<byte>
{
    /// <summary>Bytes of a block: half of what waits unread in a connection's pipe by default.</summary>
    public const int BlockBytes = 32 << 10;

    /// <summary>Most blocks that are kept for later: 32 MiB.</summary>
    public const int MaxKept = 1024;

    private readonly ConcurrentQueue<Block> _free = new();
    private int _kept;
    private volatile bool _isDisposed;

    /// <inheritdoc/>
    public override int MaxBufferSize => BlockBytes;

    /// <summary>Blocks that wait to be used again.</summary>
    internal int Kept => Volatile.Read(ref _kept);

    /// <summary>A block, whatever is asked for.</summary>
    /// <exception cref="ArgumentOutOfRangeException">More than a block is asked for.</exception>
    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, BlockBytes);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_free.TryDequeue(out Block? block))
        {
            Interlocked.Decrement(ref _kept);
        }
        else
        {
            block = new Block(this);
        }
        block.Begin();
        return block;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _isDisposed = true;
        _free.Clear();
    }

    private void Return(Block block)
    {
        if (_isDisposed)
        {
            return;
        }
        if (Interlocked.Increment(ref _kept) <= MaxKept)
        {
            _free.Enqueue(block);
        }
        else
        {
            Interlocked.Decrement(ref _kept);
        }
    }

    private sealed class Block(TransportMemory pool) : IMemoryOwner<byte>
    {
        private readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(BlockBytes, pinned: true);
        private int _isRented;

        public Memory<byte> Memory => _bytes;

        public void Begin() => Volatile.Write(ref _isRented, 1);

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _isRented, 0) == 1)
            {
                pool.Return(this);
            }
        }
    }
}
