namespace Tributary.Edge.Ingest;

/// <summary>
/// Where PUBLISH messages go: routed, gathered, appended, and committed by the next flush. Callable from any thread.
/// </summary>
internal interface IIngest
{
    /// <summary>Whether more may be accepted; a connection that gets false stops reading until <see cref="WaitForRoomAsync"/>.</summary>
    bool HasRoom { get; }

    /// <summary>Completes when <see cref="HasRoom"/> is true.</summary>
    ValueTask WaitForRoomAsync(CancellationToken cancellation);

    /// <summary>What of a client ingest needs to know again and again, made once for each connection.</summary>
    IngestClient Connect(string clientId);

    /// <summary>
    /// Takes one message: copies it, and calls <paramref name="listener"/> after a flush that covers it. Messages of one client are
    /// stored in the order of the calls. One that its route drops or filters is taken too, and not stored: there is nothing to wait for.
    /// </summary>
    /// <returns>Where it stands and its number there, or why it was refused.</returns>
    IngestTicket Accept(IngestClient client, in IngestMessage message, ICommitListener listener);
}

/// <summary>One message, in the buffer of its connection: valid during the call only.</summary>
/// <param name="topic">MQTT topic name, valid UTF-8, without wildcards.</param>
/// <param name="payload">The payload as sent.</param>
internal readonly ref struct IngestMessage(ReadOnlySpan<byte> topic, ReadOnlySpan<byte> payload)
{
    /// <summary>MQTT topic name.</summary>
    public ReadOnlySpan<byte> Topic { get; } = topic;

    /// <summary>The payload as sent.</summary>
    public ReadOnlySpan<byte> Payload { get; } = payload;

    /// <summary>Properties of MQTT 5 as published, checked; empty for none.</summary>
    public ReadOnlySpan<byte> Properties { get; init; }

    /// <summary>One more header, encoded, that the record gets as its last one; empty for none.</summary>
    public ReadOnlySpan<byte> Header { get; init; }
}

/// <summary>A stream of accepted messages that are committed in their order. Numbers begin at 0 with the process.</summary>
internal interface ICommitStream
{
    /// <summary>Messages with a smaller number are durable. Only grows; read from any thread.</summary>
    long Committed { get; }

    /// <summary>Whether it has ended: what is not committed never will be.</summary>
    bool IsLost => false;
}

/// <summary>Hears that a stream in which it has messages moved on. Called on the writer thread: must be quick and not throw.</summary>
internal interface ICommitListener
{
    /// <summary>
    /// <see cref="ICommitStream.Committed"/> of a stream grew. Called at least once after the flush of each accepted message.
    /// </summary>
    void OnCommitted(ICommitStream stream);

    /// <summary>
    /// Messages of the stream that are not committed are lost: none of them may be acknowledged, now or later. The connection is closed,
    /// so that its client sends them again.
    /// </summary>
    void OnLost(ICommitStream stream, string reason);
}

/// <summary>Why a message was not taken.</summary>
internal enum IngestRefusal
{
    /// <summary>It was.</summary>
    None,

    /// <summary>
    /// Larger than the buffer takes; MQTT 5: 0x83 implementation specific error, since 0x95 packet too large may not stand in a PUBACK.
    /// </summary>
    TooLarge,

    /// <summary>The disk or the quota is full; MQTT 5: 0x97 quota exceeded.</summary>
    Full,

    /// <summary>The local partition is offline; MQTT 5: 0x80 unspecified error.</summary>
    Offline,
}

/// <summary>
/// The outcome of <see cref="IIngest.Accept"/>: acknowledge when <c>Stream.Committed &gt; Number</c>; at once if there is no stream and no
/// refusal, since the message is not to be stored.
/// </summary>
internal readonly record struct IngestTicket(ICommitStream? Stream, long Number, IngestRefusal Refusal)
{
    /// <summary>Of a message that is taken, and that no route wants stored.</summary>
    public static readonly IngestTicket NotStored = new(null, -1, IngestRefusal.None);
}
