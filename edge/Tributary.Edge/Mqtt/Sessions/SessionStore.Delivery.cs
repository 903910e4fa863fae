using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>
/// Answers of subscribers. That a message is done with is written when others are: if it is lost, the message is sent again, which the
/// subscriber knows. A PUBREC is durable before PUBREL leaves: a subscriber that was released would take the message for a new one.
/// </summary>
internal sealed partial class SessionStore
{
    /// <summary>PUBACK has come, or a PUBREC that refuses, or the message will never be sent.</summary>
    /// <returns>Whether a message waited for it.</returns>
    public bool Acknowledge(Session session, ushort packetId, int qos)
    {
        if (!session.IsDurable)
        {
            return session.Outbound.Acknowledge(packetId, qos, out _);
        }
        lock (_lock)
        {
            return session.Outbound.Acknowledge(packetId, qos, out long sequence) && WriteDone(session, sequence);
        }
    }

    /// <summary>PUBREC has come. PUBREL is sent by the session's queue when it may.</summary>
    /// <returns>False if no message waits for it.</returns>
    public bool Receive(Session session, ushort packetId)
    {
        if (!session.IsDurable)
        {
            if (!session.Outbound.CanReceive(packetId, out long number, out bool isNew))
            {
                return false;
            }
            if (isNew)
            {
                session.Outbound.SetReceived(number, -1);
            }
            return true;
        }
        lock (_lock)
        {
            if (!session.Outbound.CanReceive(packetId, out long sequence, out bool isFirst))
            {
                return false;
            }
            if (isFirst && IsCurrent(session))
            {
                Change(_writer.Begin(EntryKind.Received).Number(session.Number).Number(sequence), session);
            }
            return true;
        }
    }

    /// <summary>PUBCOMP has come.</summary>
    /// <returns>False if no message waits for it.</returns>
    public bool Complete(Session session, ushort packetId)
    {
        if (!session.IsDurable)
        {
            return session.Outbound.Complete(packetId, out _);
        }
        lock (_lock)
        {
            return session.Outbound.Complete(packetId, out long sequence) && WriteDone(session, sequence);
        }
    }

    /// <summary>A reader of messages that are not in memory any more, for one connection.</summary>
    public JournalReader OpenReader() => new(_log, Messages);

    private bool WriteDone(Session session, long sequence)
    {
        if (IsCurrent(session))
        {
            _writer.Begin(EntryKind.Acknowledged).Number(session.Number).Number(sequence);
            _journal.Append(_writer.Written, null, isLazy: true);
            _journalBytes += _writer.Written.Length;
        }
        return true;
    }

    private bool IsCurrent(Session session) => !_journal.IsLost && ReferenceEquals(_table.Find(session.Number), session);
}
