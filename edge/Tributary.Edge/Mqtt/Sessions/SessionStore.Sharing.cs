using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>
/// What members of shared subscriptions leave when their sessions end, or when they may not have it any more: it goes to other members
/// (MQTT 5, 4.8.2). What stands in the journal is passed on where it stands, so that nothing is read or copied: an entry says whose it is
/// now, and a crash finds it with either the one or the other. To a session that is not durable it is lent; the journal keeps it for that
/// one as long as it has plenty of room.
/// </summary>
internal sealed partial class SessionStore
{
    /// <summary>Messages that one entry passes on at most.</summary>
    private const int PassedAtOnce = 1000;

    /// <summary>What one takes in such an entry beside its recipient, at most.</summary>
    private const int PassedBytes = 32;

    // Under the lock.
    private readonly List<Passing> _passing = [];
    private int _passingBytes;
    private readonly HashSet<Session> _borrowers = [];

    /// <summary>
    /// Ends a subscription that a client may not have any more. What waits by a shared one goes to the other members, if there are any.
    /// </summary>
    /// <exception cref="SessionsUnavailableException">It can't be stored now.</exception>
    public void Revoke(Session session, Subscription subscription)
    {
        lock (_lock)
        {
            Unsubscribe(session, subscription.Key);
            if (subscription.IsShared && Subscriptions.FindGroup(subscription.Filter, subscription.Group) is not null)
            {
                PassOn(session.Outbound.TakeWaiting(subscription.Key), session, stays: true);
            }
        }
    }

    /// <summary>Gives a message that a client was to be sent, and may not have any more, to another member.</summary>
    /// <param name="session">The client's session.</param>
    /// <param name="message">The message; its reference stays the caller's.</param>
    /// <param name="packetId">Packet identifier that it was to have, 0 for none.</param>
    /// <returns>False if that is not possible: it is still the session's.</returns>
    public bool TryPassOn(Session session, in OutboundMessage message, ushort packetId)
    {
        if (message.Share is not { } share || message is { Qos: 2, IsDuplicate: true })
        {
            return false;
        }
        lock (_lock)
        {
            var shared = new Subscription(session, share, default, 0);
            long sequence = -1;
            if (Subscriptions.FindGroup(shared.Filter, shared.Group) is null || (session.IsDurable && !IsCurrent(session))
                || (packetId != 0 && !session.Outbound.Acknowledge(packetId, message.Qos, out sequence)))
            {
                return false;
            }
            message.Message!.Share();
            PassOn([new LeftMessage(sequence, message)], session, stays: true);
            return true;
        }
    }

    /// <summary>A message came to a member whose session had ended.</summary>
    private void PassOn(OutboundMessage message, Session from)
    {
        lock (_lock)
        {
            message.Message?.Share();
            PassOn([new LeftMessage(-1, message)], from);
        }
    }

    /// <summary>Gives messages to other members, as far as there are any; their references are given back.</summary>
    /// <param name="left">The messages.</param>
    /// <param name="from">The session that leaves them.</param>
    /// <param name="stays">Whether it goes on: what nobody takes has to be done with.</param>
    private void PassOn(List<LeftMessage> left, Session from, bool stays = false)
    {
        if (!stays)
        {
            _borrowers.Remove(from);
        }
        var groups = new Dictionary<byte[], SharedGroup?>(TopicComparer.Instance);
        foreach (LeftMessage message in left)
        {
            byte[] share = message.Message.Share!;
            if (!groups.TryGetValue(share, out SharedGroup? group))
            {
                var shared = new Subscription(from, share, default, 0);
                groups.Add(share, group = Subscriptions.FindGroup(shared.Filter, shared.Group));
            }
            bool isPassed = group is not null && TryPassOn(message, from, group, stays);
            if (stays && !isPassed && from.IsDurable && message.Message.Qos > 0)
            {
                WriteDone(from, message.Sequence);
            }
        }
        Pass(from);
        foreach (LeftMessage message in left)
        {
            message.Message.Message?.Release();
        }
    }

    /// <summary>Gives a message to another member that has room for it.</summary>
    private bool TryPassOn(in LeftMessage left, Session from, SharedGroup group, bool stays)
    {
        if (left.Message is { Message: null, Offset: < 0 })
        {
            return false; // it was sent, and too large to be kept beside others
        }
        Session? full = null;
        foreach (Subscription to in group.InTurn(QosOf(left.Message), except: from))
        {
            if (TryPassOn(left, from, to))
            {
                return true;
            }
            full ??= to.Session;
        }
        if (full is not null)
        {
            QueueFull(full);
        }
        else if (stays)
        {
            Metrics.MessageDropped(MqttDropReason.NoLongerAllowed);
        }
        return false;
    }

    /// <summary>QoS of a message as it was published, as far as is known: the member that leaves it may have asked for less.</summary>
    private static int QosOf(in OutboundMessage message) => message.Message?.Qos ?? message.Qos;

    private bool TryPassOn(in LeftMessage left, Session from, Subscription to)
    {
        OutboundMessage before = left.Message;
        var message = new OutboundMessage(before.Message, Math.Min(QosOf(before), to.Qos), before.Retain, to.Identifier, null)
        {
            Offset = before.Offset,
            Size = before.Size,
            Share = to.Key,
        };
        bool isStored = to.Session.IsDurable && message.Qos > 0;
        if (!isStored && to.Session.Connection is null)
        {
            return false; // it would be lost with the session that leaves it
        }
        long sequence = -1;
        if (isStored
            && (_journal.IsLost || _journalBytes > _options.MaxJournalBytes
                || !to.Session.Outbound.TryReserve(message.Size, _options, out sequence)))
        {
            return false;
        }
        if (!isStored && Metrics.DeliveryBytes > _options.MaxDeliveryBytes / 2)
        {
            return false; // it would not be queued
        }
        if (isStored && message.Offset < 0)
        {
            Pass(from); // in their order
            Write(to.Session, sequence, message);
            return true;
        }
        _passing.Add(new Passing(left.Sequence, message, to.Session, sequence));
        _passingBytes += PassedBytes + RecipientBytes + to.Key.Length;
        if (_passing.Count == PassedAtOnce || _passingBytes >= MaxRecipientBytes)
        {
            Pass(from);
        }
        return true;
    }

    /// <summary>Passes on what is gathered.</summary>
    private void Pass(Session from)
    {
        if (_passing.Count == 0)
        {
            return;
        }
        long gate = -1;
        if (!_journal.IsLost && (from.IsDurable || _passing.Exists(static one => one.IsStored)))
        {
            EntryWriter entry = _writer.Begin(EntryKind.Passed).Number(from.IsDurable ? from.Number : 0).Number(_passing.Count);
            foreach (Passing one in _passing)
            {
                OutboundMessage message = one.Message;
                // A snapshot that is being taken may have passed who gets it, and not reached who leaves it.
                _oldestPassed = message.Offset < 0 ? _oldestPassed : Math.Min(_oldestPassed, message.Offset);
                long to = one.IsStored ? one.To.Number : 0;
                entry.Number(one.From).Number(message.Offset).Number(message.Size).Recipients(
                    [new EntryRecipient(to, message.Qos, message.Retain, one.Sequence, message.Share, message.Identifier, null)]);
            }
            gate = _journal.Append(entry.Written, null);
            _journalBytes += entry.Written.Length;
            _table.Apply(entry.Written, gate, isReserved: true);
        }
        foreach (Session to in Lend(gate))
        {
            if (gate >= 0)
            {
                _journal.Notify(gate, to);
            }
            else
            {
                to.Connection?.Wake();
            }
        }
        _passing.Clear();
        _passingBytes = 0;
    }

    /// <summary>Queues what goes to sessions that are not durable, or with QoS 0: after the entry that takes it from the former one.</summary>
    /// <returns>Everybody who has got something.</returns>
    private HashSet<Session> Lend(long gate)
    {
        var receivers = new HashSet<Session>();
        foreach (Passing one in _passing)
        {
            if (!one.IsStored && one.To.Outbound.TryEnqueue(one.Message with { Gate = gate }, isBounded: false) != EnqueueResult.Queued)
            {
                Metrics.MessageDropped(MqttDropReason.QueueFull);
                continue;
            }
            receivers.Add(one.To);
            if (one is { IsStored: false, Message.Message: null })
            {
                _borrowers.Add(one.To);
            }
        }
        return receivers;
    }

    /// <summary>Writes a message down for one session, whose place is taken.</summary>
    private void Write(Session to, long sequence, in OutboundMessage message)
    {
        LocalMessage content = message.Message!;
        long arrivedAt = _time.StampOf(content.ReceivedAt);
        _writer.Begin(EntryKind.Message)
            .Message(MessageFlags.None, content.Qos, 0, 0, -1, arrivedAt, content.Topic, content.Properties, content.Payload)
            .Recipients([new EntryRecipient(to.Number, message.Qos, message.Retain, sequence, message.Share, message.Identifier, null)]);
        long offset = _journal.Append(_writer.Written, null);
        _journalBytes += _writer.Written.Length;
        _table.Apply(_writer.Written, offset, content, isReserved: true);
        _journal.Notify(offset, to);
    }

    /// <summary>The oldest entry that is lent. A borrower that takes its time may not fill the journal for everybody else.</summary>
    private long OldestLent()
    {
        _borrowers.RemoveWhere(static session => session.Connection is null);
        long oldest = long.MaxValue;
        foreach (Session session in _journalBytes > _options.MaxJournalBytes / 2 ? [] : _borrowers)
        {
            oldest = Math.Min(oldest, session.Outbound.OldestLent());
        }
        return oldest;
    }

    /// <summary>A message on its way to another member.</summary>
    /// <param name="From">Its sequence number in the session that it leaves, −1 for none.</param>
    /// <param name="Message">The message.</param>
    /// <param name="To">Whose it is now.</param>
    /// <param name="Sequence">Its sequence number there, −1 if it is lent.</param>
    private readonly record struct Passing(long From, OutboundMessage Message, Session To, long Sequence)
    {
        public bool IsStored => Sequence >= 0;
    }
}
