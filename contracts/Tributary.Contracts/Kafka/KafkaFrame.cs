namespace Tributary.Contracts.Kafka;

/// <summary>A client's side of the protocol: a response's body out of its frame.</summary>
public static class KafkaFrame
{
    /// <summary>Reads a response. Its bytes and records are slices of <paramref name="content"/>.</summary>
    /// <param name="content">The response's frame from behind the correlation id on.</param>
    /// <param name="version">The version of the request.</param>
    /// <exception cref="KafkaProtocolException">The bytes are no such response.</exception>
    public static TResponse ReadResponse<TResponse>(ReadOnlyMemory<byte> content, short version)
        where TResponse : IKafkaMessage<TResponse>
    {
        var reader = new KafkaReader(content);
        ReadHeader<TResponse>(ref reader, version);
        return TResponse.Read(ref reader, version);
    }

    /// <summary>Reads the checksum of a response.</summary>
    /// <param name="content">The response's frame from behind the correlation id on.</param>
    /// <param name="version">The version of the request.</param>
    /// <returns>Null without one.</returns>
    /// <exception cref="KafkaProtocolException">The bytes are no response.</exception>
    public static FrameCheck? ReadCheck<TResponse>(ReadOnlyMemory<byte> content, short version)
        where TResponse : IKafkaMessage<TResponse>
    {
        var reader = new KafkaReader(content);
        return ReadHeader<TResponse>(ref reader, version);
    }

    private static FrameCheck? ReadHeader<TResponse>(ref KafkaReader reader, short version)
        where TResponse : IKafkaMessage<TResponse> =>
        TResponse.Api.IsResponseHeaderFlexible(version) ? FrameCheck.Read(ref reader, "ResponseHeader") : null;
}
