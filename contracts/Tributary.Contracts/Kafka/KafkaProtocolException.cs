namespace Tributary.Contracts.Kafka;

/// <summary>Bytes that are no message of Kafka's protocol. Nothing else is thrown because of what was received.</summary>
public sealed class KafkaProtocolException : Exception
{
    /// <summary>Says what is wrong with which field.</summary>
    /// <param name="field">The field with its path, as in <c>ProduceRequest.TopicData.Name</c>.</param>
    /// <param name="position">Where in the frame it was found, bytes from the frame's start.</param>
    /// <param name="problem">What is wrong, as a part of a sentence.</param>
    public KafkaProtocolException(string field, int position, string problem)
        : base($"{field} at byte {position} {problem}")
    {
        Field = field;
        Position = position;
    }

    /// <summary>The field with its path.</summary>
    public string Field { get; }

    /// <summary>Where it was found, bytes from the frame's start.</summary>
    public int Position { get; }
}
