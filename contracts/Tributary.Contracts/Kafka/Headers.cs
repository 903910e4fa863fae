namespace Tributary.Contracts.Kafka;

/// <summary>
/// The header of a request: version 1, or version 2 with tagged fields when the API's version is flexible. The client id has the classic
/// encoding in both, so that a server can read it without knowing the version.
/// </summary>
/// <param name="ApiKey">The API's number.</param>
/// <param name="ApiVersion">The version of the request and of its response.</param>
/// <param name="CorrelationId">What the response repeats.</param>
/// <param name="ClientId">What the client calls itself.</param>
/// <param name="Check">Checksum of the frame that it was read from; null without one.</param>
public readonly record struct RequestHeader(short ApiKey, short ApiVersion, int CorrelationId, string? ClientId, FrameCheck? Check = null)
{
    /// <summary>Reads the part that is the same in all versions; <see cref="ClientId"/> stays null.</summary>
    /// <exception cref="KafkaProtocolException">The bytes end early.</exception>
    public static RequestHeader ReadFixedPart(ref KafkaReader reader) => new(
        reader.ReadInt16("RequestHeader.ApiKey"),
        reader.ReadInt16("RequestHeader.ApiVersion"),
        reader.ReadInt32("RequestHeader.CorrelationId"),
        null);

    /// <summary>Reads what follows the fixed part. The body comes next.</summary>
    /// <param name="reader">Where <see cref="ReadFixedPart"/> left it.</param>
    /// <param name="flexible">Whether the API's version is flexible.</param>
    /// <exception cref="KafkaProtocolException">The bytes are no header.</exception>
    public RequestHeader ReadRest(ref KafkaReader reader, bool flexible)
    {
        string? clientId = reader.ReadString("RequestHeader.ClientId", compact: false, nullable: true);
        return this with { ClientId = clientId, Check = flexible ? FrameCheck.Read(ref reader, "RequestHeader") : null };
    }

    /// <summary>Writes the header.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="flexible">Whether the API's version is flexible.</param>
    /// <param name="isChecked">Whether it ends with an empty <see cref="FrameCheck"/>, if it is flexible.</param>
    public void Write(ref KafkaWriter writer, bool flexible, bool isChecked = false)
    {
        writer.WriteInt16(ApiKey);
        writer.WriteInt16(ApiVersion);
        writer.WriteInt32(CorrelationId);
        writer.WriteString("RequestHeader.ClientId", ClientId, compact: false, nullable: true);
        if (flexible && isChecked)
        {
            FrameCheck.WriteEmpty(ref writer);
        }
        else if (flexible)
        {
            writer.WriteUnsignedVarint(0);
        }
    }
}

/// <summary>
/// The header of a response: version 0, or version 1 with tagged fields; <see cref="KafkaApi.IsResponseHeaderFlexible"/> says which.
/// </summary>
/// <param name="CorrelationId">That of the request.</param>
public readonly record struct ResponseHeader(int CorrelationId)
{
    /// <summary>Reads the header. The body comes next.</summary>
    /// <exception cref="KafkaProtocolException">The bytes are no header.</exception>
    public static ResponseHeader Read(ref KafkaReader reader, bool flexible)
    {
        var header = new ResponseHeader(reader.ReadInt32("ResponseHeader.CorrelationId"));
        if (flexible)
        {
            reader.SkipTaggedFields("ResponseHeader");
        }
        return header;
    }

    /// <summary>Writes the header.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="flexible">Whether it has tagged fields.</param>
    /// <param name="isChecked">Whether it ends with an empty <see cref="FrameCheck"/>, if it is flexible.</param>
    public void Write(ref KafkaWriter writer, bool flexible, bool isChecked = false)
    {
        writer.WriteInt32(CorrelationId);
        if (flexible && isChecked)
        {
            FrameCheck.WriteEmpty(ref writer);
        }
        else if (flexible)
        {
            writer.WriteUnsignedVarint(0);
        }
    }
}
