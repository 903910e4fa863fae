using Microsoft.Extensions.Logging;
using Tributary.Contracts.Records;
using Tributary.Edge.Buffer;
using Tributary.Edge.Uplink;
using Tributary.Log;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>
/// Makes the sessions anew from what is on disk: the snapshot, the journal behind it, and, if a session publishes with QoS 2, the records
/// of the topics behind it. Whatever is damaged is stepped over and told; a snapshot that is no one is set aside, and the journal is read
/// from its start.
/// </summary>
internal sealed class SessionRecovery(
    PartitionLog journal, SessionSnapshot file, IReadOnlyList<BufferPartition> topics, SessionTable table, ILogger logger)
{
    private const int ReadBytes = 1 << 20;

    /// <summary>
    /// Whether journal or topics end before what the snapshot reflects. Then nothing may be written before there is another snapshot: the
    /// next recovery would not look for it.
    /// </summary>
    public bool IsSnapshotAhead { get; private set; }

    /// <summary>Fills the table, which is empty.</summary>
    /// <returns>What the snapshot said of its position; null if there was none.</returns>
    /// <exception cref="IOException">The disk can't be read.</exception>
    public SnapshotPosition? Run()
    {
        SnapshotPosition? snapshot = ReadSnapshot();
        if (snapshot is not null)
        {
            CheckEnds(snapshot);
        }
        Dictionary<long, long> issued = table.Sessions.ToDictionary(session => session.Number, session => session.Receipts.Next);
        table.Released = [];
        ScanAll(journal, snapshot?.Offset ?? journal.StartOffset, new Replaying(table, logger), (from, to) =>
            logger.SessionsDamaged($"the entries {from} to {to} of the journal can't be read"));
        if (table.Sessions.Any(session => session.UsesReceipts))
        {
            foreach (BufferPartition topic in topics)
            {
                FindReceipts(topic, snapshot, issued);
            }
        }
        table.Released = null;
        table.Settle();
        return snapshot;
    }

    private SnapshotPosition? ReadSnapshot()
    {
        SnapshotStatus status = file.Load(out ReadOnlyMemory<byte> content, out int version);
        if (status == SnapshotStatus.Ok)
        {
            try
            {
                return table.Read(content.Span, version);
            }
            catch (InvalidDataException)
            {
                table.Clear();
                status = SnapshotStatus.Damaged;
            }
        }
        if (status == SnapshotStatus.Damaged)
        {
            file.SetAside();
            logger.SessionsDamaged($"the snapshot {file.Path} can't be read and is kept as {file.DamagedPath}");
        }
        if (journal.StartOffset > 0)
        {
            logger.SessionsDamaged("there is no snapshot of what the journal has given up: sessions and retained messages may be missing");
        }
        return null;
    }

    /// <summary>What the disk has lost of the end is given up: other entries will stand there.</summary>
    private void CheckEnds(SnapshotPosition snapshot)
    {
        long end = journal.AppendedEnd;
        IsSnapshotAhead = snapshot.End > end || topics.Any(topic => FromOf(topic, snapshot) > topic.Log.AppendedEnd);
        if (snapshot.End > end)
        {
            int lost = table.GiveUpFrom(end);
            logger.SessionsDamaged($"the journal ends at {end} and the snapshot reflects it up to {snapshot.End}: {lost} messages that waited are lost");
        }
    }

    private static void ScanAll(PartitionLog log, long from, IRecordVisitor visitor, Action<long, long>? tellOfHole)
    {
        using var scanner = new RecordScanner(new LogSource(log), ReadBytes, keepsReceipts: true);
        long at = Math.Max(from, log.StartOffset);
        long reported = -1;
        while (at < log.FlushedEnd)
        {
            ScanEnd end = scanner.Scan(at, log.FlushedEnd, visitor);
            if (end.IsCorrupt && end.Next != reported)
            {
                // Damage between the disk and here may be gone at a second look; only what stays is a hole.
                log.ReportDamage(end.Next);
                at = reported = end.Next;
                continue;
            }
            if (end.HoleEnd > end.Next)
            {
                tellOfHole?.Invoke(end.Next, end.HoleEnd);
            }
            at = Math.Max(end.Next, end.HoleEnd);
        }
    }

    private static long FromOf(BufferPartition topic, SnapshotPosition snapshot) =>
        snapshot.Topics.FirstOrDefault(at => at.Topic == topic.Topic && at.Index == topic.Index).Offset;

    /// <summary>
    /// A record counts as taken if its receipt is pending in the table, or was given out after the snapshot and is not released: then its
    /// entry was lost, and is made up for when the message comes again.
    /// </summary>
    private void FindReceipts(BufferPartition topic, SnapshotPosition? snapshot, Dictionary<long, long> issued) =>
        ScanAll(topic.Log, snapshot is null ? 0 : FromOf(topic, snapshot), new Finding(table, issued), null);

    private sealed class Replaying(SessionTable table, ILogger logger) : IRecordVisitor
    {
        public bool Visit(long offset, long timestamp, in Record record)
        {
            try
            {
                table.Apply(record.Value, offset);
            }
            catch (InvalidDataException e)
            {
                logger.SessionsDamaged($"entry {offset} of the journal is none: {e.Message}");
            }
            return true;
        }
    }

    private sealed class Finding(SessionTable table, Dictionary<long, long> issued) : IRecordVisitor
    {
        public bool Visit(long offset, long timestamp, in Record record)
        {
            if (!ReceiptHeader.TryRead(record, out ReceiptHeader header)
                || table.Find(header.Session) is not { } session)
            {
                return true;
            }
            Receipt? pending = session.Receipts.Find(header.PacketId);
            if (pending?.Number == header.Number)
            {
                pending.IsInTopic = true;
            }
            else if (header.Number >= issued.GetValueOrDefault(header.Session) && !table.Released!.Contains((header.Session, header.Number))
                && (pending is null || pending.Number < header.Number))
            {
                session.Receipts.Add(header.PacketId, header.Number).IsInTopic = true;
            }
            session.Receipts.Next = Math.Max(session.Receipts.Next, header.Number + 1);
            return true;
        }
    }
}
