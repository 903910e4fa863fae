using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;
using Tributary.Edge.Buffer;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Log;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>
/// The beginning, and the way back after a write that failed: everything is read from the disk into another table, without the lock, while
/// the journal that has ended says to all who ask that durable sessions are not served. The former subscriptions stand until the new ones
/// do: a message that somebody has to remember is not taken for one that nobody wants.
/// </summary>
internal sealed partial class SessionStore
{
    /// <summary>Time until a beginning that failed is tried again at first, and at most.</summary>
    private static readonly TimeSpan FirstAnewPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan MaxAnewPause = TimeSpan.FromMinutes(1);

    // Under the lock.
    private long _anewFailedAt;
    private TimeSpan _anewPause;

    /// <summary>What was read.</summary>
    /// <param name="Table">All that there is.</param>
    /// <param name="Position">What the snapshot says of its position, null if there is none.</param>
    /// <param name="Unsaved">Why a snapshot that must be saved before anything is written was not; null otherwise.</param>
    private sealed record Recovered(SessionTable Table, SnapshotPosition? Position, string? Unsaved);

    /// <summary>Reads everything. Used by one thread, without the lock: nobody else knows of what is read.</summary>
    /// <exception cref="IOException">The disk can't be read.</exception>
    private Recovered Read()
    {
        var table = new SessionTable(_options, Subscriptions, Metrics, _time);
        try
        {
            var recovery = new SessionRecovery(_log, _file, _buffer.Partitions, table, _logger);
            SnapshotPosition? position = recovery.Run();
            string? unsaved = null;
            if (recovery.IsSnapshotAhead)
            {
                position = table.Write(
                    _snapshotWriter, _log.AppendedEnd,
                    [.. _buffer.Partitions.Select(p => new TopicOffset(p.Topic, p.Index, p.Log.FlushedEnd))]);
                unsaved = TrySave();
            }
            foreach (Session session in table.Sessions)
            {
                session.Outbound.MarkSent(_options.MaxOutboundInFlight);
                session.AbsentSince = _time.GetTimestamp();
                session.ExpiresFrom = table.ExpiresFromOf(session);
                session.IsWillDue = session.Will is not null;
            }
            return new Recovered(table, position, unsaved);
        }
        catch
        {
            table.Clear();
            throw;
        }
    }

    /// <returns>Why it could not be saved, null if it was.</returns>
    private string? TrySave()
    {
        try
        {
            _log.SaveBeside(() => _file.Save(_snapshotWriter.Written));
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"the snapshot could not be saved: {e.Message}";
        }
    }

    /// <summary>Begins with what was read. Under the lock.</summary>
    [MemberNotNull(nameof(_table), nameof(_journal))]
    private void Adopt(Recovered recovered)
    {
        _table = recovered.Table;
        // A position that is not on disk holds nothing: the next reading begins where the last snapshot is.
        _saved = recovered.Unsaved is null ? recovered.Position : _saved;
        (_savedAt, _savedMessages) = (_time.GetTimestamp(), long.MaxValue);
        _holdsTopics = recovered.Unsaved is not null || _table.Sessions.Any(session => session.UsesReceipts);
        foreach (BufferPartition partition in _buffer.Partitions)
        {
            partition.Hold.Release(_holdsTopics ? LimitOf(partition) : long.MaxValue);
        }
        _journal = new SessionJournal(_log, _buffer, _time, recovered.Unsaved);
        _journalBytes = _log.BytesBetween(_log.StartOffset, _log.AppendedEnd);
        if (recovered.Unsaved is null)
        {
            _anewPause = TimeSpan.Zero;
        }
        else
        {
            NotBegun(recovered.Unsaved);
        }
    }

    /// <summary>After a write that failed: everybody out, and then what is on disk counts. Under the lock.</summary>
    /// <returns>Whether <see cref="BeginAnew"/> may follow.</returns>
    private bool MayBeginAnew()
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
        return !isAnybodyThere && _log.OfflineReason is null && _log.AppendedEnd == _log.FlushedEnd && !IsAnyRecordUndecided()
            && (_anewPause == TimeSpan.Zero || _time.GetElapsedTime(_anewFailedAt) >= _anewPause);
    }

    private void BeginAnew()
    {
        Session[] former;
        lock (_lock)
        {
            _logger.SessionsLost(_journal.LossReason ?? "");
            (_taking, _writing, _border) = (null, null, None);
            former = [.. _table.Sessions];
        }
        EndAll(former, static session => session.Outbound.End()); // the new ones need the memory
        try
        {
            Recovered recovered = Read();
            EndAll(former, static session => session.End());
            lock (_lock)
            {
                Adopt(recovered);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            lock (_lock)
            {
                NotBegun(e.Message); // the journal has ended yet, so it is tried again
            }
        }
    }

    /// <summary>Ends sessions that nobody can use any more, one after the other.</summary>
    private void EndAll(Session[] sessions, Action<Session> end)
    {
        foreach (Session session in sessions)
        {
            lock (_lock)
            {
                end(session);
            }
        }
    }

    private void NotBegun(string reason)
    {
        _anewFailedAt = _time.GetTimestamp();
        _anewPause = TimeSpan.FromTicks(Math.Clamp(2 * _anewPause.Ticks, FirstAnewPause.Ticks, MaxAnewPause.Ticks));
        _logger.SessionsNotBegun(reason, _anewPause);
    }

    /// <summary>Whether a record with a receipt is on its way to the disk: a search now would miss it, and it would be there later.</summary>
    private bool IsAnyRecordUndecided() => _table.Sessions.Any(session => session.Receipts.Pending.Any(
        pending => pending.Value is { IsCommitted: false, Stream: { IsLost: false } }));
}
