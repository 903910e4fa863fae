using System.Text;
using Tributary.Contracts.Records;
using Tributary.Edge.Mqtt.Sessions;
using Xunit;
using Record = Tributary.Contracts.Records.Record;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>The header by which a QoS 2 message is found in its topic, and what only looks like it.</summary>
public sealed class ReceiptHeaderTests
{
    private static readonly ReceiptHeader Receipt = new(7, 300, long.MaxValue);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void What_was_written_behind_other_headers_is_read_and_taken_off(int others)
    {
        var before = new EncodedHeaders(
            [.. Enumerable.Range(0, others).Select(i => new KeyValuePair<string, byte[]?>($"h{i}", i == 1 ? null : new byte[i]))]);
        byte[] headers = [.. before.Bytes.ToArray(), .. Encoded()];
        Record record = RecordWith(headers, others + 1);
        Assert.True(ReceiptHeader.TryRead(record, out ReceiptHeader read));
        Assert.Equal(Receipt, read);
        Record left = ReceiptHeader.Strip(record);
        Assert.Equal(others, left.HeaderCount);
        Assert.Equal(Convert.ToHexString(before.Bytes.Span), Convert.ToHexString(left.EncodedHeaders));
        Assert.False(ReceiptHeader.TryRead(left, out _));
    }

    [Fact]
    public void The_same_bytes_at_the_end_of_another_header_are_none()
    {
        byte[] topic = [.. "x,"u8, .. Encoded()];
        var headers = new EncodedHeaders([new("mqtt.qos", [1]), new("mqtt.topic", topic)]);
        Record record = RecordWith(headers.Bytes.Span, headers.Count);
        Assert.False(ReceiptHeader.TryRead(record, out _));
        Record left = ReceiptHeader.Strip(record);
        Assert.Equal(2, left.HeaderCount);
        Assert.Equal(headers.Bytes.Length, left.EncodedHeaders.Length);
    }

    [Fact]
    public void A_value_of_another_length_by_that_name_is_none()
    {
        var headers = new EncodedHeaders([new("tributary.mqtt.receipt", Encoding.ASCII.GetBytes("not one"))]);
        Assert.False(ReceiptHeader.TryRead(RecordWith(headers.Bytes.Span, 1), out _));
    }

    private static byte[] Encoded()
    {
        byte[] bytes = new byte[ReceiptHeader.EncodedLength];
        Receipt.Write(bytes);
        return bytes;
    }

    private static Record RecordWith(ReadOnlySpan<byte> headers, int count) => new()
    {
        OffsetDelta = 0,
        TimestampDelta = 0,
        HasKey = false,
        Key = default,
        HasValue = true,
        Value = "v"u8,
        HeaderCount = count,
        EncodedHeaders = headers,
    };
}
