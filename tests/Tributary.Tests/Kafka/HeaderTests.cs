using System.Buffers;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Kafka.Golden;
using Xunit;

namespace Tributary.Tests.Kafka;

public sealed class HeaderTests
{
    [Theory]
    [InlineData(false, "edge-1")]
    [InlineData(true, "edge-1")]
    [InlineData(false, null)]
    [InlineData(true, null)]
    public void A_request_header_has_a_classic_client_id_in_both_versions(bool flexible, string? clientId)
    {
        Wire wire = new Wire().Int16(3).Int16(9).Int32(0x01020304);
        wire = clientId is null ? wire.NullString() : wire.String(clientId);
        byte[] bytes = (flexible ? wire.NoTags() : wire).Bytes;
        var header = new RequestHeader(3, 9, 0x01020304, clientId);
        var output = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(output);
        header.Write(ref writer, flexible);
        Assert.Equal(bytes, output.WrittenSpan.ToArray());
        var reader = new KafkaReader(bytes);
        RequestHeader read = RequestHeader.ReadFixedPart(ref reader);
        Assert.Equal(header with { ClientId = null }, read);
        Assert.Equal(header, read.ReadRest(ref reader, flexible));
        reader.ExpectEnd("header");
    }

    [Fact]
    public void Tagged_fields_of_headers_are_skipped()
    {
        var request = new KafkaReader(
            new Wire().Int16(3).Int16(9).Int32(4).String("c").Tags((0, new Wire().Int64(1)), (9, new Wire())).Bytes);
        Assert.Equal("c", RequestHeader.ReadFixedPart(ref request).ReadRest(ref request, flexible: true).ClientId);
        request.ExpectEnd("header");
        var response = new KafkaReader(new Wire().Int32(4).Tags((7, new Wire().Int8(1))).Bytes);
        Assert.Equal(4, ResponseHeader.Read(ref response, flexible: true).CorrelationId);
        response.ExpectEnd("header");
    }

    [Theory]
    [InlineData(false, "01020304")]
    [InlineData(true, "0102030400")]
    public void A_response_header_is_the_correlation_id(bool flexible, string expected)
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(output);
        new ResponseHeader(0x01020304).Write(ref writer, flexible);
        Assert.Equal(expected, Convert.ToHexString(output.WrittenSpan));
        var reader = new KafkaReader(output.WrittenMemory);
        Assert.Equal(0x01020304, ResponseHeader.Read(ref reader, flexible).CorrelationId);
        reader.ExpectEnd("header");
    }

    [Fact]
    public void The_response_header_of_ApiVersions_is_never_flexible()
    {
        Assert.True(ApiVersionsRequest.Api.IsFlexible(3));
        Assert.False(ApiVersionsRequest.Api.IsResponseHeaderFlexible(3));
        Assert.False(MetadataResponse.Api.IsResponseHeaderFlexible(8));
        Assert.True(MetadataResponse.Api.IsResponseHeaderFlexible(9));
    }

    [Fact]
    public void A_request_frame_is_length_header_and_body()
    {
        var request = new MetadataRequest { Topics = null };
        byte[] frame = TestClient.Frame(TestClient.Encode(request, 12, correlationId: 77, clientId: "edge"));
        byte[] expected = new Wire()
            .Int32(2 + 2 + 4 + 6 + 1 + 4)
            .Int16(3).Int16(12).Int32(77).String("edge").NoTags()
            .CompactNull().Int8(1).Int8(0).NoTags()
            .Bytes;
        Assert.Equal(expected, frame);
    }

    [Fact]
    public void A_response_is_read_from_behind_the_correlation_id()
    {
        byte[] flexible = new Wire().Tags((5, new Wire().Int8(1))).Int32(3).Int16(0).Int64(4001).Int16(2).NoTags().Bytes;
        Assert.Equal(4001, KafkaFrame.ReadResponse<InitProducerIdResponse>(flexible, 4).ProducerId);
        byte[] classic = new Wire().Int32(3).Int16(0).Int64(4002).Int16(2).Bytes;
        Assert.Equal(4002, KafkaFrame.ReadResponse<InitProducerIdResponse>(classic, 1).ProducerId);
        byte[] versions = new Wire().Int16(0).CompactArray(0).Int32(9).NoTags().Bytes;
        Assert.Equal(9, KafkaFrame.ReadResponse<ApiVersionsResponse>(versions, 3).ThrottleTimeMs);
    }
}
