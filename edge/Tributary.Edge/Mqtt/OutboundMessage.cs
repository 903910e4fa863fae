namespace Tributary.Edge.Mqtt;

/// <summary>A message on its way to one subscriber.</summary>
/// <param name="Message">The message, of which one reference belongs to this; null if it has to be read back from the journal.</param>
/// <param name="Qos">QoS that it is sent with.</param>
/// <param name="Retain">Whether it is sent with the retain flag.</param>
/// <param name="Identifier">Subscription identifier, 0 for none.</param>
/// <param name="MoreIdentifiers">Further ones, if several subscriptions matched; null for none.</param>
internal readonly record struct OutboundMessage(LocalMessage? Message, int Qos, bool Retain, uint Identifier, uint[]? MoreIdentifiers)
{
    /// <summary>Offset of its journal entry, −1 for none: it is sent after that is durable, and can be read back from there.</summary>
    public long Offset { get; init; } = -1;

    /// <summary>Offset of a journal entry that has to be durable too before it is sent, −1 for none.</summary>
    public long Gate { get; init; } = -1;

    /// <summary>Bytes of topic, properties and payload.</summary>
    public int Size { get; init; } = Message?.Length ?? 0;

    /// <summary>The shared subscription that it came by; null for none.</summary>
    public byte[]? Share { get; init; }

    /// <summary>Whether it was, or may have been, sent before.</summary>
    public bool IsDuplicate { get; init; }
}

/// <summary>A message that a session leaves to the other members of a shared subscription.</summary>
/// <param name="Sequence">Its number in the session, −1 for none.</param>
/// <param name="Message">The message, of which one reference belongs to this.</param>
internal readonly record struct LeftMessage(long Sequence, OutboundMessage Message);

/// <summary>What became of a message for a subscriber.</summary>
internal enum EnqueueResult
{
    Queued,

    /// <summary>The queue is full: QoS 0 is dropped.</summary>
    Dropped,

    /// <summary>The queue is full, and a QoS 1 message must not be dropped: the subscriber has to go.</summary>
    Overflow,

    /// <summary>The session has ended, or has no connection.</summary>
    Ended,
}

/// <summary>What is to be sent next.</summary>
internal enum OutboundKind
{
    /// <summary>Nothing at the moment.</summary>
    None,

    /// <summary>A PUBLISH.</summary>
    Message,

    /// <summary>A PUBREL.</summary>
    Release,
}

/// <summary>How far a message is.</summary>
internal enum OutboundState : byte
{
    /// <summary>It was never sent.</summary>
    Waiting,

    /// <summary>It was sent, or may have been, and is not acknowledged.</summary>
    Sent,

    /// <summary>PUBREC has come.</summary>
    Received,

    /// <summary>It is done with.</summary>
    Done,
}
