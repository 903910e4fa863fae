using System.Buffers;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Kafka.Golden;
using Xunit;

namespace Tributary.Tests.Kafka;

public sealed class KafkaWriterTests
{
    [Fact]
    public void Numbers_are_written_as_they_are_read()
    {
        Assert.Equal(
            "0180FFFEFFFE800000018000000180000000000000013FF800000000000000112233445566778899AABBCCDDEEFF",
            Written((ref KafkaWriter writer) =>
            {
                writer.WriteBoolean(true);
                writer.WriteInt8(-128);
                writer.WriteInt16(-2);
                writer.WriteUInt16(65534);
                writer.WriteInt32(int.MinValue + 1);
                writer.WriteUInt32(0x80000001);
                writer.WriteInt64(long.MinValue + 1);
                writer.WriteFloat64(1.5);
                writer.WriteUuid(Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"));
            }));
    }

    [Theory]
    [InlineData(0u, "00")]
    [InlineData(127u, "7F")]
    [InlineData(128u, "8001")]
    [InlineData(16384u, "808001")]
    [InlineData(uint.MaxValue, "FFFFFFFF0F")]
    public void Varints_have_the_lowest_seven_bits_first(uint value, string expected) =>
        Assert.Equal(expected, Written((ref KafkaWriter writer) => writer.WriteUnsignedVarint(value)));

    [Fact]
    public void Null_is_written_only_where_it_is_allowed()
    {
        Assert.Equal("FFFF00", Written((ref KafkaWriter writer) =>
        {
            writer.WriteString("f", null, compact: false, nullable: true);
            writer.WriteString("f", null, compact: true, nullable: true);
        }));
        Assert.Equal("FFFFFFFF00", Written((ref KafkaWriter writer) =>
        {
            writer.WriteRecords("f", RecordBytes.Null, compact: false, nullable: true);
            writer.WriteRecords("f", RecordBytes.Null, compact: true, nullable: true);
        }));
        AssertUnwritable("field", (ref KafkaWriter writer) => writer.WriteString("field", null, compact: true));
        AssertUnwritable("field", (ref KafkaWriter writer) => writer.WriteBytes("field", null, compact: true));
        AssertUnwritable("field", (ref KafkaWriter writer) => writer.WriteRecords("field", RecordBytes.Null, true, nullable: false));
        AssertUnwritable("field", (ref KafkaWriter writer) => writer.WriteCount("field", -1, compact: true));
        AssertUnwritable("field", (ref KafkaWriter writer) => writer.WritePresence("field", present: false, nullable: false));
    }

    [Fact]
    public void A_string_of_more_than_32767_bytes_is_not_written() => AssertUnwritable(
        "field",
        (ref KafkaWriter writer) => writer.WriteString("field", new string('ü', KafkaReader.MaxStringBytes / 2 + 1), compact: false));

    [Fact]
    public void What_may_be_lost_is_left_out_of_a_version_without_it()
    {
        var partition = new ProduceResponse.PartitionProduceResponse { Index = 1 };
        var response = new ProduceResponse { Responses = [new() { Name = "t", PartitionResponses = [partition] }] };
        short[] versions = [3, 8, 9, 10];
        string[] without = [.. versions.Select(version => Convert.ToHexString(Bytes(response, version)))];
        partition.RecordErrors = [new() { BatchIndex = 1 }];
        partition.CurrentLeader = new() { LeaderId = 1 };
        response.NodeEndpoints = [new() { NodeId = 1, Host = "h" }];
        string[] with = [.. versions.Select(version => Convert.ToHexString(Bytes(response, version)))];
        Assert.Equal(without[0], with[0]);
        Assert.NotEqual(without[1], with[1]);
        Assert.DoesNotContain("0268", with[2], StringComparison.Ordinal); // the host of an endpoint
        Assert.Contains("0268", with[3], StringComparison.Ordinal);
    }

    [Fact]
    public void What_must_not_be_lost_is_refused_in_a_version_without_it()
    {
        var producer = new InitProducerIdRequest { ProducerId = 5 };
        InvalidOperationException refused = Assert.Throws<InvalidOperationException>(() => Bytes(producer, 2));
        Assert.Equal("InitProducerIdRequest.ProducerId has a value that version 2 can't carry", refused.Message);
        Bytes(producer, 3);
        var metadata = new MetadataRequest { AllowAutoTopicCreation = false };
        Assert.Throws<InvalidOperationException>(() => Bytes(metadata, 3));
        Bytes(metadata, 4);
        Assert.Throws<InvalidOperationException>(() => Bytes(new MetadataRequest { Topics = null }, 0));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(12)]
    public void A_version_that_is_not_known_is_neither_read_nor_written(short version)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Bytes(new ProduceRequest(), version));
        Assert.Throws<ArgumentOutOfRangeException>(() =>
        {
            var reader = new KafkaReader(new byte[100]);
            ProduceRequest.Read(ref reader, version);
        });
    }

    [Fact]
    public void Records_of_a_source_keep_their_place_between_the_fields()
    {
        FetchResponse message = Response(new Pieces("AABB", "CC"), new Pieces());
        FetchResponse same = Response(new byte[] { 0xAA, 0xBB, 0xCC }, default);
        Assert.Equal(Convert.ToHexString(Bytes(same, 12)), Convert.ToHexString(Bytes(message, 12)));
        Assert.Throws<InvalidOperationException>(() => message.Responses[0].Partitions[0].Records.Memory);
    }

    [Fact]
    public void A_source_may_hand_its_memory_to_an_output_that_takes_it()
    {
        byte[] records = new Wire().Hex("AA BB CC").Bytes;
        var output = new SplicingOutput();
        var writer = new KafkaWriter(output);
        var message = new FetchResponse
        {
            Responses = [new() { Topic = "t", Partitions = [new() { Records = new Spliced(records) }] }],
        };
        message.Write(ref writer, 11);
        Assert.Same(records, Assert.Single(output.Splices).Bytes);
        Assert.Equal(output.Written.WrittenCount, output.Splices[0].Position);
        Assert.EndsWith("00000003", Convert.ToHexString(output.Written.WrittenSpan), StringComparison.Ordinal);
    }

    private static FetchResponse Response(RecordBytes first, RecordBytes second) => new()
    {
        Responses =
        [
            new()
            {
                Topic = "t",
                Partitions = [new() { PartitionIndex = 1, Records = first }, new() { PartitionIndex = 2, Records = second }],
            },
        ],
    };

    private static byte[] Bytes<T>(T message, short version)
        where T : IKafkaMessage<T>
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(output);
        message.Write(ref writer, version);
        return output.WrittenSpan.ToArray();
    }

    private delegate void Use(ref KafkaWriter writer);

    private static string Written(Use use)
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(output);
        use(ref writer);
        return Convert.ToHexString(output.WrittenSpan);
    }

    private static void AssertUnwritable(string field, Use use) =>
        Assert.Contains(field, Assert.Throws<InvalidOperationException>(() => Written(use)).Message, StringComparison.Ordinal);

    private sealed class Pieces(params string[] hex) : RecordsSource
    {
        public override int Size => hex.Sum(piece => piece.Length / 2);

        public override void WriteTo(IBufferWriter<byte> output)
        {
            foreach (string piece in hex)
            {
                output.Write(Convert.FromHexString(piece));
            }
        }
    }

    private sealed class Spliced(byte[] bytes) : RecordsSource
    {
        public override int Size => bytes.Length;

        public override void WriteTo(IBufferWriter<byte> output)
        {
            var splicing = (SplicingOutput)output;
            splicing.Splices.Add((splicing.Written.WrittenCount, bytes));
        }
    }

    private sealed class SplicingOutput : IBufferWriter<byte>
    {
        public ArrayBufferWriter<byte> Written { get; } = new();

        public List<(int Position, byte[] Bytes)> Splices { get; } = [];

        public void Advance(int count) => Written.Advance(count);

        public Memory<byte> GetMemory(int sizeHint = 0) => Written.GetMemory(sizeHint);

        public Span<byte> GetSpan(int sizeHint = 0) => Written.GetSpan(sizeHint);
    }
}
