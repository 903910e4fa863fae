using System.Text;
using Tributary.Contracts.Records;
using Tributary.Edge.Clock;
using Xunit;
using Record = Tributary.Contracts.Records.Record;

namespace Tributary.Tests.Edge.Clock;

public sealed class BootStampTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(7, 86_400_000)]
    [InlineData(BootStamp.MaxBoot, (1L << 40) - 1)]
    public void A_stamp_comes_back_as_it_was(int boot, long milliseconds)
    {
        Assert.True(BootStamp.TryRead(new BootStamp(boot, milliseconds).ToTimestamp(), out BootStamp read));
        Assert.Equal(new BootStamp(boot, milliseconds), read);
    }

    [Fact]
    public void No_date_is_a_stamp()
    {
        Assert.False(BootStamp.IsIn(DateTimeOffset.MinValue.ToUnixTimeMilliseconds()));
        Assert.False(BootStamp.IsIn(DateTimeOffset.MaxValue.ToUnixTimeMilliseconds()));
        Assert.False(BootStamp.IsIn(-1));
        Assert.False(BootStamp.IsIn(long.MinValue));
        Assert.False(BootStamp.IsIn(long.MaxValue));
    }

    [Fact]
    public void Later_boots_and_later_times_are_greater()
    {
        Assert.True(new BootStamp(1, 5).ToTimestamp() < new BootStamp(1, 6).ToTimestamp());
        Assert.True(new BootStamp(1, 1L << 39).ToTimestamp() < new BootStamp(2, 0).ToTimestamp());
    }

    [Fact]
    public void A_batch_holds_dates_and_stamps_beside_each_other()
    {
        long[] timestamps = [new BootStamp(3, 1000).ToTimestamp(), 1_767_225_600_000, new BootStamp(3, 2000).ToTimestamp()];
        using var builder = new RecordBatchBuilder();
        foreach (long timestamp in timestamps)
        {
            builder.Add(timestamp, "k"u8, "v"u8, EncodedHeaders.None);
        }
        Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(builder.Build(BatchProducer.None).Span, out RecordBatch batch));
        var reader = new RecordReader(batch.Payload, batch.RecordCount);
        foreach (long timestamp in timestamps)
        {
            Assert.True(reader.Read(out Record record));
            Assert.Equal(timestamp, batch.BaseTimestamp + record.TimestampDelta);
        }
    }

    [Theory]
    [InlineData(1, 12, "edge.time=corrected edge.time.bound.ms=12")]
    [InlineData(2, long.MaxValue, "edge.time=estimated edge.time.bound.ms=9223372036854775807")]
    [InlineData(3, 0, "edge.time=untrusted")]
    [InlineData(0, 0, "")]
    public void How_a_time_is_known_stands_in_headers(int mark, long bound, string expected)
    {
        byte[] bytes = new byte[RecordTime.MaxHeaderBytes];
        int size = new RecordTime(1, (TimeMark)mark, bound).WriteHeaders(bytes, out int count);
        var reader = new HeaderReader(bytes.AsSpan(0, size), count);
        var found = new List<string>();
        while (reader.Read(out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value, out _))
        {
            found.Add($"{Encoding.UTF8.GetString(key)}={Encoding.UTF8.GetString(value)}");
        }
        Assert.False(reader.IsMalformed);
        Assert.Equal(expected, string.Join(' ', found));
    }
}
