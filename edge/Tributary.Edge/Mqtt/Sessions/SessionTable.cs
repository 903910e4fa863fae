using Tributary.Edge.Clock;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>
/// All durable sessions and the retained messages: what follows from the journal's entries, one after the other. The same code makes it
/// of them while the agent runs and after a crash, so what is there then is what was promised.
/// <para>Used under the lock of the sessions. It is in memory only; payloads of queued messages are in the journal.</para>
/// </summary>
internal sealed partial class SessionTable(MqttOptions options, SubscriptionTrie trie, MqttMetrics metrics, TimeProvider time)
{
    private readonly EdgeClock _clock = EdgeClock.Of(time);
    private readonly Dictionary<string, Session> _byClient = new(StringComparer.Ordinal);
    private readonly Dictionary<long, Session> _byNumber = [];

    /// <summary>The durable sessions.</summary>
    public IReadOnlyCollection<Session> Sessions => _byNumber.Values;

    /// <summary>The retained messages.</summary>
    public RetainedMessages Retained { get; } = new(time);

    /// <summary>The number that the next session gets.</summary>
    public long NextNumber { get; private set; } = 1;

    /// <summary>Receipts that were released, by session and number, if somebody wants to know.</summary>
    public HashSet<(long Session, long Number)>? Released { get; set; }

    /// <summary>The session of a client, null for none.</summary>
    public Session? Find(string clientId) => _byClient.GetValueOrDefault(clientId);

    /// <summary>The session of that number, null for none.</summary>
    public Session? Find(long number) => _byNumber.GetValueOrDefault(number);

    /// <summary>Does what an entry says, to those who don't reflect it yet.</summary>
    /// <param name="entry">The entry.</param>
    /// <param name="offset">Its offset.</param>
    /// <param name="live">The message that it is about, if that is in memory.</param>
    /// <param name="isReserved">Whether the recipients' places are taken.</param>
    /// <exception cref="InvalidDataException">It is no entry.</exception>
    public void Apply(ReadOnlySpan<byte> entry, long offset, LocalMessage? live = null, bool isReserved = false)
    {
        var reader = new EntryReader(entry);
        EntryKind kind = reader.Kind();
        switch (kind)
        {
            case EntryKind.SessionOpened:
                Open(reader.Number(), reader.Text(), reader.User()).Expiry = (uint)reader.Number();
                break;
            case EntryKind.Message:
                ApplyMessage(ref reader, offset, live, isReserved);
                break;
            case EntryKind.MessageMoved:
                ApplyMoved(ref reader, offset);
                break;
            case EntryKind.Passed:
                ApplyPassed(ref reader, offset, isReserved);
                break;
            default:
                ApplyToSession(kind, ref reader, offset);
                break;
        }
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        foreach (Session session in _byNumber.Values)
        {
            session.End();
        }
        _byNumber.Clear();
        _byClient.Clear();
        Retained.Clear();
        NextNumber = 1;
    }

    /// <summary>
    /// Everything is read. From now on each entry is new to every session, also where the journal has lost its end; and the next session
    /// gets a number that none had which damage made unknown, for topics may hold receipts of such. Numbers grow by less than one in a
    /// millisecond.
    /// </summary>
    public void Settle()
    {
        foreach (Session session in _byNumber.Values)
        {
            session.ReflectsUpTo = 0;
        }
        NextNumber = Math.Max(NextNumber, time.GetUtcNow().ToUnixTimeMilliseconds());
    }

    /// <summary>The journal has lost its end: messages that stood there are lost, and receipts are known by the snapshot alone.</summary>
    /// <param name="end">The offset that the next entry gets.</param>
    /// <returns>How many messages were lost.</returns>
    public int GiveUpFrom(long end)
    {
        int count = 0;
        foreach (Session session in _byNumber.Values)
        {
            var lost = new List<long>();
            session.Outbound.ForEachStored((sequence, message, state) =>
            {
                if (message.Offset >= end && state != OutboundState.Received)
                {
                    lost.Add(sequence);
                }
            });
            foreach (long sequence in lost)
            {
                metrics.MessageDropped(MqttDropReason.Unreadable);
                session.Outbound.Remove(sequence);
            }
            foreach ((_, Receipt receipt) in session.Receipts.Pending)
            {
                receipt.Offset = Math.Min(receipt.Offset, end - 1);
            }
            count += lost.Count;
        }
        return count;
    }

    /// <summary>The session that an entry is about; null if there is none, or it reflects the entry.</summary>
    private Session? Find(long number, long offset) => Find(number) is { } session && offset >= session.ReflectsUpTo ? session : null;

    private Session Open(long number, string clientId, string? user)
    {
        if (_byClient.TryGetValue(clientId, out Session? former))
        {
            End(former); // its end was not written; there is one session of a client
        }
        var session = new Session(
            number, new IngestClient(clientId), new OutboundQueue(options.MaxOutboundBytes, options.MaxDeliveryBytes, metrics), trie, metrics)
        {
            User = user,
            AbsentSince = time.GetTimestamp(),
            ExpiresFrom = time.GetTimestamp(),
        };
        _byClient[clientId] = session;
        _byNumber[number] = session;
        NextNumber = Math.Max(NextNumber, number + 1);
        return session;
    }

    private void End(Session session)
    {
        session.End();
        _byClient.Remove(session.ClientId);
        _byNumber.Remove(session.Number);
    }

    private void ApplyToSession(EntryKind kind, ref EntryReader reader, long offset)
    {
        long number = reader.Number();
        if (Find(number, offset) is not { } session)
        {
            return; // it has ended
        }
        switch (kind)
        {
            case EntryKind.SessionChanged:
                session.Expiry = (uint)reader.Number();
                break;
            case EntryKind.SessionEnded:
                End(session);
                break;
            case EntryKind.Subscribed:
                session.Subscribe(reader.Bytes(), SubscriptionOptions.Of(reader.Byte()), (uint)reader.Number());
                break;
            case EntryKind.Unsubscribed:
                session.Unsubscribe(reader.Bytes());
                break;
            case EntryKind.Left:
                session.LeftAt = reader.Number();
                break;
            case EntryKind.WillSet:
                session.Will = ReadWill(ref reader);
                break;
            case EntryKind.WillCleared:
                (session.Will, session.IsWillDue) = (null, false);
                break;
            case EntryKind.Acknowledged:
                session.Outbound.Remove(reader.Number());
                break;
            case EntryKind.Received:
                session.Outbound.SetReceived(reader.Number(), offset);
                break;
            case EntryKind.UsesReceipts:
                (session.UsesReceipts, session.ReceiptsSince) = (true, offset);
                break;
            case EntryKind.Released:
                ApplyReleased(session, (ushort)reader.Number(), reader.Number(), offset);
                break;
            default:
                throw new InvalidDataException($"there is no kind {(byte)kind} of entries");
        }
    }

    private void ApplyReleased(Session session, ushort packetId, long receipt, long offset)
    {
        session.Receipts.Remove(packetId, receipt);
        session.Receipts.LastReleased = offset;
        Released?.Add((session.Number, receipt));
    }

    private void ApplyMessage(ref EntryReader reader, long offset, LocalMessage? live, bool isReserved)
    {
        EntryMessage message = reader.Message();
        int size = message.Topic.Length + message.Properties.Length + message.Payload.Length;
        for (int left = reader.Count(); left > 0; left--)
        {
            EntryRecipient to = reader.Recipient();
            Find(to.Session, offset)?.Outbound.Store(
                to.Sequence, new OutboundMessage(live, to.Qos, to.Retain, to.Identifier, to.MoreIdentifiers) { Offset = offset, Size = size, Share = to.Share },
                isReserved);
        }
        if ((message.Flags & MessageFlags.HasReceipt) != 0 && Find(message.Publisher, offset) is { } publisher)
        {
            Receipt receipt = publisher.Receipts.Find(message.PacketId) is { } known && known.Number == message.Receipt
                ? known
                : publisher.Receipts.Add(message.PacketId, message.Receipt);
            receipt.Offset = offset;
        }
        if ((message.Flags & MessageFlags.Retained) == 0)
        {
            return;
        }
        if (message.Payload.IsEmpty)
        {
            Retained.Remove(message.Topic);
            return;
        }
        Retained.Set(new RetainedMessage(
            message.Topic.ToArray(), message.Properties.ToArray(), message.Payload.ToArray(), message.Qos, message.ArrivedAt,
            live?.ReceivedAt ?? ReceivedAt(message.ArrivedAt), offset));
    }

    private void ApplyMoved(ref EntryReader reader, long offset)
    {
        reader.Message();
        for (int left = reader.Count(); left > 0; left--)
        {
            EntryRecipient to = reader.Recipient(isKnown: true);
            Find(to.Session, offset)?.Outbound.Move(to.Sequence, offset);
        }
    }

    /// <summary>Messages of a session that ends, which are in the journal already, are another one's now, or nobody's.</summary>
    private void ApplyPassed(ref EntryReader reader, long offset, bool isReserved)
    {
        Session? from = Find(reader.Number(), offset);
        for (int left = reader.Count(); left > 0; left--)
        {
            long sequence = reader.Number();
            from?.Outbound.Remove(sequence);
            long at = reader.Number();
            int size = (int)reader.Number();
            reader.Count();
            EntryRecipient to = reader.Recipient();
            Find(to.Session, offset)?.Outbound.Store(
                to.Sequence, new OutboundMessage(null, to.Qos, to.Retain, to.Identifier, to.MoreIdentifiers)
                {
                    Offset = at,
                    Size = size,
                    Share = to.Share,
                    Gate = offset,
                },
                isReserved);
        }
    }

    /// <summary>
    /// Since when a session has no connection, as it is stored: it is counted by a clock that never jumps.
    /// </summary>
    /// <returns>A stamp; 0 if it has one, or nobody will be able to tell.</returns>
    public long LeftAtOf(Session session)
    {
        long leftAt = session.Connection is null ? _clock.StampOf(session.ExpiresFrom) : 0;
        return _clock.IsTrusted || BootStamp.IsIn(leftAt) ? leftAt : 0;
    }

    /// <summary>
    /// From when the expiry of a session counts that was read from the disk. It begins anew when the clock was set back since, or as long as
    /// nobody knows how long ago that was: nothing ends early by a clock that is wrong.
    /// </summary>
    public long ExpiresFromOf(Session session) => Before(session.LeftAt == 0 ? null : _clock.AgeOf(session.LeftAt));

    /// <summary>When a message came, as a timestamp of this process; now if nobody knows.</summary>
    private long ReceivedAt(long arrivedAt) => Before(_clock.AgeOf(arrivedAt));

    private long Before(TimeSpan? age) => time.GetTimestamp() - (long)((age ?? TimeSpan.Zero).TotalSeconds * time.TimestampFrequency);

    private static Will ReadWill(ref EntryReader reader)
    {
        uint delay = (uint)reader.Number();
        int qos = reader.Byte();
        bool retain = reader.Flag();
        return new Will(reader.Bytes().ToArray(), reader.Bytes().ToArray(), qos, retain, reader.Bytes().ToArray(), delay);
    }

    /// <summary>Writes a will as an entry or a snapshot has it.</summary>
    public static EntryWriter WriteWill(EntryWriter to, Will will) => to.Number(will.DelaySeconds).Byte((byte)will.Qos).Flag(will.Retain)
        .Bytes(will.Topic).Bytes(will.Payload).Bytes(will.Properties);
}
