using Microsoft.Extensions.Logging;
using Tributary.Edge.Buffer;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Log;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>What is done from time to time: wills, sessions and retained messages whose time is over.</summary>
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
            if (!_journal.IsLost)
            {
                _table.Retained.RemoveExpired();
                return ExpireSessions();
            }
            if (!MayBeginAnew())
            {
                return [];
            }
        }
        BeginAnew();
        return [];
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
