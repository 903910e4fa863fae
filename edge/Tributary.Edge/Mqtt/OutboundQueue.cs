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
internal sealed class OutboundQueue(int maxBytes, long maxDeliveryBytes, MqttMetrics metrics)
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
    private long _held;
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
            (_owner, _window, _next, _outstanding) = (owner, window, 0, 0);
            _releases?.Clear();
            for (int i = 0; i < _count; i++)
            {
                (At(i).IsInWindow, At(i).IsReleasing) = (false, false);
            }
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
                if (slot.Message is { Share: not null, Qos: > 0 }
                    && (slot.State == OutboundState.Waiting || (slot.State == OutboundState.Sent && slot.Message.Qos == 1)))
                {
                    slot.Message.Message?.Share();
                    left.Add(new LeftMessage(slot.Sequence, slot.Message));
                }
            }
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
    /// Whether the bytes of the queue are limited: those of retained messages, which come all at once, only together with all others.
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
            if ((isBounded && _bytes > 0 && _bytes + size > maxBytes) || !TryTakePlace())
            {
                return message.Qos == 0 ? EnqueueResult.Dropped : EnqueueResult.Overflow;
            }
            if (message.Message is not null)
            {
                _bytes += size;
                message.Message.Share();
            }
            ref Slot slot = ref Add(message);
            slot.HasPlace = true;
            return EnqueueResult.Queued;
        }
    }

    /// <summary>Whether a message that is going to be in the journal has room. Its place is taken; <see cref="Store"/> follows.</summary>
    /// <param name="size">Bytes of the message.</param>
    /// <param name="limits">What may be stored for a session, and for all.</param>
    public bool TryReserve(int size, MqttOptions limits)
    {
        lock (_lock)
        {
            if (_storedMessages >= limits.MaxQueuedMessages || (_storedMessages > 0 && _storedBytes + size > limits.MaxQueuedBytes))
            {
                return false;
            }
            if (metrics.QueueMemory(StoredBytesOfEntry) <= limits.MaxQueueMemoryBytes || _storedMessages < GuaranteedMessages)
            {
                return true;
            }
            metrics.QueueMemory(-StoredBytesOfEntry);
            return false;
        }
    }

    /// <summary>Adds a message of QoS 1 or 2 that is in the journal. It is kept in memory if its reader is here and not behind.</summary>
    /// <param name="message">The message; a reference is added if it is kept.</param>
    /// <param name="isReserved">Whether its place was taken.</param>
    /// <param name="state">How far it is: beyond waiting only what is read from a snapshot.</param>
    public void Store(in OutboundMessage message, bool isReserved, OutboundState state = OutboundState.Waiting)
    {
        lock (_lock)
        {
            if (!isReserved)
            {
                metrics.QueueMemory(StoredBytesOfEntry);
            }
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
            for (int i = 0; i < Math.Min(count, _count); i++)
            {
                ref Slot slot = ref At(i);
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
            if (!ReferenceEquals(owner, _owner))
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

    /// <summary>PUBACK has come, or the message will never be sent, or PUBREC has refused it.</summary>
    /// <param name="packetId">Packet identifier.</param>
    /// <param name="qos">QoS that the answer is for.</param>
    /// <param name="sequence">The message's number.</param>
    /// <returns>False if no such message waits for it.</returns>
    public bool Acknowledge(ushort packetId, int qos, out long sequence)
    {
        lock (_lock)
        {
            int at = Find(packetId, out sequence);
            if (at < 0 || At(at).Message.Qos != qos || At(at).State != OutboundState.Sent)
            {
                return false;
            }
            Finish(ref At(at));
            Trim();
            return true;
        }
    }

    /// <summary>PUBREC has come. If it came before, PUBREL is sent again, once for however many there are.</summary>
    /// <param name="packetId">Packet identifier.</param>
    /// <param name="sequence">The message's number.</param>
    /// <param name="isFirst">Whether <see cref="SetReceived"/> has to follow.</param>
    /// <returns>False if no message waits for it.</returns>
    public bool CanReceive(ushort packetId, out long sequence, out bool isFirst)
    {
        isFirst = false;
        lock (_lock)
        {
            int at = Find(packetId, out sequence);
            if (at < 0 || At(at).Message.Qos != 2 || At(at).State is not (OutboundState.Sent or OutboundState.Received))
            {
                return false;
            }
            isFirst = At(at).State == OutboundState.Sent;
            if (!isFirst)
            {
                QueueRelease(ref At(at));
            }
            return true;
        }
    }

    /// <summary>The subscriber has the message: PUBREL follows when the journal is durable beyond <paramref name="gate"/>.</summary>
    public void SetReceived(long sequence, long gate)
    {
        lock (_lock)
        {
            int at = IndexOf(sequence);
            if (at < 0)
            {
                return;
            }
            ref Slot slot = ref At(at);
            if (slot.State is OutboundState.Waiting or OutboundState.Sent)
            {
                DropMemory(ref slot);
                slot.State = OutboundState.Received;
                slot.Message = slot.Message with { Gate = gate };
            }
            if (_owner is not null && at < _next)
            {
                QueueRelease(ref slot);
            }
        }
    }

    /// <summary>PUBCOMP has come.</summary>
    /// <returns>False if no message waits for it.</returns>
    public bool Complete(ushort packetId, out long sequence)
    {
        lock (_lock)
        {
            int at = Find(packetId, out sequence);
            if (at < 0 || At(at).State != OutboundState.Received)
            {
                return false;
            }
            Finish(ref At(at));
            Trim();
            return true;
        }
    }

    /// <summary>The message of that number is done with. Nothing happens if there is none.</summary>
    public void Remove(long sequence)
    {
        lock (_lock)
        {
            int at = IndexOf(sequence);
            if (at >= 0)
            {
                Finish(ref At(at));
                Trim();
            }
        }
    }

    /// <summary>Whether the message of that number is not done with.</summary>
    public bool Has(long sequence)
    {
        lock (_lock)
        {
            return IndexOf(sequence) >= 0;
        }
    }

    /// <summary>The message of that number stands at another offset of the journal now.</summary>
    public void Move(long sequence, long offset)
    {
        lock (_lock)
        {
            int at = IndexOf(sequence);
            if (at >= 0)
            {
                ref Slot slot = ref At(at);
                slot.Message = slot.Message with { Offset = offset };
            }
        }
    }

    /// <summary>Tells of all messages that are in the journal and not done with, in their order.</summary>
    public void ForEachStored(Action<long, OutboundMessage, OutboundState> tell)
    {
        lock (_lock)
        {
            for (int i = 0; i < _count; i++)
            {
                ref Slot slot = ref At(i);
                if (slot.State != OutboundState.Done && slot.IsStored)
                {
                    tell(slot.Sequence, slot.Message, slot.State);
                }
            }
        }
    }

    private void QueueRelease(ref Slot slot)
    {
        if (!slot.IsReleasing)
        {
            slot.IsReleasing = true;
            (_releases ??= new Queue<long>()).Enqueue(slot.Sequence);
        }
    }

    /// <summary>Takes the PUBREL of a message that was received in this connection.</summary>
    private bool TryTakeRelease(long flushed, out ushort packetId)
    {
        while (_releases is not null && _releases.TryPeek(out long sequence))
        {
            int at = IndexOf(sequence);
            if (at >= 0 && At(at).Message.Gate >= flushed)
            {
                break;
            }
            _releases.Dequeue();
            if (at >= 0)
            {
                At(at).IsReleasing = false;
                packetId = PacketIdOf(sequence);
                return true;
            }
        }
        packetId = 0;
        return false;
    }

    private OutboundKind TakeRelease(ref Slot slot, long flushed, out ushort packetId)
    {
        packetId = 0;
        if (slot.Message.Gate >= flushed)
        {
            return OutboundKind.None;
        }
        _next++;
        packetId = PacketIdOf(slot.Sequence);
        return OutboundKind.Release;
    }

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
            _bytes -= message.Size + EntryBytes;
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

    /// <summary>
    /// Keeps what was sent by a shared subscription and can't be read back, within a bound, until it is acknowledged: another member gets it
    /// if this one ends.
    /// </summary>
    private bool TryHold(ref Slot slot, LocalMessage content)
    {
        if (slot.IsStored || slot.Message is not { Share: not null, Qos: 1 } || _held + slot.Message.Size > maxBytes)
        {
            return false;
        }
        content.Share();
        _held += slot.Message.Size;
        slot.IsHeld = true;
        return true;
    }

    private ref Slot At(int index) => ref _slots[(_head + index) & (_slots.Length - 1)];

    private ref Slot Add(in OutboundMessage message)
    {
        if (_count == _slots.Length)
        {
            MakeRoom();
        }
        ref Slot slot = ref At(_count++);
        slot = new Slot { Message = message, Sequence = _nextSequence };
        if (message.Qos > 0)
        {
            _nextSequence++;
        }
        return ref slot;
    }

    /// <summary>A ring without those that are done with, if they are many, or a larger one.</summary>
    private void MakeRoom()
    {
        var slots = new Slot[_done * 2 >= _slots.Length && _slots.Length > 0 ? _slots.Length : Math.Max(8, _slots.Length * 2)];
        int kept = 0;
        int next = 0;
        for (int i = 0; i < _count; i++)
        {
            next = i == _next ? kept : next;
            if (At(i).State != OutboundState.Done)
            {
                slots[kept++] = At(i);
            }
        }
        _next = _next == _count ? kept : next;
        (_slots, _head, _count, _done) = (slots, 0, kept, 0);
    }

    /// <summary>A message's index by its packet identifier, among those that were sent; −1 for none.</summary>
    private int Find(ushort packetId, out long sequence)
    {
        sequence = -1;
        if (packetId == 0 || _count == 0)
        {
            return -1;
        }
        long first = At(0).Sequence;
        sequence = first + ((packetId - 1 - (first % Identifiers) + Identifiers) % Identifiers);
        int at = IndexOf(sequence);
        return at < _next ? at : -1;
    }

    /// <summary>
    /// A message's index by its number, −1 for none. QoS 0 messages have the number of the next one that gets its own, which stands behind
    /// them.
    /// </summary>
    private int IndexOf(long sequence)
    {
        int low = 0;
        int high = _count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (At(middle).Sequence <= sequence)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }
        return low > 0 && At(low - 1) is { Message.Qos: > 0 } slot && slot.Sequence == sequence && slot.State != OutboundState.Done
            ? low - 1 : -1;
    }

    private void Finish(ref Slot slot)
    {
        if (slot.State == OutboundState.Done)
        {
            return;
        }
        DropMemory(ref slot);
        FreePlace(ref slot);
        if (slot.IsInWindow)
        {
            slot.IsInWindow = false;
            _outstanding--;
        }
        if (slot.IsStored)
        {
            metrics.QueueMemory(-StoredBytesOfEntry);
            _storedMessages--;
            _storedBytes -= slot.Message.Size;
        }
        slot.Message = slot.Message with { MoreIdentifiers = null, Share = null };
        slot.State = OutboundState.Done;
        _done++;
    }

    private void DropMemory(ref Slot slot)
    {
        if (slot.Message.Message is { } message)
        {
            message.Release();
            if (slot.IsHeld)
            {
                _held -= slot.Message.Size;
            }
            else
            {
                _bytes -= slot.Message.Size + EntryBytes;
            }
            slot.Message = slot.Message with { Message = null };
            slot.IsHeld = false;
        }
    }

    private void DropWhatIsNotStored()
    {
        for (int i = 0; i < _count; i++)
        {
            ref Slot slot = ref At(i);
            if (slot.IsStored)
            {
                DropMemory(ref slot);
            }
            else
            {
                Finish(ref slot);
            }
        }
        Trim();
    }

    /// <summary>Forgets those at the front that are done with.</summary>
    private void Trim()
    {
        while (_count > 0 && At(0).State == OutboundState.Done)
        {
            At(0) = default;
            _head = (_head + 1) & (_slots.Length - 1);
            _count--;
            _done--;
            _next = Math.Max(0, _next - 1);
        }
    }

    /// <summary>One message may wait in many queues: their places count beside it.</summary>
    private bool TryTakePlace()
    {
        if (metrics.DeliveryMemory(EntryBytes) <= maxDeliveryBytes)
        {
            return true;
        }
        metrics.DeliveryMemory(-EntryBytes);
        return false;
    }

    private void FreePlace(ref Slot slot)
    {
        if (slot.HasPlace)
        {
            slot.HasPlace = false;
            metrics.DeliveryMemory(-EntryBytes);
        }
    }

    private struct Slot
    {
        public OutboundMessage Message;
        public long Sequence;

        public OutboundState State;

        /// <summary>Whether it was sent in this connection.</summary>
        public bool IsInWindow;

        /// <summary>Whether it was sent and is kept for others.</summary>
        public bool IsHeld;

        /// <summary>Whether its PUBREL waits to be sent.</summary>
        public bool IsReleasing;

        /// <summary>Whether its place counts as memory of messages that are not stored.</summary>
        public bool HasPlace;

        /// <summary>Whether it is in the journal, and outlives the connection.</summary>
        public bool IsStored;
    }
}
