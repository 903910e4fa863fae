using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Tributary.Tests.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

/// <summary>What the log allocates per batch once it is warm: nothing.</summary>
public sealed class LogAllocationTests : IAsyncDisposable
{
    private const int WarmUps = 3_000;
    private const int Measured = 400;
    private const int Rounds = 5;
    private readonly LogHarness _harness = new();
    private readonly string _root = Directory.CreateTempSubdirectory("tributary-log-").FullName;
    private readonly LogDirectory _directory;
    private readonly PartitionLog _log;

    /// <summary>On files, since a storage in memory grows.</summary>
    public LogAllocationTests()
    {
        // Chunks of the tail go round, and no segment is closed while it is measured.
        var options = new LogDirectoryOptions { TailCacheBytes = 64 << 10 };
        _directory = LogDirectory.Open(new FileStorage(), $"{_root}/data", options, TimeProvider.System, _harness);
        _log = _directory.OpenPartition("p-0", new PartitionLogOptions { SegmentBytes = 64 << 20 });
    }

    public async ValueTask DisposeAsync()
    {
        await _directory.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(7)]
    public void An_append_and_the_news_of_its_flush_allocate_nothing(long producerId)
    {
        var writer = new Meter();
        _log.Subscribe(writer);
        byte[] batch = Batch(valueSize: 500);
        int sequence = 0;
        for (int i = 0; i < WarmUps; i++)
        {
            AppendAndWait();
        }
        Assert.Equal(0, Allocations.PerCall(AppendAndWait));
        long least = long.MaxValue; // of some rounds, see Allocations
        for (int round = 0; round < Rounds && least > 0; round++)
        {
            writer.Begin();
            for (int i = 0; i < Measured; i++)
            {
                AppendAndWait();
            }
            least = Math.Min(least, writer.Allocated);
        }
        Assert.Equal(0, least);

        void AppendAndWait()
        {
            Renumber(batch, producerId, producerId < 0 ? -1 : sequence++);
            long next = _log.Append(batch).LastOffset + 1;
            while (Volatile.Read(ref writer.FlushedEnd) < next)
            {
                Thread.Yield();
            }
        }
    }

    [Fact]
    public async Task A_read_at_the_tail_allocates_nothing()
    {
        for (int i = 0; i < 50; i++)
        {
            await AppendAsync(_log, Batch());
        }
        long offset = 0;
        Assert.Equal(0, Allocations.PerCall(() =>
        {
            using LogRead read = _log.Read(offset, 2_000, long.MaxValue);
            offset = read.NextOffset >= _log.FlushedEnd ? 0 : read.NextOffset;
        }));
    }

    private static void Renumber(byte[] batch, long producerId, int sequence)
    {
        BinaryPrimitives.WriteInt64BigEndian(batch.AsSpan(BatchLayout.ProducerId), producerId);
        BinaryPrimitives.WriteInt16BigEndian(batch.AsSpan(BatchLayout.ProducerEpoch), 0);
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(BatchLayout.BaseSequence), sequence);
    }

    /// <summary>Sees the allocations of the writer thread, on which it is told.</summary>
    private sealed class Meter : ILogListener
    {
        public long FlushedEnd;
        private volatile bool _begin;
        private long _before;

        /// <summary>Bytes since the first flush after <see cref="Begin"/>.</summary>
        public long Allocated { get; private set; }

        public void Begin() => _begin = true;

        public void OnFlushed(PartitionLog log, long flushedEnd)
        {
            long now = GC.GetAllocatedBytesForCurrentThread();
            if (_begin)
            {
                _begin = false;
                _before = now;
            }
            Allocated = now - _before;
            Volatile.Write(ref FlushedEnd, flushedEnd);
        }

        public void OnFailed(PartitionLog log, long fromOffset, Exception reason) =>
            throw new InvalidOperationException("must not fail", reason);
    }
}
