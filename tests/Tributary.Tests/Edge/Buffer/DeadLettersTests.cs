using System.Text;
using Tributary.Contracts.Records;
using Tributary.Edge.Buffer;
using Tributary.Log;
using Tributary.Tests.Edge.Support;
using Xunit;

namespace Tributary.Tests.Edge.Buffer;

public sealed class DeadLettersTests : IAsyncDisposable
{
    private static readonly BufferPartition From = new("telemetry", 3, null!, "");
    private readonly DeadLetterHarness _harness = new();

    public ValueTask DisposeAsync() => _harness.DisposeAsync();

    [Fact]
    public async Task A_dead_letter_is_whole_and_survives_a_power_cut()
    {
        Assert.Empty(_harness.Letters.Read(0, 1 << 20));
        await AddAsync(offset: 17, "d1", "21.5");
        await _harness.CrashAsync();

        DeadLetter letter = Assert.Single(_harness.Letters.Read(0, 1 << 20));
        Assert.Equal(
            (0L, "telemetry", 3, 17L, "too large"), (letter.Number, letter.Topic, letter.Partition, letter.Offset, letter.Reason));
        Assert.Equal(DateTimeOffset.FromUnixTimeMilliseconds(1_234_567), letter.Time);
        Assert.Equal(("d1", "21.5"), (Encoding.UTF8.GetString(letter.Key), Encoding.UTF8.GetString(letter.Value)));
        Assert.Equal(["mqtt.topic=devices/d1/t", "refused.topic=by another"], letter.Headers.Select(h => $"{h.Key}={Encoding.UTF8.GetString(h.Value)}"));
    }

    [Fact]
    public async Task They_are_read_from_any_number_on()
    {
        for (int i = 0; i < 5; i++)
        {
            await AddAsync(offset: 100 + i, "d1", $"{i}");
        }

        Assert.Equal((0L, 5L), (_harness.Letters.First, _harness.Letters.Next));
        Assert.Equal([103L, 104L], _harness.Letters.Read(3, 1 << 20).Select(letter => letter.Offset));
        Assert.Empty(_harness.Letters.Read(5, 1 << 20));
        Assert.Empty(_harness.Letters.Read(1_000, 1 << 20));
    }

    [Fact]
    public async Task Beyond_the_limit_the_oldest_are_given_up()
    {
        await using var harness = new DeadLetterHarness(new EdgeBufferOptions { SegmentBytes = 64 << 10, DeadLetterBytes = 128 << 10 });
        for (int i = 0; i < 100; i++)
        {
            await AddAsync(harness, offset: i, "d1", new string('x', 10_000));
        }

        Assert.Equal(100, harness.Letters.Next);
        Assert.InRange(harness.Letters.First, 70, 95);
        Assert.Equal(harness.Letters.First, harness.Letters.Read(0, 1 << 20)[0].Number);
    }

    [Fact]
    public async Task A_record_of_the_largest_size_fits()
    {
        await AddAsync(offset: 0, "d1", new string('x', (64 << 10) - 200));

        Assert.Equal((64 << 10) - 200, Assert.Single(_harness.Letters.Read(0, 1 << 20)).Value.Length);
    }

    private Task AddAsync(long offset, string key, string value) => AddAsync(_harness, offset, key, value);

    private static async Task AddAsync(DeadLetterHarness harness, long offset, string key, string value) =>
        await harness.Letters.FlushAsync(Add(harness, offset, key, value));

    private static AppendResult Add(DeadLetterHarness harness, long offset, string key, string value)
    {
        var headers = new EncodedHeaders([new("mqtt.topic", "devices/d1/t"u8.ToArray()), new("refused.topic", "by another"u8.ToArray())]);
        var record = new Contracts.Records.Record
        {
            OffsetDelta = 0,
            TimestampDelta = 0,
            HasKey = true,
            Key = Encoding.UTF8.GetBytes(key),
            HasValue = true,
            Value = Encoding.UTF8.GetBytes(value),
            HeaderCount = headers.Count,
            EncodedHeaders = headers.Bytes.Span,
        };
        return harness.Letters.Add(From, offset, 1_234_567, record, "too large");
    }
}
