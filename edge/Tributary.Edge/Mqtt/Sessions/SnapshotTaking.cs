namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>
/// Takes everything down for a snapshot, a piece at a time, so that whoever waits for the lock waits for one piece at most. Between pieces
/// all goes on: the journal is read from where this began, and each session says up to which entry it was taken down, so that those before
/// do nothing to it. What is taken down later still, retained messages and the rest of a long queue, may have an entry done to it again,
/// which changes nothing.
/// <para>Threads: one at a time; <see cref="TryTake"/> under the lock of the sessions, <see cref="Keep"/> without. It is of no use any more
/// when everything was read anew. The layout is in FORMAT.md.</para>
/// </summary>
internal sealed class SnapshotTaking
{
    /// <summary>What an entry takes beside its message, and beside that for each who gets it, about.</summary>
    private const int EntryBytes = 28;
    private const int RecipientBytes = 12;

    /// <summary>What a message that waits takes in a snapshot, at least.</summary>
    private const int QueuedBytes = 8;

    private readonly SessionTable _table;
    private readonly EntryWriter _whole;
    private readonly EntryWriter _piece = new();
    private readonly List<RetainedMessage> _retained = [];
    private readonly Session[] _sessions;
    private readonly HashSet<long> _referred = [];
    private readonly Action<long, OutboundMessage, OutboundState> _takeMessage;
    private bool _hasAllRetained;
    private long _oldest;
    private long _liveBytes;

    /// <summary>Index of the session that is next, or of which a part is taken down.</summary>
    private int _session;

    /// <summary>Number of the next message of that one; −1 if it has not begun.</summary>
    private long _sequence = -1;

    /// <summary>The number that its next message had when it was begun: those from there on are made by their entries.</summary>
    private long _sequenceEnd;

    /// <param name="whole">Gets all of it.</param>
    /// <param name="table">What is taken down.</param>
    /// <param name="offset">Offset of the next entry.</param>
    /// <param name="topics">The durable ends of the topics, taken before.</param>
    public SnapshotTaking(EntryWriter whole, SessionTable table, long offset, IReadOnlyList<TopicOffset> topics)
    {
        _table = table;
        _whole = whole.Begin();
        _takeMessage = TakeMessage;
        _oldest = offset;
        Position = new SnapshotPosition(offset, offset, topics, offset, 0, false);
        table.Retained.BeginTaking();
        _sessions = [.. table.Sessions]; // those that begin later are made by their entries
        whole.Number(offset).Number(table.NextNumber).Number(topics.Count);
        foreach (TopicOffset topic in topics)
        {
            whole.Text(topic.Topic).Number(topic.Index).Number(topic.Offset);
        }
    }

    /// <summary>What it says of journal and topics, when it was taken.</summary>
    public SnapshotPosition Position { get; private set; }

    /// <summary>Takes the next piece; <see cref="Keep"/> follows.</summary>
    /// <param name="next">Offset of the next entry.</param>
    /// <param name="bytes">About so many; a session's subscriptions, receipts and will are not divided.</param>
    /// <returns>False if it was the last.</returns>
    public bool TryTake(long next, int bytes)
    {
        _piece.Begin();
        if (!_hasAllRetained)
        {
            TakeRetained(bytes);
            return true;
        }
        while (_session < _sessions.Length)
        {
            if (_piece.Written.Length >= bytes || !TryTakeSession(_sessions[_session], next, bytes))
            {
                return true;
            }
            (_session, _sequence) = (_session + 1, -1);
        }
        _piece.Flag(false).Number(next);
        Position = Position with { End = next, Oldest = _oldest, LiveBytes = _liveBytes };
        return false;
    }

    /// <summary>Adds the piece that was taken.</summary>
    public void Keep()
    {
        foreach (RetainedMessage retained in _retained)
        {
            _whole.Flag(true).Byte((byte)retained.Qos).Number(retained.ArrivedAt).Bytes(retained.Topic).Bytes(retained.Properties)
                .Bytes(retained.Payload);
        }
        _retained.Clear();
        _whole.Raw(_piece.Written);
    }

    /// <summary>They never change, so they are written later.</summary>
    private void TakeRetained(int bytes)
    {
        long taken = 0;
        while (taken < bytes)
        {
            if (!_table.Retained.TryTakeNext(Position.Offset, out RetainedMessage? retained))
            {
                _hasAllRetained = true;
                _piece.Flag(false);
                break;
            }
            _retained.Add(retained);
            taken += retained.Size;
        }
    }

    /// <returns>False if some of its messages are left.</returns>
    private bool TryTakeSession(Session session, long next, int bytes)
    {
        if (_sequence < 0)
        {
            if (!ReferenceEquals(_table.Find(session.Number), session))
            {
                return true; // it has ended
            }
            TakeState(session, next);
        }
        // One that has ended since it was begun has no messages any more, and its entry will end it.
        int room = Math.Max(1, (bytes - _piece.Written.Length) / QueuedBytes);
        _sequence = session.Outbound.ForEachStored(_takeMessage, _sequence, room);
        if (_sequence < _sequenceEnd)
        {
            return false;
        }
        _piece.Flag(false);
        return true;
    }

    private void TakeState(Session session, long next)
    {
        (_sequence, _sequenceEnd) = (0, session.Outbound.NextSequence);
        session.LeftAt = _table.LeftAtOf(session);
        Position = Position with { UsesReceipts = Position.UsesReceipts || session.UsesReceipts };
        _piece.Flag(true).Number(session.Number).Number(next).Text(session.ClientId).User(session.User).Number(session.Expiry)
            .Number(session.LeftAt).Flag(session.UsesReceipts).Number(session.Receipts.Next).Number(_sequenceEnd).Flag(session.Will is not null);
        if (session.Will is { } will)
        {
            SessionTable.WriteWill(_piece, will);
        }
        _piece.Number(session.SubscriptionCount);
        foreach (Subscription subscription in session.Subscriptions)
        {
            _piece.Bytes(subscription.Key).Byte(subscription.Options.ToByte()).Number(subscription.Identifier);
        }
        _piece.Number(session.Receipts.Count);
        foreach ((ushort packetId, Receipt receipt) in session.Receipts.Pending)
        {
            // A record that is not durable yet stands behind the topic's offset in this snapshot, and is found there.
            _piece.Number(packetId).Number(receipt.Number).Flag(receipt.IsCommitted).Number(receipt.Offset);
        }
    }

    private void TakeMessage(long sequence, OutboundMessage message, OutboundState state)
    {
        if (sequence >= _sequenceEnd)
        {
            return;
        }
        _piece.Flag(true).Number(sequence).Number(message.Offset).Number(message.Size).Byte((byte)state).Byte((byte)message.Qos)
            .Flag(message.Retain).Flag(message.Share is not null);
        if (message.Share is { } share)
        {
            _piece.Bytes(share);
        }
        _piece.Identifiers(message.Identifier, message.MoreIdentifiers);
        if (state == OutboundState.Received)
        {
            return;
        }
        _oldest = Math.Min(_oldest, message.Offset);
        _liveBytes += (_referred.Add(message.Offset) ? message.Size + EntryBytes : 0) + RecipientBytes + (message.Share?.Length ?? 0);
    }
}
