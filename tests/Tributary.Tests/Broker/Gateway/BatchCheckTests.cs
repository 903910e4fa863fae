using Tributary.Broker;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>Batches whose header and CRC are right and whose records would stop a consumer.</summary>
public sealed class BatchCheckTests
{
    /// <summary>
    /// A record: length, attributes, timestamp delta, offset delta, key "k", value "v", a header "h" with value "w". Varints are zig-zag.
    /// </summary>
    private static readonly byte[] Good = [24, 0, 0, 0, 2, (byte)'k', 2, (byte)'v', 2, 2, (byte)'h', 2, (byte)'w'];

    public static TheoryData<CompressionCodec> Codecs => [.. Enum.GetValues<CompressionCodec>()];

    public static TheoryData<string, byte[], string> Faults => new()
    {
        { "a header count without headers", Edit(Good, 8, 4), "headers of record 0" },
        { "a header key that is longer than the record", Edit(Good, 9, 60), "headers of record 0" },
        { "a header value of length -2", Edit(Good, 11, 3), "headers of record 0" },
        { "bytes behind the headers", [28, .. Good[1..], 7, 7], "headers of record 0" },
        { "an offset delta that is another record's", Edit(Good, 3, 2), "offset delta 1" },
        { "a key that is longer than the record", Edit(Good, 4, 60), "behind 0 the bytes are no record" },
        { "a record that is longer than the batch", Edit(Good, 0, 26), "behind 0 the bytes are no record" },
        { "a length in six bytes", [0x98, 0x80, 0x80, 0x80, 0x80, 0x00, .. Good[1..]], "behind 0 the bytes are no record" },
        { "bytes behind the records", [.. Good, 0], "behind 1 the bytes are no record" },
        { "a second record that the header doesn't tell of", [.. Good, .. Edit(Good, 3, 2)], "behind 1 the bytes are no record" },
    };

    [Theory]
    [MemberData(nameof(Codecs))]
    public async Task Records_that_can_be_read_are_taken(CompressionCodec codec)
    {
        await using var broker = new TestBroker();
        Assert.Equal((ErrorCode.None, null), await ProduceAsync(broker, Batches.WithPayload(Good, 1, codec)));
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task Records_that_would_stop_a_consumer_are_refused_compressed_or_not(string fault, byte[] payload, string expected)
    {
        await using var broker = new TestBroker();
        foreach (CompressionCodec codec in Enum.GetValues<CompressionCodec>())
        {
            (ErrorCode error, string? message) = await ProduceAsync(broker, Batches.WithPayload(payload, 1, codec));
            Assert.True(error == ErrorCode.InvalidRecord, $"{fault}, {codec}: {error}");
            Assert.Contains(expected, message, StringComparison.Ordinal);
        }
        Assert.Equal(0, broker.Partition("t").Log.AppendedEnd);
    }

    [Theory]
    [InlineData(CompressionCodec.Gzip)]
    [InlineData(CompressionCodec.Snappy)]
    [InlineData(CompressionCodec.Lz4)]
    [InlineData(CompressionCodec.Zstd)]
    public async Task A_compressed_payload_that_is_none_or_a_bomb_is_refused(CompressionCodec codec)
    {
        await using var broker = new TestBroker(new BrokerOptions { MaxDecompressedBytes = 1 << 20 });
        byte[] garbage = Batches.WithPayload([1, 2, 3, 4, 5, 6, 7, 8, 9], 1);
        garbage[BatchLayout.Attributes + 1] = (byte)codec;
        (ErrorCode error, string? message) = await ProduceAsync(broker, Batches.Sealed(garbage));
        Assert.Equal(ErrorCode.InvalidRecord, error);
        Assert.Contains("broker:maxDecompressedBytes", message, StringComparison.Ordinal);
        (error, message) = await ProduceAsync(broker, Batches.WithPayload(new byte[8 << 20], 1, codec));
        Assert.Equal(ErrorCode.InvalidRecord, error);
        Assert.Contains("broker:maxDecompressedBytes", message, StringComparison.Ordinal);
    }

    private static byte[] Edit(byte[] record, int at, byte value)
    {
        byte[] edited = [.. record];
        edited[at] = value;
        return edited;
    }

    private static async Task<(ErrorCode Error, string? Message)> ProduceAsync(TestBroker broker, byte[] batch)
    {
        if (!broker.Control.Snapshot.Topics.ContainsKey("t"))
        {
            await broker.CreateTopicAsync("t");
        }
        await using TestClient client = broker.Connect();
        ProduceResponse.PartitionProduceResponse answer = (await client.AskAsync(Ask.Produce("t", batch), 9)).Single();
        return (answer.ErrorCode, answer.ErrorMessage);
    }
}
