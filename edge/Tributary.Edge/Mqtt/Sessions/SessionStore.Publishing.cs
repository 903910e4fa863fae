using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>What became of a message.</summary>
/// <param name="Code">Success, or why it was not taken.</param>
/// <param name="Refusal">Why ingest did not take it.</param>
/// <param name="Stream">It may be acknowledged when this is beyond <paramref name="Number"/>.</param>
/// <param name="Number">Its number there.</param>
/// <param name="IsRepeated">Whether it was taken before: subscribers have it, or will.</param>
internal readonly record struct Publication(
    ReasonCode Code, IngestRefusal Refusal, ICommitStream? Stream, long Number, bool IsRepeated = false)
{
    /// <summary>What ingest has said of a message that nobody has to remember.</summary>
    public static Publication Of(in IngestTicket ticket) => new(CodeOf(ticket.Refusal), ticket.Refusal, ticket.Stream, ticket.Number);

    private static ReasonCode CodeOf(IngestRefusal refusal) => refusal switch
    {
        IngestRefusal.None => ReasonCode.Success,
        IngestRefusal.TooLarge => ReasonCode.ImplementationSpecific,
        IngestRefusal.Full => ReasonCode.QuotaExceeded,
        _ => ReasonCode.Unspecified,
    };
}

/// <summary>What is acknowledged when both its record and its journal entry are durable; either may be missing.</summary>
internal sealed class BothCommitted(ICommitStream? stream, long number, SessionJournal? journal, long offset) : ICommitStream
{
    public long Committed => (stream is null || stream.Committed > number) && (journal is null || journal.Committed > offset) ? 1 : 0;

    public bool IsLost => stream is { IsLost: true } || journal is { IsLost: true };
}

/// <summary>Messages of clients, as far as somebody has to remember them.</summary>
internal sealed partial class SessionStore
{
    /// <summary>Room in a journal entry that who gets it may take.</summary>
    private const int MaxRecipientBytes = 512 << 10;

    /// <summary>What one takes beside its shared name and further identifiers, at most.</summary>
    private const int RecipientBytes = 32;

    /// <summary>What each subscription identifier beyond the first takes, at most.</summary>
    private const int IdentifierBytes = 5;

    // Under the lock.
    private readonly List<EntryRecipient> _recipients = [];
    private int _recipientBytes;
    private readonly List<Session> _listening = [];
    private readonly RetainedMessages _system;
    private readonly Matches _systemMatches = new();

    /// <summary>
    /// Whether a message has to go through <see cref="Publish"/>: somebody must remember it, or choose who gets it. The others cost nothing
    /// here.
    /// </summary>
    public bool Concerns(in PublishPacket packet, bool hasSubscribers) =>
        packet.Qos == 2 || packet.IsRetained || (hasSubscribers && Subscriptions.HasSpecial);

    /// <summary>
    /// Takes a message into its topic and, if it is retained, for a durable session, or QoS 2 of one, into the journal. A QoS 2 message that
    /// was taken before is not taken again; what of it was lost is made up for.
    /// </summary>
    /// <param name="session">The client's session.</param>
    /// <param name="packet">The message.</param>
    /// <param name="level">Version of the client's protocol: one of MQTT 5 can be told that a message is not retained.</param>
    /// <param name="local">A copy for subscribers, null if nobody wants it or there is no memory; stays the caller's.</param>
    /// <param name="ingest">Where messages go.</param>
    /// <param name="listener">Who hears of its commit.</param>
    /// <param name="matches">The caller's, to be used again.</param>
    public Publication Publish(
        Session session, in PublishPacket packet, ProtocolLevel level, LocalMessage? local, IIngest ingest, ICommitListener listener,
        Matches matches)
    {
        bool hasReceipt = packet.Qos == 2 && packet.PacketId != 0;
        ICommitListener heard = session.IsDurable && hasReceipt ? session.ListenerOf(listener) : listener;
        lock (_lock)
        {
            Receipt? receipt = hasReceipt ? session.Receipts.Find(packet.PacketId) : null;
            bool hasEntry = receipt is not null && (receipt.Offset >= 0 || !session.IsDurable);
            if (receipt is not null && IsWhole(session, receipt))
            {
                return new Publication(ReasonCode.Success, IngestRefusal.None, TicketOf(receipt), 0, IsRepeated: true);
            }
            if (_journal.IsLost && (packet.IsRetained || (hasReceipt && session.IsDurable) || IsForDurable(packet, matches)))
            {
                return new Publication(ReasonCode.Unspecified, IngestRefusal.Offline, null, 0);
            }
            bool isRetained = packet.IsRetained && !hasEntry;
            if (isRetained && !HasRoomToRetain(packet))
            {
                Metrics.MessageDropped(MqttDropReason.RetainedFull);
                if (level == ProtocolLevel.V5 && packet.Qos > 0)
                {
                    return new Publication(ReasonCode.QuotaExceeded, IngestRefusal.None, null, 0);
                }
                isRetained = false;
            }
            long number = receipt?.Number ?? (hasReceipt ? session.Receipts.Next : 0);
            IngestTicket ticket = default;
            if (receipt is not { HasRecord: true })
            {
                ticket = AcceptRecord(session, packet, hasReceipt ? number : -1, ingest, heard);
                if (ticket.Refusal != IngestRefusal.None)
                {
                    return Publication.Of(ticket);
                }
            }
            else
            {
                ticket = new IngestTicket(receipt.IsInTopic ? null : receipt.Stream, receipt.StreamNumber, IngestRefusal.None);
            }
            long offset = hasEntry ? receipt!.Offset : WriteMessage(session, packet, local, isRetained, hasReceipt, number, heard, matches);
            if (hasReceipt)
            {
                receipt = session.Receipts.Find(packet.PacketId) is { } made && made.Number == number
                    ? made : session.Receipts.Add(packet.PacketId, number);
                (receipt.Stream, receipt.StreamNumber, receipt.Offset) = (ticket.Stream, ticket.Number, offset);
                // One that its route does not want stored is decided on once, unless a crash makes that forgotten.
                receipt.IsInTopic |= ticket.Stream is null;
                if (hasEntry && local is not null)
                {
                    local.Chosen = receipt.Chosen;
                }
                receipt.Chosen = local?.Chosen ?? receipt.Chosen;
                return new Publication(ReasonCode.Success, IngestRefusal.None, TicketOf(receipt), 0);
            }
            return offset < 0
                ? new Publication(ReasonCode.Success, IngestRefusal.None, ticket.Stream, ticket.Number)
                : new Publication(
                    ReasonCode.Success, IngestRefusal.None, new BothCommitted(ticket.Stream, ticket.Number, _journal, offset), 0);
        }
    }

    /// <summary>
    /// Before a durable session's first QoS 2 message is taken, it must be durable that there may be such: only then topics are searched
    /// for them after a crash.
    /// </summary>
    /// <returns>Offset to wait for, −1 if the message may be taken.</returns>
    /// <exception cref="SessionsUnavailableException">It can't be stored now.</exception>
    public long BeginReceipts(Session session)
    {
        if (!session.IsDurable)
        {
            return -1;
        }
        lock (_lock)
        {
            ThrowIfUnavailable(session);
            if (!session.UsesReceipts)
            {
                HoldTopics();
                Change(_writer.Begin(EntryKind.UsesReceipts).Number(session.Number), session);
            }
            return session.ReceiptsSince >= _journal.Committed ? session.ReceiptsSince : -1;
        }
    }

    /// <summary>Whether a QoS 2 message was taken before, whole, and comes again: then it is answered as before, whatever is true now.</summary>
    public bool TryRepeat(Session session, ushort packetId, out Publication again)
    {
        lock (_lock)
        {
            Receipt? receipt = session.Receipts.Find(packetId);
            again = receipt is not null && IsWhole(session, receipt)
                ? new Publication(ReasonCode.Success, IngestRefusal.None, TicketOf(receipt), 0, IsRepeated: true) : default;
            return again.IsRepeated;
        }
    }

    /// <summary>
    /// PUBREL has come, or the message is refused: the packet identifier is free when the client is told, which has to wait for what is
    /// returned. If there is no such message, one may have been released just now: the client must not hear that it is free before that is
    /// durable.
    /// </summary>
    /// <returns>False if there is no such message, nor was before.</returns>
    /// <exception cref="SessionsUnavailableException">It can't be stored now.</exception>
    public bool TryRelease(Session session, ushort packetId, out ICommitStream? stream, out long number)
    {
        (stream, number) = (null, 0);
        lock (_lock)
        {
            if (session.IsDurable)
            {
                ThrowIfUnavailable(session);
            }
            if (session.Receipts.Find(packetId) is not { } receipt)
            {
                number = session.Receipts.LastReleased;
                stream = number >= _journal.Committed ? _journal : null;
                return stream is not null;
            }
            if (session.IsDurable)
            {
                number = Change(_writer.Begin(EntryKind.Released).Number(session.Number).Number(packetId).Number(receipt.Number), session);
                stream = _journal;
            }
            else
            {
                session.Receipts.Remove(packetId);
            }
            return true;
        }
    }

    /// <summary>Publishes a value of the broker's own: to those who have subscribed, and to those who will.</summary>
    public void PublishSystem(byte[] topic, byte[] payload)
    {
        long now = _time.Stamp();
        lock (_lock)
        {
            _system.Set(new RetainedMessage(topic, [], payload, 0, now, _time.GetTimestamp(), -1));
            if (Subscriptions.HasMatch(topic))
            {
                Delivery.Deliver(Messages.Restore(0, topic, [], payload, now), _systemMatches);
            }
        }
    }

    /// <summary>Whether nothing of the message was lost.</summary>
    private static bool IsWhole(Session session, Receipt receipt) => receipt.HasRecord && (receipt.Offset >= 0 || !session.IsDurable);

    private BothCommitted TicketOf(Receipt receipt) => new(
        receipt.IsInTopic ? null : receipt.Stream, receipt.StreamNumber, receipt.Offset < 0 ? null : _journal, receipt.Offset);

    private static IngestTicket AcceptRecord(
        Session session, in PublishPacket packet, long receipt, IIngest ingest, ICommitListener listener)
    {
        Span<byte> header = stackalloc byte[receipt >= 0 && session.IsDurable ? ReceiptHeader.EncodedLength : 0];
        if (!header.IsEmpty)
        {
            new ReceiptHeader(session.Number, packet.PacketId, receipt).Write(header);
        }
        var message = new IngestMessage(packet.Topic, packet.Payload) { Properties = packet.Properties, Header = header };
        return ingest.Accept(session.Ingest, message, listener);
    }

    /// <summary>Writes the message's entry, if it needs one.</summary>
    /// <returns>Its offset, −1 for none.</returns>
    private long WriteMessage(
        Session session, in PublishPacket packet, LocalMessage? local, bool isRetained, bool hasReceipt, long number, ICommitListener listener,
        Matches matches)
    {
        int size = LocalMessages.LengthOf(packet);
        if (Subscriptions.HasSpecial)
        {
            Subscriptions.Match(packet.Topic, matches);
            AddRecipients(session, packet, local, size, matches);
        }
        hasReceipt &= session.IsDurable;
        long offset = -1;
        if (isRetained || hasReceipt || _recipients.Count > 0)
        {
            MessageFlags flags = (isRetained ? MessageFlags.Retained : 0) | (hasReceipt ? MessageFlags.HasReceipt : 0);
            _writer.Begin(EntryKind.Message)
                .Message(
                    flags, packet.Qos, session.Number, packet.PacketId, number, _time.Stamp(), packet.Topic,
                    packet.Properties, packet.Payload)
                .Recipients(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_recipients));
            offset = _journal.Append(_writer.Written, listener);
            _journalBytes += _writer.Written.Length;
            _table.Apply(_writer.Written, offset, local, isReserved: true);
            foreach (Session recipient in _listening)
            {
                _journal.Notify(offset, recipient);
            }
        }
        _recipients.Clear();
        _recipientBytes = 0;
        _listening.Clear();
        matches.Clear();
        return offset;
    }

    /// <summary>
    /// Finds who gets the message out of the journal. Who gets it by a shared subscription is chosen here, once; those of them that are
    /// not durable are noted with the message.
    /// </summary>
    private void AddRecipients(Session publisher, in PublishPacket packet, LocalMessage? local, int size, Matches matches)
    {
        matches.Group();
        ReadOnlySpan<Subscription> found = matches.Subscriptions;
        while (!found.IsEmpty)
        {
            int same = 1;
            while (same < found.Length && ReferenceEquals(found[same].Session, found[0].Session))
            {
                same++;
            }
            if (found[0].Session is { IsDurable: true } session
                && LocalDelivery.Unite(found[..same], packet.Qos, packet.IsRetained, ReferenceEquals(session, publisher), null)
                    is { Qos: > 0 } outbound)
            {
                if (!TryAddRecipient(session, outbound, size, null))
                {
                    QueueFull(session);
                }
            }
            found = found[same..];
        }
        foreach (SharedGroup group in matches.Groups)
        {
            GiveToOne(group, packet, local, size);
        }
    }

    /// <summary>Gives a message to a member that has room for it.</summary>
    private void GiveToOne(SharedGroup group, in PublishPacket packet, LocalMessage? local, int size)
    {
        Session? full = null;
        bool isKept = true;
        foreach (Subscription member in group.InTurn(packet.Qos))
        {
            int qos = Math.Min(packet.Qos, member.Qos);
            if (member.Session.IsDurable && qos > 0)
            {
                var outbound = new OutboundMessage(null, qos, packet.IsRetained && member.RetainAsPublished, member.Identifier, null);
                if (TryAddRecipient(member.Session, outbound, size, member.Key))
                {
                    return;
                }
                full ??= member.Session;
            }
            else if (local is not null)
            {
                (local.Chosen ??= []).Add(member);
                return;
            }
            else
            {
                isKept = false;
            }
        }
        if (full is not null)
        {
            QueueFull(full);
        }
        else if (!isKept)
        {
            Metrics.MessageDropped(MqttDropReason.QueueFull);
        }
    }

    /// <summary>Whether a durable session gets a message with QoS 1 or 2, or may by a shared subscription.</summary>
    private bool IsForDurable(in PublishPacket packet, Matches matches)
    {
        if (packet.Qos == 0 || !Subscriptions.HasSpecial)
        {
            return false;
        }
        Subscriptions.Match(packet.Topic, matches);
        bool isFor = matches.Groups.Any(static group => Array.Exists(group.Members, static member => member.IsDurable));
        foreach (Subscription subscription in matches.Subscriptions)
        {
            isFor |= subscription.IsDurable;
        }
        matches.Clear();
        return isFor;
    }

    private bool TryAddRecipient(Session session, in OutboundMessage outbound, int size, byte[]? share)
    {
        int bytes = RecipientBytes + (share?.Length ?? 0) + (IdentifierBytes * (outbound.MoreIdentifiers?.Length ?? 0));
        if (_journalBytes > _options.MaxJournalBytes || _recipientBytes + bytes > MaxRecipientBytes
            || !session.Outbound.TryReserve(size, _options, out long sequence))
        {
            return false;
        }
        _recipientBytes += bytes;
        _recipients.Add(
            new EntryRecipient(session.Number, outbound.Qos, outbound.Retain, sequence, share, outbound.Identifier, outbound.MoreIdentifiers));
        if (session.Connection is not null)
        {
            _listening.Add(session);
        }
        return true;
    }

    private void QueueFull(Session session)
    {
        Metrics.MessageDropped(MqttDropReason.SessionFull);
        if (_lines.TryPass(MqttDropReason.SessionFull, out string note))
        {
            _logger.SessionQueueFull(session.ClientId, note);
        }
    }

    private bool HasRoomToRetain(in PublishPacket packet)
    {
        RetainedMessages retained = _table.Retained;
        if (packet.Payload.IsEmpty)
        {
            return true;
        }
        retained.RemoveExpired();
        RetainedMessage? before = retained.Find(packet.Topic);
        long size = RetainedMessage.SizeOf(packet.Topic.Length, packet.Properties.Length + packet.Payload.Length);
        return (before is not null || retained.Count < _options.MaxRetained)
            && retained.Bytes - (before?.Size ?? 0) + size <= _options.MaxRetainedBytes;
    }

    /// <summary>Sends the retained messages that a new subscription matches, each once.</summary>
    /// <returns>Offset of the last entry, −1 for none.</returns>
    private long SendRetained(Session session, ReadOnlySpan<byte> filter, SubscriptionOptions options, uint identifier)
    {
        long offset = -1;
        foreach (RetainedMessage retained in (TopicRules.IsSystem(filter) ? _system : _table.Retained).Match(filter))
        {
            if (retained.Expiry is { } expiry && _time.GetElapsedTime(retained.ReceivedAt).TotalSeconds > expiry)
            {
                continue;
            }
            session.RetainedGiven++;
            int qos = Math.Min(retained.Qos, options.Qos);
            if (!session.IsDurable || qos == 0 || retained.Size + RecipientBytes > _buffer.MaxJournalEntryBytes)
            {
                // Also one of a time when larger packets were taken: with QoS 0, or it had a number that nobody knows after a crash.
                SendRetained(session, retained, session.IsDurable ? 0 : qos, identifier);
                continue;
            }
            if (_journalBytes > _options.MaxJournalBytes
                || !session.Outbound.TryReserve(retained.Payload.Length, _options, out long sequence))
            {
                QueueFull(session);
                continue;
            }
            _writer.Begin(EntryKind.Message)
                .Message(MessageFlags.None, retained.Qos, 0, 0, -1, retained.ArrivedAt, retained.Topic, retained.Properties, retained.Payload)
                .Recipients([new EntryRecipient(session.Number, qos, true, sequence, null, identifier, null)]);
            offset = _journal.Append(_writer.Written, null);
            _journalBytes += _writer.Written.Length;
            _table.Apply(_writer.Written, offset, null, isReserved: true);
            _journal.Notify(offset, session);
        }
        session.Connection?.Wake();
        return offset;
    }

    private void SendRetained(Session session, RetainedMessage retained, int qos, uint identifier)
    {
        LocalMessage message = retained.Take(Messages);
        var outbound = new OutboundMessage(message, qos, true, identifier, null) { Offset = retained.Offset };
        if (session.Outbound.TryEnqueue(outbound, isBounded: false) is EnqueueResult.Dropped or EnqueueResult.Overflow)
        {
            Metrics.MessageDropped(MqttDropReason.QueueFull);
        }
        else
        {
            _journal.Notify(retained.Offset, session);
        }
        message.Release();
    }
}
