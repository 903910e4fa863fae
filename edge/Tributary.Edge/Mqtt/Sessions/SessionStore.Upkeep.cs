using Microsoft.Extensions.Logging;
using Tributary.Edge.Buffer;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Log;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>What is done from time to time: wills, sessions and retained messages whose time is over, and the way back after a failed write.</summary>
internal sealed partial class SessionStore
{
    private volatile bool _holdsTopics;

    /// <summary>Ends what has lived long enough. <see cref="KeepUp"/> follows.</summary>
    /// <returns>Wills to be published if <see cref="IsStillDue"/>; <see cref="WillPublished"/> follows.</returns>
    public List<DueWill> Sweep()
    {
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
            _table.Retained.RemoveExpired();
            return ExpireSessions();
        }
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
        var recovery = new SessionRecovery(_log, _file, _buffer.Partitions, _table, _logger);
        SnapshotPosition? position = recovery.Run();
        if (recovery.IsSnapshotAhead)
        {
            position = _table.Write(
                _snapshotWriter, _log.AppendedEnd,
                [.. _buffer.Partitions.Select(p => new TopicOffset(p.Topic, p.Index, p.Log.FlushedEnd))]);
            _log.SaveBeside(() => _file.Save(_snapshotWriter.Written));
        }
        _saved = position;
        (_savedAt, _savedMessages) = (_time.GetTimestamp(), long.MaxValue);
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
        if (isAnybodyThere || _log.OfflineReason is not null || _log.AppendedEnd != _log.FlushedEnd || IsAnyRecordUndecided())
        {
            return;
        }
        _logger.SessionsLost("a write failed");
        _table.Clear();
        (_taking, _writing, _border) = (null, null, None);
        try
        {
            Recover();
        }
        catch (IOException e)
        {
            _logger.SessionsLost(e.Message); // the journal has ended yet, so the next look tries again
        }
    }

    /// <summary>Whether a record with a receipt is on its way to the disk: a search now would miss it, and it would be there later.</summary>
    private bool IsAnyRecordUndecided() => _table.Sessions.Any(session => session.Receipts.Pending.Any(
        pending => pending.Value is { IsCommitted: false, Stream: { IsLost: false } }));

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
}
