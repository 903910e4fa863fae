using System.Runtime.InteropServices;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>A local partition of a topic and an offset in it.</summary>
internal readonly record struct TopicOffset(string Topic, int Index, long Offset);

/// <summary>What a snapshot says of the journal and the topics.</summary>
/// <param name="Offset">Offset of the first entry that is not in it.</param>
/// <param name="Topics">By local partition, the offset from which receipts have to be searched.</param>
/// <param name="Oldest">Offset of the oldest entry that it refers to, <paramref name="Offset"/> if there is none.</param>
/// <param name="LiveBytes">Bytes of the messages that it refers to, as entries, about.</param>
internal sealed record SnapshotPosition(long Offset, IReadOnlyList<TopicOffset> Topics, long Oldest, long LiveBytes);

/// <summary>The table as a snapshot and back. The layout is in FORMAT.md.</summary>
internal sealed partial class SessionTable
{
    /// <summary>What an entry takes beside its message, and beside that for each who gets it, about.</summary>
    private const int EntryBytes = 28;
    private const int RecipientBytes = 12;

    /// <summary>Writes everything as it is now.</summary>
    /// <param name="to">Where it goes.</param>
    /// <param name="offset">Offset of the next entry.</param>
    /// <param name="topics">The durable ends of the topics, taken before.</param>
    public SnapshotPosition Write(EntryWriter to, long offset, IReadOnlyList<TopicOffset> topics)
    {
        to.Number(offset).Number(NextNumber).Number(topics.Count);
        foreach (TopicOffset topic in topics)
        {
            to.Text(topic.Topic).Number(topic.Index).Number(topic.Offset);
        }
        to.Number(Retained.Count);
        foreach (RetainedMessage retained in Retained.All())
        {
            to.Byte((byte)retained.Qos).Number(retained.ArrivedAt).Bytes(retained.Topic).Bytes(retained.Properties).Bytes(retained.Payload);
        }
        to.Number(_byNumber.Count);
        var referred = new Dictionary<long, int>();
        foreach (Session session in _byNumber.Values)
        {
            WriteSession(to, session, referred);
        }
        return new SnapshotPosition(
            offset, topics, referred.Count == 0 ? offset : referred.Keys.Min(), referred.Values.Sum(static size => (long)size));
    }

    /// <summary>Fills an empty table from a snapshot.</summary>
    /// <exception cref="InvalidDataException">It is no snapshot.</exception>
    public SnapshotPosition Read(ReadOnlySpan<byte> snapshot)
    {
        var from = new EntryReader(snapshot);
        long offset = from.Number();
        NextNumber = from.Number();
        var topics = new TopicOffset[from.Count()];
        for (int i = 0; i < topics.Length; i++)
        {
            topics[i] = new TopicOffset(from.Text(), (int)from.Number(), from.Number());
        }
        for (int left = from.Count(); left > 0; left--)
        {
            ReadRetained(ref from);
        }
        for (int left = from.Count(); left > 0; left--)
        {
            ReadSession(ref from);
        }
        return from.AtEnd
            ? new SnapshotPosition(offset, topics, offset, 0)
            : throw new InvalidDataException("bytes stand after the end of a snapshot");
    }

    private void ReadRetained(ref EntryReader from)
    {
        int qos = from.Byte();
        long arrivedAt = from.Number();
        Retained.Set(new RetainedMessage(
            from.Bytes().ToArray(), from.Bytes().ToArray(), from.Bytes().ToArray(), qos, arrivedAt, ReceivedAt(arrivedAt), -1));
    }

    private static void WriteSession(EntryWriter to, Session session, Dictionary<long, int> referred)
    {
        to.Number(session.Number).Text(session.ClientId).User(session.User).Number(session.Expiry).Flag(session.UsesReceipts)
            .Number(session.Receipts.Next).Number(session.Outbound.NextSequence).Flag(session.Will is not null);
        if (session.Will is { } will)
        {
            WriteWill(to, will);
        }
        to.Number(session.SubscriptionCount);
        foreach (Subscription subscription in session.Subscriptions)
        {
            to.Bytes(subscription.Key).Byte(subscription.Options.ToByte()).Number(subscription.Identifier);
        }
        to.Number(session.Receipts.Count);
        foreach ((ushort packetId, Receipt receipt) in session.Receipts.Pending)
        {
            // A record that is not durable yet stands behind the topic's offset in this snapshot, and is found there.
            to.Number(packetId).Number(receipt.Number).Flag(receipt.IsCommitted).Number(receipt.Offset);
        }
        session.Outbound.ForEachStored((sequence, message, state) =>
        {
            to.Flag(true).Number(sequence).Number(message.Offset).Number(message.Size).Byte((byte)state).Byte((byte)message.Qos)
                .Flag(message.Retain).Flag(message.Share is not null);
            if (message.Share is { } share)
            {
                to.Bytes(share);
            }
            to.Identifiers(message.Identifier, message.MoreIdentifiers);
            if (state != OutboundState.Received)
            {
                ref int size = ref CollectionsMarshal.GetValueRefOrAddDefault(referred, message.Offset, out bool isKnown);
                size += (isKnown ? 0 : message.Size + EntryBytes) + RecipientBytes + (message.Share?.Length ?? 0);
            }
        });
        to.Flag(false);
    }

    private void ReadSession(ref EntryReader from)
    {
        Session session = Open(from.Number(), from.Text(), from.User());
        session.Expiry = (uint)from.Number();
        session.UsesReceipts = from.Flag();
        session.ReceiptsSince = -1;
        session.Receipts.Next = from.Number();
        long nextSequence = from.Number();
        if (from.Flag())
        {
            session.Will = ReadWill(ref from);
        }
        for (int left = from.Count(); left > 0; left--)
        {
            session.Subscribe(from.Bytes(), SubscriptionOptions.Of(from.Byte()), (uint)from.Number());
        }
        for (int left = from.Count(); left > 0; left--)
        {
            Receipt receipt = session.Receipts.Add((ushort)from.Number(), from.Number());
            receipt.IsInTopic = from.Flag();
            receipt.Offset = from.Number();
        }
        while (from.Flag())
        {
            ReadQueued(ref from, session);
        }
        session.Outbound.SkipTo(nextSequence);
    }

    private static void ReadQueued(ref EntryReader from, Session session)
    {
        long sequence = from.Number();
        long offset = from.Number();
        int size = (int)from.Number();
        var state = (OutboundState)from.Byte();
        int qos = from.Byte();
        bool retain = from.Flag();
        byte[]? share = from.Flag() ? from.Bytes().ToArray() : null;
        (uint identifier, uint[]? more) = from.Identifiers();
        session.Outbound.Store(
            sequence, new OutboundMessage(null, qos, retain, identifier, more) { Offset = offset, Size = size, Share = share },
            isReserved: false, state);
    }
}
