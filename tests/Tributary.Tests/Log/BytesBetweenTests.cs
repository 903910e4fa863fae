using Tributary.Log;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;

namespace Tributary.Tests.Log;

public sealed class BytesBetweenTests : IAsyncDisposable
{
    private readonly LogHarness _harness = new();

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Fact]
    public async Task The_bytes_between_two_offsets_are_those_of_the_batches_about()
    {
        PartitionLog log = _harness.Open();
        var ends = new List<long> { 0 };
        for (int i = 0; i < 400; i++)
        {
            byte[] batch = Batch(valueSize: 20 + (i % 30));
            await AppendAsync(log, batch);
            ends.Add(ends[^1] + batch.Length);
        }
        foreach (bool isReopened in new[] { false, true })
        {
            log = isReopened ? await _harness.ReopenAsync() : log;
            Assert.Equal(ends[400], log.BytesBetween(0, 400));
            Assert.Equal(ends[400], log.BytesBetween(-5, 1_000));
            Assert.Equal(0, log.BytesBetween(200, 200));
            Assert.Equal(0, log.BytesBetween(300, 200));
            for (int from = 0; from < 400; from += 7)
            {
                Assert.InRange(log.BytesBetween(from, 400), ends[400] - ends[from] - 1_000, ends[400] - ends[from] + 1_000);
            }
        }
    }

    [Fact]
    public async Task Trimmed_bytes_do_not_count()
    {
        PartitionLog log = _harness.Open();
        for (int i = 0; i < 100; i++)
        {
            await AppendAsync(log, Batch(valueSize: 60));
        }
        log.AdvanceStart(100);

        Assert.Equal(0, log.BytesBetween(0, 100));
    }
}
