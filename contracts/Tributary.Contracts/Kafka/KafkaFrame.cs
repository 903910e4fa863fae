using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Tributary.Contracts.Kafka;

/// <summary>A client's side of the protocol: a request as a frame (int32 length, header, body), a response's body out of one.</summary>
public static class KafkaFrame
{
    private const int LengthSize = sizeof(int);
    private const int DefaultCapacity = 256;

    /// <summary>A request as it goes over the connection, its length included. Records are copied into it.</summary>
    /// <param name="request">The body.</param>
    /// <param name="version">The version to send.</param>
    /// <param name="correlationId">What the response will repeat.</param>
    /// <param name="clientId">What the client calls itself.</param>
    /// <param name="sizeHint">About how many bytes it will have, to spare copies.</param>
    /// <exception cref="InvalidOperationException">The request can't be written in this version.</exception>
    public static ReadOnlyMemory<byte> WriteRequest<TRequest>(
        TRequest request, short version, int correlationId, string? clientId, int sizeHint = DefaultCapacity)
        where TRequest : IKafkaMessage<TRequest>
    {
        var output = new ArrayBufferWriter<byte>(Math.Max(sizeHint, DefaultCapacity));
        var writer = new KafkaWriter(output);
        writer.WriteInt32(0);
        new RequestHeader(TRequest.Api.Key, version, correlationId, clientId).Write(ref writer, TRequest.Api.IsFlexible(version));
        request.Write(ref writer, version);
        BinaryPrimitives.WriteInt32BigEndian(MemoryMarshal.AsMemory(output.WrittenMemory).Span, output.WrittenCount - LengthSize);
        return output.WrittenMemory;
    }

    /// <summary>Reads a response. Its bytes and records are slices of <paramref name="content"/>.</summary>
    /// <param name="content">The response's frame from behind the correlation id on.</param>
    /// <param name="version">The version of the request.</param>
    /// <exception cref="KafkaProtocolException">The bytes are no such response.</exception>
    public static TResponse ReadResponse<TResponse>(ReadOnlyMemory<byte> content, short version)
        where TResponse : IKafkaMessage<TResponse>
    {
        var reader = new KafkaReader(content);
        if (TResponse.Api.IsResponseHeaderFlexible(version))
        {
            reader.SkipTaggedFields("ResponseHeader");
        }
        return TResponse.Read(ref reader, version);
    }
}
