namespace Tributary.Contracts.Kafka;

/// <summary>An API of Kafka's protocol and the versions of it that are known here.</summary>
/// <param name="Key">Its number.</param>
/// <param name="Name">Its name.</param>
/// <param name="MinVersion">The lowest version that is known.</param>
/// <param name="MaxVersion">The highest version that is known.</param>
/// <param name="FirstFlexibleVersion">The first version in the compact encoding (KIP-482); <see cref="short.MaxValue"/> for none.</param>
public sealed record KafkaApi(short Key, string Name, short MinVersion, short MaxVersion, short FirstFlexibleVersion)
{
    private const short ApiVersionsKey = 18;

    /// <summary>Whether request bodies and headers of this version are in the compact encoding with tagged fields.</summary>
    public bool IsFlexible(short version) => version >= FirstFlexibleVersion;

    /// <summary>
    /// Whether response headers of this version have tagged fields. Those of ApiVersions never have: a client that doesn't know the
    /// broker's versions yet must understand them.
    /// </summary>
    public bool IsResponseHeaderFlexible(short version) => Key != ApiVersionsKey && IsFlexible(version);

    /// <summary>Checks that a version is known.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is not.</exception>
    public void CheckVersion(short version)
    {
        if (version < MinVersion || version > MaxVersion)
        {
            throw new ArgumentOutOfRangeException(nameof(version), version, $"{Name} is known in versions {MinVersion} to {MaxVersion}");
        }
    }

    /// <summary>The failure of a write that would lose a value, or send a null that can't be sent.</summary>
    internal static InvalidOperationException Unwritable(string field, short version) =>
        new($"{field} has a value that version {version} can't carry");
}

/// <summary>A request or response body.</summary>
public interface IKafkaMessage<TSelf>
    where TSelf : IKafkaMessage<TSelf>
{
    /// <summary>The API that it belongs to.</summary>
    static abstract KafkaApi Api { get; }

    /// <summary>Reads a body. Its bytes and records are slices of the frame.</summary>
    /// <exception cref="KafkaProtocolException">The bytes are no such message.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The version isn't known.</exception>
    static abstract TSelf Read(ref KafkaReader reader, short version);

    /// <summary>Writes the body.</summary>
    /// <exception cref="InvalidOperationException">
    /// A field can't be written in this version, and leaving it out would change the meaning.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">The version isn't known.</exception>
    void Write(ref KafkaWriter writer, short version);
}

/// <summary>
/// A request body, which has one kind of answer. What follows it in the frame is ignored, as by Kafka: librdkafka sends Metadata for all
/// topics with three bytes too many (its issue 5049).
/// </summary>
public interface IKafkaRequest<TSelf, TResponse> : IKafkaMessage<TSelf>
    where TSelf : IKafkaRequest<TSelf, TResponse>
    where TResponse : IKafkaMessage<TResponse>;
