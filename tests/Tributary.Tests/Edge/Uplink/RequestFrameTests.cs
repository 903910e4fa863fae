using System.Buffers;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Edge.Uplink;
using Tributary.Tests.Broker.Support;
using Xunit;

namespace Tributary.Tests.Edge.Uplink;

public sealed class RequestFrameTests
{
    [Theory]
    [InlineData(7)]
    [InlineData(9)]
    [InlineData(11)]
    public void A_request_of_pieces_has_the_bytes_of_one_that_was_copied(short version)
    {
        byte[][] batches = [[.. Enumerable.Range(0, 100).Select(i => (byte)i)], new byte[5000], [1]];
        using RequestFrame frame = RequestFrame.Of(
            Request([.. batches.Select((bytes, i) => (RecordBytes)new BatchRecords(Batch(i, bytes)))]), version, 17, "edge-1");

        byte[] copied = WithCheck(Copied(Request([.. batches.Select(bytes => (RecordBytes)bytes)]), version, 17), version >= ProduceRequest.FirstFlexibleVersion);

        Assert.Equal(copied, frame.Pieces.SelectMany(piece => piece));
        Assert.Equal(copied.Length, frame.Size);
    }

    [Fact]
    public void The_bytes_of_a_batch_are_not_copied()
    {
        byte[] pooled = ArrayPool<byte>.Shared.Rent(64);
        var batch = new RoundBatch(0, 0, 1, 0, 0, pooled, 60);
        using RequestFrame frame = RequestFrame.Of(Request([new BatchRecords(batch)]), ProduceRequest.MaxVersion, 1, "edge-1");

        Assert.Contains(frame.Pieces, piece => ReferenceEquals(piece.Array, pooled) && piece.Count == 60);
    }

    [Fact]
    public void Names_longer_than_a_piece_are_whole()
    {
        var request = new MetadataRequest { Topics = [new MetadataRequest.MetadataRequestTopic { Name = new string('x', 3000) }] };
        using RequestFrame frame = RequestFrame.Of(request, MetadataRequest.MaxVersion, 1, "edge-1");

        Assert.Equal(WithCheck(Copied(request, MetadataRequest.MaxVersion, 1), isFlexible: true), frame.Pieces.SelectMany(piece => piece));
    }

    /// <summary>The same frame with the checksum that the edge puts into the tagged fields of the header.</summary>
    private static byte[] WithCheck(byte[] frame, bool isFlexible)
    {
        if (!isFlexible)
        {
            return frame;
        }
        const int tags = 4 + 8 + 2 + 6; // length, API, version and correlation id, "edge-1"
        byte[] whole = [.. frame[..tags], 1, 0x91, 0x4E, 4, 0, 0, 0, 0, .. frame[(tags + 1)..]];
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(whole, whole.Length - 4);
        uint crc = Contracts.Records.Crc32C.Compute(whole.AsSpan(4));
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(whole.AsSpan(tags + 4), crc);
        return whole;
    }

    private static byte[] Copied<TRequest, TResponse>(IKafkaRequest<TRequest, TResponse> request, short version, int correlationId)
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse> =>
        TestClient.Frame(TestClient.Encode(request, version, correlationId, "edge-1"));

    private static ProduceRequest Request(RecordBytes[] records) => new()
    {
        Acks = -1,
        TimeoutMs = 1000,
        TopicData =
        [
            new ProduceRequest.TopicProduceData
            {
                Name = "telemetry",
                PartitionData = [.. records.Select((bytes, i) => new ProduceRequest.PartitionProduceData { Index = i, Records = bytes })],
            },
        ],
    };

    private static RoundBatch Batch(int target, byte[] bytes)
    {
        byte[] pooled = ArrayPool<byte>.Shared.Rent(bytes.Length);
        bytes.CopyTo(pooled, 0);
        return new RoundBatch(target, 0, 1, 0, 0, pooled, bytes.Length);
    }
}
