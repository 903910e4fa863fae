using Microsoft.Extensions.Logging;
using Tributary.Edge.Buffer;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Log;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>What is done from time to time: wills and sessions whose time is over, snapshots, and the way back after a failed write.</summary>
internal sealed partial class SessionStore
{
    /// <summary>Least time between two snapshots that are made only so that topics can be trimmed.</summary>
    private static readonly TimeSpan HoldInterval = TimeSpan.FromSeconds(10);

    /// <summary>Messages that are appended anew at a time.</summary>
    private const int MovedAtOnce = 1000;

    // Under the lock.
    private readonly EntryWriter _snapshotWriter = new();
    private SnapshotPosition? _writing;
    private SnapshotPosition? _saved;
    private long _savedAt;
    private long _journalBytes;
    private volatile bool _holdsTopics;

    /// <summary>Does what is due.</summary>
    /// <returns>Wills to be published; <see cref="WillPublished"/> follows.</returns>
    public List<DueWill> Sweep()
    {
        List<DueWill> wills;
        bool isDue;
        lock (_lock)
        {
            if (_isClosed)
            {
                return [];
            }
            if (_journal.IsLost)
            {
                TryBeginAnew();
                return [];
            }
            wills = ExpireSessions();
            _journal.Push();
            _journalBytes = _log.BytesBetween(_log.StartOffset, _log.AppendedEnd);
            isDue = _writing is not null ? _journal.Committed >= _writing.Offset : IsSnapshotDue();
            if (isDue && _writing is null)
            {
                BeginSnapshot();
                isDue = _journal.Committed >= _writing!.Offset;
            }
        }
        if (isDue)
        {
            try
            {
                FinishSnapshot();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                _logger.SnapshotNotSaved(e.Message);
            }
        }
        return wills;
    }

    /// <summary>From now on topics are not trimmed beyond what a recovery has to search. Under the lock.</summary>
    private void HoldTopics()
    {
        if (_holdsTopics)
        {
            return;
        }
        _holdsTopics = true;
        foreach (BufferPartition partition in _buffer.Partitions)
        {
            partition.Hold.Release(partition.Log, LimitOf(partition));
        }
    }

    /// <summary>A partition was opened, or is open.</summary>
    private void Opened(BufferPartition partition)
    {
        if (_holdsTopics)
        {
            partition.Hold.Release(partition.Log, LimitOf(partition));
        }
    }

    private long LimitOf(BufferPartition partition) => Volatile.Read(ref _saved)?.Topics
        .FirstOrDefault(at => at.Topic == partition.Topic && at.Index == partition.Index).Offset ?? 0;

    private SessionJournal Recover()
    {
        SnapshotPosition? position = new SessionRecovery(_log, _file, _buffer.Partitions, _table, _logger).Run();
        _saved = position;
        _savedAt = _time.GetTimestamp();
        _holdsTopics = false;
        if (_table.Sessions.Any(session => session.UsesReceipts))
        {
            HoldTopics();
        }
        var journal = new SessionJournal(_log, _buffer, _time);
        _journal = journal;
        _journalBytes = _log.BytesBetween(_log.StartOffset, _log.AppendedEnd);
        foreach (Session session in _table.Sessions.ToList())
        {
            session.Outbound.MarkSent(_options.MaxOutboundInFlight);
            session.AbsentSince = _time.GetTimestamp();
            session.IsWillDue = session.Will is not null;
        }
        return journal;
    }

    /// <summary>After a write that failed: everybody out, and then what is on disk counts.</summary>
    private void TryBeginAnew()
    {
        bool isAnybodyThere = false;
        foreach (Session session in _table.Sessions)
        {
            if (session.Connection is { } connection)
            {
                isAnybodyThere = true;
                connection.Close(MqttCloseReason.MessagesLost, ReasonCode.ServerUnavailable, "sessions could not be stored");
            }
        }
        if (isAnybodyThere || _log.OfflineReason is not null || _log.AppendedEnd != _log.FlushedEnd)
        {
            return;
        }
        _logger.SessionsLost("a write failed");
        _table.Clear();
        _writing = null;
        try
        {
            Recover();
        }
        catch (IOException e)
        {
            _logger.SessionsLost(e.Message); // the journal has ended yet, so the next look tries again
        }
    }

    /// <summary>Ends sessions that have been without a connection for too long, and finds wills whose delay is over.</summary>
    private List<DueWill> ExpireSessions()
    {
        var wills = new List<DueWill>();
        List<Session>? expired = null;
        foreach (Session session in _table.Sessions)
        {
            if (session.Connection is not null)
            {
                continue;
            }
            double absent = _time.GetElapsedTime(session.AbsentSince).TotalSeconds;
            bool isOver = absent >= session.Expiry;
            if (session is { IsWillDue: true, Will: { } will } && (isOver || absent >= will.DelaySeconds))
            {
                session.IsWillDue = false;
                wills.Add(new DueWill(session, will));
            }
            else if (isOver)
            {
                // With a will, the next time: then it was published.
                (expired ??= []).Add(session);
            }
        }
        foreach (Session session in expired ?? [])
        {
            EndDurable(session);
        }
        return wills;
    }

    private bool IsSnapshotDue()
    {
        long written = _log.BytesBetween(Math.Max(_saved?.Offset ?? 0, _log.StartOffset), _log.AppendedEnd);
        return written >= _options.SnapshotBytes
            || (_holdsTopics && _time.GetElapsedTime(_savedAt) >= HoldInterval && _buffer.Partitions.Any(partition => partition.Hold.IsHolding));
    }

    /// <summary>Takes everything down as it is now. It may be saved when the journal is durable up to here. Under the lock.</summary>
    private void BeginSnapshot()
    {
        // First: what is durable by then need not be searched, and what is not is found behind it.
        TopicOffset[] topics = [.. _buffer.Partitions.Select(p => new TopicOffset(p.Topic, p.Index, p.Log.FlushedEnd))];
        _writing = _table.Write(_snapshotWriter.Begin(), _journal.Next, topics);
        _journal.Push();
    }

    /// <summary>Saves the snapshot that was begun, and gives up what it makes superfluous.</summary>
    private void FinishSnapshot()
    {
        SnapshotPosition position = _writing!;
        _log.SaveBeside(() => _file.Save(_snapshotWriter.Written));
        lock (_lock)
        {
            _writing = null;
            Volatile.Write(ref _saved, position);
            _savedAt = _time.GetTimestamp();
            if (_journal.IsLost)
            {
                return;
            }
            _holdsTopics = _table.Sessions.Any(session => session.UsesReceipts);
            foreach (BufferPartition partition in _buffer.Partitions)
            {
                partition.Hold.Release(partition.Log, _holdsTopics ? LimitOf(partition) : long.MaxValue);
            }
            _log.AdvanceStart(Math.Min(position.Oldest, _log.FlushedEnd));
            if (!_isClosed)
            {
                MoveOldMessages(position);
            }
        }
    }

    /// <summary>
    /// An old message that waits keeps all of the journal behind it. When more than half of that is needed by nobody, the messages of its
    /// older half are appended anew, and the next snapshot gives their first places up.
    /// </summary>
    private void MoveOldMessages(SnapshotPosition position)
    {
        long held = _log.BytesBetween(position.Oldest, position.Offset);
        if (held < _options.SnapshotBytes || held < 2 * position.LiveBytes)
        {
            return;
        }
        long border = position.Oldest + ((position.Offset - position.Oldest) / 2);
        var old = new SortedDictionary<long, List<EntryRecipient>>();
        foreach (Session session in _table.Sessions)
        {
            session.Outbound.ForEachStored((sequence, message, _) =>
            {
                if (message.Offset <= border)
                {
                    if (!old.TryGetValue(message.Offset, out List<EntryRecipient>? recipients))
                    {
                        old.Add(message.Offset, recipients = []);
                    }
                    recipients.Add(new EntryRecipient(session.Number, 0, false, sequence, null, 0, null));
                }
            });
        }
        using var reader = new JournalReader(_log, Messages);
        foreach ((long offset, List<EntryRecipient> recipients) in old.Take(MovedAtOnce))
        {
            Move(reader, offset, recipients);
        }
    }

    private void Move(JournalReader reader, long offset, List<EntryRecipient> recipients)
    {
        if (reader.Read(offset) is not { } message)
        {
            return;
        }
        long arrivedAt = _time.GetUtcNow().ToUnixTimeMilliseconds() - (long)_time.GetElapsedTime(message.ReceivedAt).TotalMilliseconds;
        long moved = Change(
            _writer.Begin(EntryKind.MessageMoved)
                .Message(MessageFlags.None, message.Qos, 0, 0, -1, arrivedAt, message.Topic, message.Properties, message.Payload)
                .Recipients(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(recipients), withSequences: true),
            null);
        message.Release();
        foreach (EntryRecipient recipient in recipients)
        {
            if (_table.Find(recipient.Session) is { Connection: not null } session)
            {
                _journal.Notify(moved, session); // it may have been woken for the old place in between, and found nothing to send
            }
        }
    }
}
