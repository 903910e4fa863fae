using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>A local partition of a topic and an offset in it.</summary>
internal readonly record struct TopicOffset(string Topic, int Index, long Offset);

/// <summary>What a snapshot says of the journal and the topics.</summary>
/// <param name="Offset">Offset of the first entry that may not be in it: from there on the journal is read.</param>
/// <param name="End">Offset of the first entry that is in no piece of it.</param>
/// <param name="Topics">By local partition, the offset from which receipts have to be searched.</param>
/// <param name="Oldest">Offset of the oldest entry that it refers to, <paramref name="Offset"/> if there is none.</param>
/// <param name="LiveBytes">Bytes of the messages that it refers to, as entries, about.</param>
/// <param name="UsesReceipts">Whether a session in it has receipts in topics.</param>
internal sealed record SnapshotPosition(
    long Offset, long End, IReadOnlyList<TopicOffset> Topics, long Oldest, long LiveBytes, bool UsesReceipts);

/// <summary>The table as a snapshot and back. The layout is in FORMAT.md.</summary>
internal sealed partial class SessionTable
{
    /// <summary>Writes everything as it is now, all at once.</summary>
    /// <param name="to">Where it goes.</param>
    /// <param name="offset">Offset of the next entry.</param>
    /// <param name="topics">The durable ends of the topics, taken before.</param>
    public SnapshotPosition Write(EntryWriter to, long offset, IReadOnlyList<TopicOffset> topics)
    {
        var taking = new SnapshotTaking(to, this, offset, topics);
        bool hasMore;
        do
        {
            hasMore = taking.TryTake(offset, int.MaxValue);
            taking.Keep();
        }
        while (hasMore);
        return taking.Position;
    }

    /// <summary>Fills an empty table from a snapshot.</summary>
    /// <param name="snapshot">What it contains.</param>
    /// <param name="version">Version of its layout.</param>
    /// <exception cref="InvalidDataException">It is no snapshot.</exception>
    public SnapshotPosition Read(ReadOnlySpan<byte> snapshot, int version = SessionSnapshot.Version)
    {
        var from = new EntryReader(snapshot);
        bool isWhole = version < SessionSnapshot.InPieces;
        long offset = from.Number();
        NextNumber = from.Number();
        var topics = new TopicOffset[from.Count()];
        for (int i = 0; i < topics.Length; i++)
        {
            topics[i] = new TopicOffset(from.Text(), (int)from.Number(), from.Number());
        }
        for (long left = isWhole ? from.Count() : 0; isWhole ? left > 0 : from.Flag(); left--)
        {
            ReadRetained(ref from);
        }
        for (long left = isWhole ? from.Count() : 0; isWhole ? left > 0 : from.Flag(); left--)
        {
            ReadSession(ref from, isWhole);
        }
        long end = isWhole ? offset : from.Number();
        return from.AtEnd
            ? new SnapshotPosition(offset, end, topics, offset, 0, false)
            : throw new InvalidDataException("bytes stand after the end of a snapshot");
    }

    private void ReadRetained(ref EntryReader from)
    {
        int qos = from.Byte();
        long arrivedAt = from.Number();
        Retained.Set(new RetainedMessage(
            from.Bytes().ToArray(), from.Bytes().ToArray(), from.Bytes().ToArray(), qos, arrivedAt, ReceivedAt(arrivedAt), -1));
    }

    private void ReadSession(ref EntryReader from, bool isWhole)
    {
        long number = from.Number();
        long reflectsUpTo = isWhole ? 0 : from.Number();
        Session session = Open(number, from.Text(), from.User());
        session.ReflectsUpTo = reflectsUpTo;
        session.Expiry = (uint)from.Number();
        session.LeftAt = isWhole ? 0 : from.Number();
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
