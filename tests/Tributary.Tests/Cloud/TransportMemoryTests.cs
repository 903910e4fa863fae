using System.Buffers;
using Tributary.Cloud;
using Xunit;

namespace Tributary.Tests.Cloud;

public sealed class TransportMemoryTests
{
    [Fact]
    public void A_block_that_is_given_back_is_used_again()
    {
        using MemoryPool<byte> pool = new TransportMemoryFactory().Create();
        IMemoryOwner<byte> first = pool.Rent();
        Memory<byte> memory = first.Memory;
        first.Dispose();
        using IMemoryOwner<byte> second = pool.Rent(1);
        Assert.Equal(TransportMemory.BlockBytes, memory.Length);
        Assert.True(memory.Equals(second.Memory));
    }

    [Fact]
    public void A_block_that_is_given_back_twice_is_there_once()
    {
        using MemoryPool<byte> pool = new TransportMemoryFactory().Create();
        IMemoryOwner<byte> block = pool.Rent();
        block.Dispose();
        block.Dispose();
        Assert.False(pool.Rent().Memory.Equals(pool.Rent().Memory));
    }

    [Fact]
    public void Only_so_many_unused_blocks_are_kept()
    {
        using var pool = new TransportMemory();
        IMemoryOwner<byte>[] blocks = [.. Enumerable.Range(0, TransportMemory.MaxKept + 10).Select(_ => pool.Rent())];
        Array.ForEach(blocks, block => block.Dispose());
        Assert.Equal(TransportMemory.MaxKept, pool.Kept);
    }

    [Fact]
    public void More_than_a_block_is_refused()
    {
        using MemoryPool<byte> pool = new TransportMemoryFactory().Create();
        Assert.Equal(TransportMemory.BlockBytes, pool.MaxBufferSize);
        Assert.Throws<ArgumentOutOfRangeException>(() => pool.Rent(TransportMemory.BlockBytes + 1));
    }
}
