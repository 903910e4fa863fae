using Microsoft.Extensions.Logging;
using Tributary.Edge.Buffer;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Log;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>What is done from time to time: wills, sessions and retained messages whose time is over.</summary>
internal sealed partial class SessionStore
{
    /// <summary>What the wall's clock may gain or lose in comparison with the other one before it is taken for set.</summary>
    private static readonly TimeSpan ClockTolerance = TimeSpan.FromSeconds(10);

    private volatile bool _holdsTopics;

    /// <summary>When the clock that never jumps was zero, in Unix milliseconds by the wall's clock.</summary>
    private long? _startedAt;

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
                LookAtClock();
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

    /// <summary>
    /// When the clock is set, what is stored of the times when sessions lost their connections is wrong: the next snapshot has them by the
    /// new one.
    /// </summary>
    private void LookAtClock()
    {
        long startedAt = _time.GetUtcNow().ToUnixTimeMilliseconds() - (long)_time.GetElapsedTime(0).TotalMilliseconds;
        if (_startedAt is not { } before)
        {
            _startedAt = startedAt;
        }
        else if (Math.Abs(startedAt - before) > ClockTolerance.TotalMilliseconds)
        {
            (_startedAt, _isWanted) = (startedAt, true);
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
            partition.Hold.Release(LimitOf(partition));
        }
    }

    /// <summary>A partition was opened, or is open.</summary>
    private void Opened(BufferPartition partition)
    {
        if (_holdsTopics)
        {
            partition.Hold.Release(LimitOf(partition));
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
            bool isOver = _time.GetElapsedTime(session.ExpiresFrom).TotalSeconds >= session.Expiry;
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
