using System.Buffers;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Edge.Uplink;
using Xunit;

namespace Tributary.Tests.Kafka;

public sealed class FrameCheckTests
{
    [Fact]
    public void A_request_whose_byte_was_damaged_anywhere_is_no_request_of_one_that_sends_checksums()
    {
        var request = new InitProducerIdRequest { TransactionTimeoutMs = 12_345 };
        using RequestFrame frame = RequestFrame.Of(request, InitProducerIdRequest.MaxVersion, 17, "edge-1");
        byte[] whole = [.. frame.Pieces.SelectMany(piece => piece).Skip(4)];
        Assert.True(Holds(whole));
        for (int at = 0; at < whole.Length; at++)
        {
            foreach (byte flip in new byte[] { 1, 0x10, 0x80, 0xFF })
            {
                byte[] damaged = [.. whole];
                damaged[at] ^= flip;
                Assert.False(Holds(damaged), $"byte {at}");
            }
        }
    }

    [Fact]
    public void A_response_is_what_was_sent_with_its_correlation_id()
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(output);
        new ResponseHeader(17).Write(ref writer, flexible: true, isChecked: true);
        int at = output.WrittenCount - FrameCheck.Size;
        new InitProducerIdResponse { ProducerId = 4001 }.Write(ref writer, InitProducerIdResponse.MaxVersion);
        byte[] frame = output.WrittenSpan.ToArray();
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(at), Contracts.Records.Crc32C.Compute(frame));
        byte[] content = frame[4..];

        FrameCheck check = KafkaFrame.ReadCheck<InitProducerIdResponse>(content, InitProducerIdResponse.MaxVersion)!.Value;
        Assert.True(check.HoldsBehind(17, content));
        Assert.False(check.HoldsBehind(18, content));
        Assert.Equal(4001, KafkaFrame.ReadResponse<InitProducerIdResponse>(content, InitProducerIdResponse.MaxVersion).ProducerId);
        content[^1] ^= 1;
        Assert.False(check.HoldsBehind(17, content));
    }

    [Fact]
    public void Headers_without_one_have_none()
    {
        byte[] content = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Assert.Null(KafkaFrame.ReadCheck<InitProducerIdResponse>(content, InitProducerIdResponse.MaxVersion));
    }

    /// <summary>As a server sees it that knows that this client sends checksums.</summary>
    private static bool Holds(byte[] frame)
    {
        try
        {
            var reader = new KafkaReader(frame);
            var header = RequestHeader.ReadFixedPart(ref reader);
            return header.ReadRest(ref reader, flexible: true).Check is { } check && check.Holds(frame);
        }
        catch (KafkaProtocolException)
        {
            return false;
        }
    }
}
