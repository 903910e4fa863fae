using System.Security.Cryptography;
using Tributary.Broker.Gateway.Handlers;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway;

/// <summary>
/// The fetch sessions of all connections (KIP-227), so many and of so many partitions as the settings allow. A client that gets none is
/// served all the same: it sends whole requests. Callable from any thread; its lock is held for no look at a partition, and no session's is
/// taken under it.
/// </summary>
/// <remarks>
/// A new session takes the place of the one that was used least lately if that has been idle for the eviction time, or else of one that
/// has been there for as long and has fewer partitions: sessions are worth most to those who fetch much, and no newcomer may drive
/// another one out at once.
/// </remarks>
internal sealed class FetchSessionCache(BrokerOptions options, TimeProvider time, BrokerMetrics metrics)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<int, FetchSession> _sessions = [];

    /// <summary>Least lately used first.</summary>
    private readonly LinkedList<FetchSession> _uses = new();

    private long _partitions;

    /// <summary>Sessions, and partitions in them.</summary>
    public (int Sessions, long Partitions) Counts
    {
        get
        {
            lock (_lock)
            {
                return (_sessions.Count, _partitions);
            }
        }
    }

    /// <summary>Partitions of a session, 0 if there is none.</summary>
    public int SizeOf(int id)
    {
        lock (_lock)
        {
            return _sessions.TryGetValue(id, out FetchSession? session) ? session.CountedPartitions : 0;
        }
    }

    /// <summary>Finds the session of an incremental request and begins the request in it.</summary>
    /// <returns>None, or what the client is told.</returns>
    public ErrorCode Begin(FetchRequest body, bool byId, out FetchSession? session, out FetchWish[] wishes, out int epoch)
    {
        wishes = [];
        epoch = 0;
        long room;
        lock (_lock)
        {
            if (!_sessions.TryGetValue(body.SessionId, out session))
            {
                return ErrorCode.FetchSessionIdNotFound;
            }
            if (session.UsesTopicIds != byId)
            {
                return ErrorCode.FetchSessionTopicIdError;
            }
            room = options.MaxFetchSessionPartitions - _partitions;
        }
        ErrorCode error = session.Begin(body, room, out wishes, out epoch);
        lock (_lock)
        {
            if (error == ErrorCode.FetchSessionIdNotFound || (error == ErrorCode.None && wishes.Length == 0))
            {
                RemoveLocked(session.Id);
            }
            else if (error == ErrorCode.None && session.Use is { } use)
            {
                session.LastUsedAt = time.GetTimestamp();
                _uses.Remove(use);
                _uses.AddLast(use);
                CountLocked(session, wishes.Length);
            }
        }
        return error;
    }

    /// <summary>Ends a session, if it is there.</summary>
    public void Remove(int id)
    {
        lock (_lock)
        {
            RemoveLocked(id);
        }
    }

    /// <summary>Makes a session of a full answer.</summary>
    /// <returns>Its id; 0 if there is no place for it.</returns>
    public int Create(FetchTarget[] targets, bool byId)
    {
        if (targets.Length == 0)
        {
            return 0;
        }
        FetchSession session;
        lock (_lock)
        {
            if (!MakeRoomLocked(targets.Length))
            {
                return 0;
            }
            int id;
            do
            {
                id = RandomNumberGenerator.GetInt32(1, int.MaxValue);
            }
            while (_sessions.ContainsKey(id));
            session = new FetchSession(id, byId, time.GetTimestamp());
            _sessions.Add(id, session);
            session.Use = _uses.AddLast(session);
            CountLocked(session, targets.Length);
        }
        session.Fill(targets);
        return session.Id;
    }

    private bool MakeRoomLocked(int partitions)
    {
        while (_sessions.Count >= options.MaxFetchSessions || _partitions + partitions > options.MaxFetchSessionPartitions)
        {
            if (FindEvictable(partitions) is not { } evicted)
            {
                return false;
            }
            RemoveLocked(evicted.Id);
            metrics.FetchSessionEvicted();
        }
        return true;
    }

    private FetchSession? FindEvictable(int partitions)
    {
        if (_uses.First?.Value is not { } oldest)
        {
            return null;
        }
        if (time.GetElapsedTime(oldest.LastUsedAt) >= options.FetchSessionEviction)
        {
            return oldest;
        }
        FetchSession? smallest = null;
        foreach (FetchSession session in _uses)
        {
            if (session.CountedPartitions < (smallest?.CountedPartitions ?? partitions)
                && time.GetElapsedTime(session.CreatedAt) >= options.FetchSessionEviction)
            {
                smallest = session;
            }
        }
        return smallest;
    }

    private void RemoveLocked(int id)
    {
        if (_sessions.Remove(id, out FetchSession? session))
        {
            CountLocked(session, 0);
            _uses.Remove(session.Use!);
            session.Use = null;
        }
    }

    private void CountLocked(FetchSession session, int partitions)
    {
        _partitions += partitions - session.CountedPartitions;
        session.CountedPartitions = partitions;
    }
}
