using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Tributary.Edge.Buffer;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>
/// Keeps the journal short: snapshots give up what is before the oldest message that waits, and old messages that keep too much alive that
/// nobody needs are appended anew. So a journal is beyond its limit only while so much waits.
/// </summary>
internal sealed partial class SessionStore
{
    private const long None = -1;

    /// <summary>Messages, and bytes of them, that are appended anew at a time.</summary>
    private const int MovedAtOnce = 10_000;
    private const long MovedBytesAtOnce = 4 << 20;

    /// <summary>Places of a queue that are looked at before others get to it.</summary>
    private const int LookedAtAtOnce = 1000;

    /// <summary>Least time between two snapshots that are made although the journal has not grown.</summary>
    private static readonly TimeSpan HoldInterval = TimeSpan.FromSeconds(10);

    /// <summary>Longest time until a snapshot that could not be saved is tried again; the first is <see cref="HoldInterval"/>.</summary>
    private static readonly TimeSpan MaxPause = TimeSpan.FromMinutes(5);

    /// <summary>
    /// Largest snapshot that may be saved in the place of the directory's reserve, and what larger ones leave free: the reserve is for what
    /// is small and makes room, such as the uplink's checkpoints.
    /// </summary>
    private const int SmallSnapshotBytes = 128 << 10;

    /// <summary>Bytes of a snapshot that are taken down before others get the lock, about.</summary>
    private const int DefaultPieceBytes = 64 << 10;

    // Under the lock.
    private readonly EntryWriter _snapshotWriter = new();
    private SnapshotTaking? _taking;
    private long _oldestPassed;
    private SnapshotPosition? _writing;
    private SnapshotPosition? _saved;
    private long _savedAt;
    private long _failedAt;

    /// <summary>Time after the last failure in which none is made; zero if the last one was saved.</summary>
    private TimeSpan _pause;
    private long _journalBytes;

    /// <summary>Messages that waited when the last snapshot was begun; more than there can be if it is of an earlier life.</summary>
    private long _savedMessages;

    /// <summary>What stands before it is being appended anew; <see cref="None"/> for nothing.</summary>
    private long _border = None;
    private bool _hasMoved;

    /// <summary>Whether one is to be made whatever has grown: messages were moved since, or the last could not be saved.</summary>
    private bool _isWanted;

    /// <summary>Bytes by which the journal grows between two snapshots.</summary>
    private long SnapshotStep => Math.Min(_options.SnapshotBytes, _options.MaxJournalBytes / 4);

    /// <inheritdoc cref="DefaultPieceBytes"/>
    public int PieceBytes { get; set; } = DefaultPieceBytes;

    /// <summary>Does what is due for the journal. Called after <see cref="Sweep"/>, by the same thread.</summary>
    /// <param name="pieces">Most pieces of a snapshot that are taken; the next call goes on.</param>
    public void KeepUp(int pieces = int.MaxValue)
    {
        bool isWritten;
        lock (_lock)
        {
            if (_isClosed || _journal.IsLost)
            {
                return;
            }
            _journal.Push();
            _journalBytes = _log.BytesBetween(_log.StartOffset, _log.AppendedEnd);
            if (_writing is null && _taking is null && IsSnapshotDue())
            {
                BeginSnapshot();
            }
        }
        TakePieces(pieces);
        lock (_lock)
        {
            isWritten = _writing is not null && !_journal.IsLost && _journal.Committed >= _writing.End;
        }
        try
        {
            if (isWritten)
            {
                FinishSnapshot();
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.SnapshotNotSaved(e.Message);
            lock (_lock)
            {
                // What it says is old when it is tried again.
                (_writing, _isWanted, _failedAt) = (null, true, _time.GetTimestamp());
                _pause = TimeSpan.FromTicks(Math.Clamp(2 * _pause.Ticks, HoldInterval.Ticks, MaxPause.Ticks));
            }
        }
        if (_border != None)
        {
            MoveOldMessages();
        }
    }

    private bool IsSnapshotDue()
    {
        if (_pause > TimeSpan.Zero && _time.GetElapsedTime(_failedAt) < _pause)
        {
            return false;
        }
        if (_isWanted || _log.BytesBetween(Math.Max(_saved?.Offset ?? 0, _log.StartOffset), _log.AppendedEnd) >= SnapshotStep)
        {
            return true;
        }
        if (_time.GetElapsedTime(_savedAt) < HoldInterval)
        {
            return false;
        }
        return (_holdsTopics && AreTopicsDue())
            // It grows no more: room is made by those who have taken their messages since.
            || (_journalBytes > _options.MaxJournalBytes && QueuedMessages < _savedMessages);
    }

    /// <summary>
    /// Topics are searched after a crash, and not trimmed, from the last snapshot on: so neither is ever much. Each record that is shipped
    /// waits to be trimmed, which is worth no snapshot unless room is needed.
    /// </summary>
    private bool AreTopicsDue()
    {
        IReadOnlyList<BufferPartition> partitions = _buffer.Partitions;
        return partitions.Sum(partition => partition.Log.BytesBetween(LimitOf(partition), partition.Log.AppendedEnd)) >= SnapshotStep
            || (_buffer.Space.NeedsRoom && partitions.Any(partition => partition.Hold.IsHolding));
    }

    /// <summary>Begins to take everything down. Under the lock.</summary>
    private void BeginSnapshot()
    {
        // First: what is known to be durable by then need not be searched, and what is not is found behind it.
        TopicOffset[] topics = [.. _buffer.Partitions.Select(p => new TopicOffset(p.Topic, p.Index, p.ToldEnd))];
        _taking = new SnapshotTaking(_snapshotWriter, _table, _journal.Next, topics);
        (_writing, _oldestPassed) = (null, long.MaxValue);
        _savedMessages = QueuedMessages;
        _isWanted = false;
    }

    /// <summary>Takes pieces of the snapshot that was begun. It may be saved when the journal is durable up to the end of the last.</summary>
    private void TakePieces(int most)
    {
        for (bool hasMore = true; hasMore && most > 0; most--)
        {
            SnapshotTaking taking;
            lock (_lock)
            {
                if (_taking is null || _journal.IsLost)
                {
                    return;
                }
                taking = _taking;
                hasMore = taking.TryTake(_journal.Next, PieceBytes);
                if (!hasMore)
                {
                    // What is lent now may go to a durable session before the snapshot is saved.
                    long oldest = Math.Min(taking.Position.Oldest, Math.Min(_oldestPassed, OldestLent()));
                    (_taking, _writing) = (null, taking.Position with { Oldest = oldest });
                    _journal.Push();
                }
            }
            taking.Keep();
        }
    }

    /// <summary>Saves the snapshot that was begun, and gives up what it makes superfluous.</summary>
    private void FinishSnapshot()
    {
        SnapshotPosition position = _writing!;
        SaveSnapshot();
        lock (_lock)
        {
            _writing = null;
            _pause = TimeSpan.Zero;
            Volatile.Write(ref _saved, position);
            _savedAt = _time.GetTimestamp();
            if (_journal.IsLost)
            {
                return;
            }
            _holdsTopics = position.UsesReceipts || _table.Sessions.Any(session => session.UsesReceipts);
            foreach (BufferPartition partition in _buffer.Partitions)
            {
                partition.Hold.Release(_holdsTopics ? LimitOf(partition) : long.MaxValue);
            }
            _log.AdvanceStart(Math.Min(Math.Min(position.Oldest, OldestLent()), _log.FlushedEnd));
            _journalBytes = _log.BytesBetween(_log.StartOffset, _log.AppendedEnd);
            _hasMoved = false;
            _border = IsMovingWorthwhile(position) ? position.Oldest + ((position.Offset - position.Oldest) / 2) : None;
        }
    }

    private void SaveSnapshot()
    {
        int length = _snapshotWriter.Written.Length;
        if (length <= SmallSnapshotBytes)
        {
            _log.SaveBeside(() => _file.Save(_snapshotWriter.Written));
            return;
        }
        long free = _buffer.Space.FreeBytes;
        if (free >= 0 && free < length + SmallSnapshotBytes)
        {
            throw new IOException($"it takes {length} bytes, and {free} are free on the disk");
        }
        _file.Save(_snapshotWriter.Written);
    }

    /// <summary>
    /// An old message that waits keeps all of the journal behind it. When half of that is needed by nobody, or a quarter when there is not
    /// much room left, the messages of its older half are appended anew, and the next snapshot gives their first places up.
    /// </summary>
    private bool IsMovingWorthwhile(SnapshotPosition position)
    {
        long held = _log.BytesBetween(position.Oldest, position.Offset);
        long unneeded = held - position.LiveBytes;
        return held >= SnapshotStep && (unneeded >= held / 2 || (held >= _options.MaxJournalBytes / 2 && unneeded >= held / 4));
    }

    /// <summary>
    /// Appends some of the old messages anew. They are read without the lock: what has been taken meanwhile is left out.
    /// </summary>
    private void MoveOldMessages()
    {
        Session[] all;
        lock (_lock)
        {
            all = [.. _table.Sessions];
        }
        List<(long Offset, List<EntryRecipient> Recipients)> old = FindOldest(all, _border);
        if (old.Count == 0)
        {
            lock (_lock)
            {
                (_border, _isWanted) = (None, _isWanted || _hasMoved);
            }
            return;
        }
        using var reader = new JournalReader(_log, Messages);
        var sessions = new HashSet<Session>(ReferenceEqualityComparer.Instance);
        long bytes = 0;
        try
        {
            foreach ((long offset, List<EntryRecipient> recipients) in old)
            {
                LocalMessage? message = reader.Read(offset);
                bytes += message?.Length ?? 0;
                bool isOn = TryMove(message, recipients, sessions);
                message?.Release();
                if (!isOn || bytes >= MovedBytesAtOnce)
                {
                    break;
                }
            }
        }
        catch (IOException e)
        {
            _logger.SessionsDamaged($"messages that wait can't be read at the moment: {e.Message}");
        }
        lock (_lock)
        {
            _journal.Push();
            foreach (Session session in sessions)
            {
                _journal.Notify(_journal.Next - 1, session); // its next message may be one of these
            }
        }
    }

    /// <summary>The oldest messages that somebody has not taken, up to an offset, with those who wait for them.</summary>
    private List<(long Offset, List<EntryRecipient> Recipients)> FindOldest(Session[] sessions, long upTo)
    {
        var offsets = new SortedSet<long>();
        var found = new Dictionary<long, List<EntryRecipient>>();
        foreach (Session session in sessions)
        {
            for (long at = 0; at != long.MaxValue;)
            {
                at = session.Outbound.ForEachStored((sequence, message, state) => Look(session, sequence, message, state), at, LookedAtAtOnce);
            }
        }

        void Look(Session session, long sequence, in OutboundMessage message, OutboundState state)
        {
            // One of a time when larger packets were taken stays where it is.
            if (message.Offset > upTo || state == OutboundState.Received || message.Size + MaxRecipientBytes > _buffer.MaxJournalEntryBytes)
            {
                return;
            }
            if (offsets.Add(message.Offset))
            {
                found.Add(message.Offset, []);
                if (offsets.Count > MovedAtOnce)
                {
                    found.Remove(offsets.Max);
                    offsets.Remove(offsets.Max);
                    upTo = offsets.Max;
                }
            }
            if (message.Offset <= upTo)
            {
                found[message.Offset].Add(new EntryRecipient(session.Number, 0, false, sequence, null, 0, null));
            }
        }
        return [.. offsets.Select(offset => (offset, found[offset]))];
    }

    /// <param name="message">The message; null if it is lost.</param>
    /// <param name="recipients">Who waited for it.</param>
    /// <param name="moved">Gets those who still do.</param>
    /// <returns>False if nothing can be written any more.</returns>
    private bool TryMove(LocalMessage? message, List<EntryRecipient> recipients, HashSet<Session> moved)
    {
        lock (_lock)
        {
            if (_isClosed || _journal.IsLost)
            {
                return false;
            }
            recipients.RemoveAll(to => _table.Find(to.Session)?.Outbound.Has(to.Sequence) != true);
            if (recipients.Count == 0)
            {
                return true;
            }
            moved.UnionWith(recipients.Select(to => _table.Find(to.Session)!));
            if (message is null)
            {
                GiveUp(recipients);
                return true;
            }
            long arrivedAt = _time.StampOf(message.ReceivedAt);
            _hasMoved = true;
            Change(
                _writer.Begin(EntryKind.MessageMoved)
                    .Message(MessageFlags.None, message.Qos, 0, 0, -1, arrivedAt, message.Topic, message.Properties, message.Payload)
                    .Recipients(CollectionsMarshal.AsSpan(recipients), isKnown: true),
                null, isLazy: true);
            return true;
        }
    }

    /// <summary>What is damaged is never sent: as it is when its turn comes.</summary>
    private void GiveUp(List<EntryRecipient> recipients)
    {
        foreach (EntryRecipient to in recipients)
        {
            Metrics.MessageDropped(MqttDropReason.Unreadable);
            Change(_writer.Begin(EntryKind.Acknowledged).Number(to.Session).Number(to.Sequence), null, isLazy: true);
        }
    }
}
