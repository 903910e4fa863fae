using Tributary.Edge.Ingest;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>
/// A QoS 2 message that was taken and is not released: a PUBLISH with its packet identifier is that message again. It has up to two
/// sides, the record in its topic and the entry in the journal; after a crash, or a write that failed, one of them may be missing, and is
/// then made up for when the message comes again.
/// </summary>
internal sealed class Receipt(long number)
{
    /// <summary>Number in the session, which only grows; 0 in one that is not durable.</summary>
    public long Number { get; } = number;

    /// <summary>The stream of its record, null if the record is durable, or not there.</summary>
    public ICommitStream? Stream { get; set; }

    /// <summary>The record's number in the stream.</summary>
    public long StreamNumber { get; set; }

    /// <summary>Whether its record is durable, or not wanted, apart from <see cref="Stream"/>.</summary>
    public bool IsInTopic { get; set; }

    /// <summary>Offset of its entry in the journal; −1 if there is none.</summary>
    public long Offset { get; set; } = -1;

    /// <summary>
    /// Those who get it by shared subscriptions and have no durable session; null for none. They get it with the record, however often that
    /// has to be written.
    /// </summary>
    public List<Subscription>? Chosen { get; set; }

    /// <summary>Whether the record need not be written, again.</summary>
    public bool HasRecord => IsInTopic || Stream is { IsLost: false } || IsCommitted;

    /// <summary>Whether the record is known to be durable.</summary>
    public bool IsCommitted => IsInTopic || (Stream is { } stream && stream.Committed > StreamNumber);
}

/// <summary>
/// The QoS 2 messages of a session that are not released, by packet identifier. Of a durable session, used under the lock of the sessions;
/// of another one, by the reading side of its connection.
/// </summary>
internal sealed class Receipts
{
    private Dictionary<ushort, Receipt>? _pending;

    /// <summary>The number that the next one gets.</summary>
    public long Next { get; set; }

    /// <summary>Offset of the newest journal entry that released one, −1 for none.</summary>
    public long LastReleased { get; set; } = -1;

    /// <summary>Those that are not released.</summary>
    public int Count => _pending?.Count ?? 0;

    /// <summary>All of them.</summary>
    public IEnumerable<KeyValuePair<ushort, Receipt>> Pending => _pending ?? [];

    public Receipt? Find(ushort packetId) => _pending is not null && _pending.TryGetValue(packetId, out Receipt? receipt) ? receipt : null;

    /// <summary>A new one.</summary>
    public Receipt Add(ushort packetId, long number)
    {
        var receipt = new Receipt(number);
        (_pending ??= [])[packetId] = receipt;
        Next = Math.Max(Next, number + 1);
        return receipt;
    }

    /// <returns>What was released, null if it was not there.</returns>
    public Receipt? Remove(ushort packetId) => _pending is not null && _pending.Remove(packetId, out Receipt? receipt) ? receipt : null;

    /// <summary>Removes the one of that number, if it is there.</summary>
    public void Remove(ushort packetId, long number)
    {
        if (Find(packetId)?.Number == number)
        {
            _pending!.Remove(packetId);
        }
    }
}
