namespace Tributary.Edge.Mqtt;

/// <summary>Where the messages stand, found by number, and what they take. All of it under the lock.</summary>
internal sealed partial class OutboundQueue
{
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
        int next = IndexAfter(sequence);
        return next > 0 && At(next - 1) is { Message.Qos: > 0 } slot && slot.Sequence == sequence && slot.State != OutboundState.Done
            ? next - 1 : -1;
    }

    /// <summary>The index of the first one with a higher number.</summary>
    private int IndexAfter(long sequence)
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
        return low;
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
            else if (!slot.IsExtra)
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

        /// <summary>Whether it does not count in the bytes of the queue.</summary>
        public bool IsExtra;

        /// <summary>Whether its PUBREL waits to be sent.</summary>
        public bool IsReleasing;

        /// <summary>Whether its place counts as memory of messages that are not stored.</summary>
        public bool HasPlace;

        /// <summary>Whether it is in the journal, and outlives the connection.</summary>
        public bool IsStored;
    }
}
