namespace Tributary.Edge.Mqtt;

/// <summary>
/// The messages on their way to a subscriber, from when they are queued until they are acknowledged, in the order of their sequence
/// numbers.
/// <para>Invariants: messages are sent in their order, after a reconnect from the first one that is not acknowledged on; at most a window
/// of them is sent and not acknowledged in one connection; a message's packet identifier follows from its sequence number, so it is the
/// same after a crash, and no two of those that are not acknowledged have the same; nothing is sent before its journal entry is durable,
/// and no PUBREL before the entry of its PUBREC is.</para>
/// <para>Threads: any; one lock, under which nothing else is called. Of a durable session, changes of what is in the journal are made
/// under the lock of the sessions. It holds what its session would lose in a crash only if that is not durable.</para>
/// </summary>
/// <param name="maxBytes">Most bytes of messages that wait in memory.</param>
/// <param name="maxDeliveryBytes">Most bytes that are kept for all subscribers.</param>
/// <param name="metrics">Counts them.</param>
internal sealed partial class OutboundQueue(int maxBytes, long maxDeliveryBytes, MqttMetrics metrics)
{
    /// <summary>What an entry takes beside the message, about.</summary>
    public const int EntryBytes = 64;

    /// <summary>The same for one that is stored, which may be there for long, with what the queue keeps free.</summary>
    public const int StoredBytesOfEntry = 96;

    /// <summary>Stored messages that each session may have, however much the others have.</summary>
    public const int GuaranteedMessages = 16;

    /// <summary>Packet identifiers: 1 to this.</summary>
    private const int Identifiers = ushort.MaxValue;

    private readonly Lock _lock = new();

    // A ring of a power of two.
    private Slot[] _slots = [];
    private int _head;
    private int _count;
    private int _done;

    /// <summary>Index, from the head, of the next one to be sent in this connection.</summary>
    private int _next;
    private long _nextSequence;
    private object? _owner;
    private int _window;
    private int _outstanding;
    private long _bytes;
    private bool _isHeld;
    private long _held;
    private long _reserved;
    private long _storedMessages;
    private long _storedBytes;
    private Queue<long>? _releases;

    /// <summary>Messages of QoS 1 and 2 that are in the journal and not acknowledged.</summary>
    public long StoredMessages => Volatile.Read(ref _storedMessages);

    /// <summary>Bytes of them.</summary>
    public long StoredBytes => Volatile.Read(ref _storedBytes);

    /// <summary>The number that the next message of QoS 1 or 2 gets.</summary>
    public long NextSequence
    {
        get
        {
            lock (_lock)
            {
                return _nextSequence;
            }
        }
    }

    /// <summary>The packet identifier of a message.</summary>
    public static ushort PacketIdOf(long sequence) => (ushort)((sequence % Identifiers) + 1);

    /// <summary>A connection takes over: whatever is not acknowledged is sent again, from the beginning.</summary>
    /// <param name="owner">The connection.</param>
    /// <param name="window">Most messages of QoS 1 and 2 sent to it and not acknowledged.</param>
    public void Begin(object owner, int window)
    {
        lock (_lock)
        {
            (_owner, _window, _next, _outstanding, _isHeld) = (owner, window, 0, 0, false);
            _releases?.Clear();
            for (int i = 0; i < _count; i++)
            {
                (At(i).IsInWindow, At(i).IsReleasing) = (false, false);
            }
        }
    }

    /// <summary>
    /// Gives nothing out until it is let go: what a new subscription brings comes after the answer to it. Whoever takes a message looks for
    /// answers first.
    /// </summary>
    public void Hold(object owner, bool isHeld)
    {
        lock (_lock)
        {
            _isHeld = ReferenceEquals(owner, _owner) ? isHeld : _isHeld;
        }
    }

    /// <summary>The connection is gone: what is in the journal stays, all else is dropped.</summary>
    public void Detach(object owner)
    {
        lock (_lock)
        {
            if (ReferenceEquals(_owner, owner))
            {
                _owner = null;
                DropWhatIsNotStored();
            }
        }
    }

    /// <summary>Drops everything and takes nothing more.</summary>
    public void End()
    {
        lock (_lock)
        {
            _owner = null;
            for (int i = 0; i < _count; i++)
            {
                Finish(ref At(i));
            }
            Trim();
            _slots = [];
            _releases = null;
        }
    }

    /// <summary>
    /// Takes nothing more, and tells what the session leaves of shared subscriptions: what was not sent, or with QoS 1 and not acknowledged.
    /// What may have been sent with QoS 2 may not go to anybody else [MQTT-4.8.2-5]. <see cref="End"/> follows.
    /// </summary>
    public List<LeftMessage> TakeShared()
    {
        lock (_lock)
        {
            _owner = null;
            var left = new List<LeftMessage>();
            for (int i = 0; i < _count; i++)
            {
                ref Slot slot = ref At(i);
                if (MayLeave(slot))
                {
                    slot.Message.Message?.Share();
                    left.Add(new LeftMessage(slot.Sequence, slot.Message));
                }
            }
            return left;
        }
    }

    /// <summary>
    /// Takes out what waits by a shared subscription that the client has no more, as <see cref="TakeShared"/> says. What was sent in this
    /// connection stays: its answer may be on its way.
    /// </summary>
    public List<LeftMessage> TakeWaiting(ReadOnlySpan<byte> share)
    {
        lock (_lock)
        {
            var left = new List<LeftMessage>();
            for (int i = 0; i < _count; i++)
            {
                ref Slot slot = ref At(i);
                if (!slot.IsInWindow && MayLeave(slot) && share.SequenceEqual(slot.Message.Share))
                {
                    slot.Message.Message?.Share();
                    left.Add(new LeftMessage(slot.Sequence, slot.Message));
                    Finish(ref slot);
                }
            }
            Trim();
            return left;
        }
    }

    /// <summary>
    /// Offset of the oldest journal entry that is needed for a message which is not the session's own there, but was passed on to it;
    /// <see cref="long.MaxValue"/> for none.
    /// </summary>
    public long OldestLent()
    {
        lock (_lock)
        {
            long oldest = long.MaxValue;
            for (int i = 0; i < _count; i++)
            {
                ref Slot slot = ref At(i);
                if (slot is { IsStored: false, State: not OutboundState.Done, Message: { Message: null, Offset: >= 0 } })
                {
                    oldest = Math.Min(oldest, slot.Message.Offset);
                }
            }
            return oldest;
        }
    }

    /// <summary>Adds a message that is not the session's in the journal, for as long as the connection lasts.</summary>
    /// <param name="message">The message; a reference is added if it is queued. One that stands in the journal may be without.</param>
    /// <param name="isBounded">
    /// Whether it counts in the bytes of the queue, which are limited. Retained messages, and what others
    /// have left, come all at once and are in memory anyhow: they don't, or the next message would be too much, and are dropped when half of
    /// the memory of all queues is used.
    /// </param>
    public EnqueueResult TryEnqueue(in OutboundMessage message, bool isBounded = true)
    {
        lock (_lock)
        {
            if (_owner is null)
            {
                return EnqueueResult.Ended;
            }
            int size = (message.Message is null ? 0 : message.Size) + EntryBytes;
            if (!isBounded && metrics.DeliveryBytes > maxDeliveryBytes / 2)
            {
                return EnqueueResult.Dropped; // the other half is left to those who must not lose anything
            }
            if ((isBounded && _bytes > 0 && _bytes + size > maxBytes) || !TryTakePlace())
            {
                return message.Qos == 0 || !isBounded ? EnqueueResult.Dropped : EnqueueResult.Overflow;
            }
            ref Slot slot = ref Add(message);
            (slot.HasPlace, slot.IsExtra) = (true, !isBounded);
            if (message.Message is not null)
            {
                _bytes += isBounded ? size : 0;
                message.Message.Share();
            }
            return EnqueueResult.Queued;
        }
    }

    /// <summary>
    /// Whether a message that is going to be in the journal has room. Its place is taken; <see cref="Store"/> follows, in the same order,
    /// and nothing else that gets a number comes between.
    /// </summary>
    /// <param name="size">Bytes of the message.</param>
    /// <param name="limits">What may be stored for a session, and for all.</param>
    /// <param name="sequence">The message's number.</param>
    public bool TryReserve(int size, MqttOptions limits, out long sequence)
    {
        lock (_lock)
        {
            sequence = _nextSequence + _reserved;
            if (_storedMessages >= limits.MaxQueuedMessages || (_storedMessages > 0 && _storedBytes + size > limits.MaxQueuedBytes))
            {
                return false;
            }
            if (metrics.QueueMemory(StoredBytesOfEntry) <= limits.MaxQueueMemoryBytes || _storedMessages < GuaranteedMessages)
            {
                _reserved++;
                return true;
            }
            metrics.QueueMemory(-StoredBytesOfEntry);
            return false;
        }
    }

    /// <summary>Adds a message of QoS 1 or 2 that is in the journal. It is kept in memory if its reader is here and not behind.</summary>
    /// <param name="sequence">Its number. Those that were left out belong to entries that can't be read.</param>
    /// <param name="message">The message; a reference is added if it is kept.</param>
    /// <param name="isReserved">Whether its place was taken.</param>
    /// <param name="state">How far it is: beyond waiting only what is read from a snapshot.</param>
    public void Store(long sequence, in OutboundMessage message, bool isReserved, OutboundState state = OutboundState.Waiting)
    {
        lock (_lock)
        {
            if (isReserved)
            {
                _reserved--;
            }
            else
            {
                metrics.QueueMemory(StoredBytesOfEntry);
            }
            _nextSequence = Math.Max(_nextSequence, sequence);
            // It can be read back, so it leaves memory to those whose messages can't.
            bool isKept = message.Message is not null && _owner is not null && _bytes + message.Size + EntryBytes <= maxBytes
                && metrics.DeliveryBytes <= maxDeliveryBytes / 2;
            if (isKept)
            {
                message.Message!.Share();
                _bytes += message.Size + EntryBytes;
            }
            ref Slot slot = ref Add(isKept ? message : message with { Message = null });
            (slot.IsStored, slot.State) = (true, state);
            _storedMessages++;
            _storedBytes += message.Size;
        }
    }

    /// <summary>Sets the number that the next message gets. Only while a snapshot is read.</summary>
    public void SkipTo(long sequence)
    {
        lock (_lock)
        {
            _nextSequence = Math.Max(_nextSequence, sequence);
        }
    }

    /// <summary>The first ones may have been sent before a crash.</summary>
    public void MarkSent(int count)
    {
        lock (_lock)
        {
            for (int i = 0; i < _count && count > 0; i++)
            {
                ref Slot slot = ref At(i);
                count -= slot.State == OutboundState.Done ? 0 : 1;
                slot.State = slot.State == OutboundState.Waiting ? OutboundState.Sent : slot.State;
            }
        }
    }

    /// <summary>Takes what is to be sent next.</summary>
    /// <param name="owner">The connection that asks; it gets nothing if another one has taken over.</param>
    /// <param name="flushed">The offset before which the journal is durable.</param>
    /// <param name="message">The message; the caller releases it.</param>
    /// <param name="packetId">Packet identifier, 0 for QoS 0.</param>
    public OutboundKind TryTake(object owner, long flushed, out OutboundMessage message, out ushort packetId)
    {
        message = default;
        packetId = 0;
        lock (_lock)
        {
            if (_isHeld || !ReferenceEquals(owner, _owner))
            {
                return OutboundKind.None;
            }
            if (TryTakeRelease(flushed, out packetId))
            {
                return OutboundKind.Release;
            }
            while (_next < _count)
            {
                ref Slot slot = ref At(_next);
                if (slot.State == OutboundState.Done)
                {
                    _next++;
                    continue;
                }
                return slot.State == OutboundState.Received
                    ? TakeRelease(ref slot, flushed, out packetId)
                    : TakeMessage(ref slot, flushed, out message, out packetId);
            }
            return OutboundKind.None;
        }
    }

    /// <summary>Tells of messages that are in the journal and not done with, in their order.</summary>
    /// <param name="tell">Gets number, message and state.</param>
    /// <param name="from">The first number.</param>
    /// <param name="most">Most places that are looked at.</param>
    /// <returns>The number to go on with, <see cref="long.MaxValue"/> if there are no more.</returns>
    public long ForEachStored(Action<long, OutboundMessage, OutboundState> tell, long from = 0, int most = int.MaxValue)
    {
        lock (_lock)
        {
            int first = IndexAfter(from - 1);
            for (int i = first; i < _count; i++)
            {
                ref Slot slot = ref At(i);
                if (i - first >= most && slot.Sequence > At(i - 1).Sequence)
                {
                    return slot.Sequence;
                }
                if (slot.State != OutboundState.Done && slot.IsStored)
                {
                    tell(slot.Sequence, slot.Message, slot.State);
                }
            }
            return long.MaxValue;
        }
    }

    private static bool MayLeave(in Slot slot) => slot.Message is { Share: not null, Qos: > 0 }
        && (slot.State == OutboundState.Waiting || (slot.State == OutboundState.Sent && slot.Message.Qos == 1));

    private OutboundKind TakeMessage(ref Slot slot, long flushed, out OutboundMessage message, out ushort packetId)
    {
        message = default;
        packetId = 0;
        if (slot.Message.Offset >= flushed || slot.Message.Gate >= flushed
            || (slot.Message.Qos > 0 && (_outstanding >= _window || slot.Sequence - At(0).Sequence >= Identifiers)))
        {
            return OutboundKind.None;
        }
        message = slot.Message with { IsDuplicate = slot.State == OutboundState.Sent };
        if (message.Message is { } content)
        {
            _bytes -= slot.IsExtra ? 0 : message.Size + EntryBytes;
            if (!TryHold(ref slot, content))
            {
                slot.Message = slot.Message with { Message = null };
            }
        }
        FreePlace(ref slot);
        _next++;
        if (message.Qos == 0)
        {
            Finish(ref slot);
            Trim();
            return OutboundKind.Message;
        }
        packetId = PacketIdOf(slot.Sequence);
        slot.State = OutboundState.Sent;
        slot.IsInWindow = true;
        _outstanding++;
        return OutboundKind.Message;
    }
}
