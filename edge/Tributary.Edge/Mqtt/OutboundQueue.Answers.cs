namespace Tributary.Edge.Mqtt;

/// <summary>What subscribers answer: PUBACK, PUBREC and PUBCOMP, and the PUBRELs that follow.</summary>
internal sealed partial class OutboundQueue
{
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
}
