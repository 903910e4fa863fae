using Microsoft.Extensions.Logging;
using Tributary.Contracts.Limits;
using Tributary.Edge.Buffer;
using Tributary.Edge.Clock;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>Sessions can't be served now: what they would have to remember can't be stored.</summary>
internal sealed class SessionsUnavailableException(string message) : Exception(message);

/// <summary>A client that wants in.</summary>
/// <param name="ClientId">Its identifier.</param>
/// <param name="User">Who it is; null for an anonymous one.</param>
/// <param name="CleanStart">Whether a former session of it is to be forgotten.</param>
/// <param name="Expiry">Seconds that the session shall live without a connection.</param>
/// <param name="Will">Its will, null for none.</param>
internal sealed record SessionStart(string ClientId, string? User, bool CleanStart, uint Expiry, Will? Will);

/// <summary>The session that a client got.</summary>
/// <param name="Session">The session.</param>
/// <param name="IsPresent">Whether it was there before.</param>
/// <param name="Offset">Offset of the journal's entry that has to be durable before the client is told; −1 for none.</param>
/// <param name="Due">Will of the client's former session, which is to be published now; null for none.</param>
internal readonly record struct SessionGiven(Session Session, bool IsPresent, long Offset, DueWill? Due);

/// <summary>A will that is to be published.</summary>
internal sealed record DueWill(Session Session, Will Will);

/// <summary>
/// The sessions and the retained messages, and what they promise: what a client was told is as it was after any crash. Each change of a
/// durable session goes to the journal first and then to the table, by the same code as after a crash.
/// <para>Promises: a message is acknowledged when its record and its journal entry, if it has one, are durable; a QoS 2 message stands in
/// its topic once and reaches each subscriber once; a subscriber's PUBREC is durable before PUBREL leaves; sessions, their subscriptions
/// and the messages that wait for them, wills and retained messages outlive the process. After a write that failed, everything is read
/// anew from the disk, as after a crash, and durable sessions are not served until then.</para>
/// <para>Threads: any; one lock, taken before those of queues, ingest, journal and log. <see cref="Sweep"/> is called about once a second,
/// by one thread at a time.</para>
/// </summary>
internal sealed partial class SessionStore : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly EdgeBuffer _buffer;
    private readonly MqttOptions _options;
    private readonly EdgeClock _time;
    private readonly ILogger _logger;
    private readonly PartitionLog _log;
    private readonly SessionSnapshot _file;
    private readonly LineLimit<MqttDropReason> _lines;

    // Under the lock.
    private SessionTable _table;
    private readonly EntryWriter _writer = new();
    private SessionJournal _journal;
    private bool _isClosed;

    private long _volatileNumbers;

    private SessionStore(EdgeBuffer buffer, IStorage storage, MqttOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        _buffer = buffer;
        _options = options.Validate();
        _time = EdgeClock.Of(time);
        _logger = loggers.CreateLogger<SessionStore>();
        _lines = new LineLimit<MqttDropReason>(time);
        Messages = new LocalMessages(options, Metrics, time);
        _system = new RetainedMessages(time);
        Delivery = new LocalDelivery(Subscriptions, Metrics, PassOn);
        _log = buffer.OpenJournal(options.MaxPacketBytes);
        _file = new SessionSnapshot(storage, $"{buffer.Directory.Path}/{EdgeBuffer.JournalName}");
        try
        {
            Adopt(Read());
        }
        catch
        {
            Metrics.Dispose();
            throw;
        }
        buffer.Subscribe(Opened);
        buffer.Space.BeginToDrop();
        _logger.SessionsOpened(_table.Sessions.Count, QueuedMessages, _table.Retained.Count);
    }

    /// <summary>All subscriptions, of durable sessions and others.</summary>
    public SubscriptionTrie Subscriptions { get; } = new();

    /// <summary>Messages kept for subscribers.</summary>
    public LocalMessages Messages { get; }

    /// <summary>Gives messages that are not in the journal to subscribers.</summary>
    public LocalDelivery Delivery { get; }

    /// <summary>What is counted.</summary>
    public MqttMetrics Metrics { get; } = new();

    /// <summary>The offset before which the journal is durable.</summary>
    public long Committed => Volatile.Read(ref _journal).Committed;

    /// <summary>Messages that wait for durable sessions.</summary>
    private long QueuedMessages => _table.Sessions.Sum(session => session.Outbound.StoredMessages);

    /// <summary>Opens the journal and makes the sessions anew. Nothing may be trimmed or taken in before.</summary>
    /// <exception cref="IOException">The disk can't be read.</exception>
    public static SessionStore Open(EdgeBuffer buffer, IStorage storage, MqttOptions options, TimeProvider time, ILoggerFactory loggers) =>
        new(buffer, storage, options, time, loggers);

    /// <summary>Completes when the journal's entry at that offset is durable.</summary>
    /// <exception cref="IOException">It is lost.</exception>
    public Task WaitAsync(long offset) => offset < 0 ? Task.CompletedTask : Volatile.Read(ref _journal).WaitAsync(offset);

    /// <summary>
    /// Gives a client that has no other connection its session. One of another user by the same identifier ends: what waits there is
    /// nobody else's.
    /// </summary>
    /// <exception cref="SessionsUnavailableException">It can't be stored now.</exception>
    /// <exception cref="MqttProtocolException">There are too many, or there is no memory for the will.</exception>
    public SessionGiven Connect(SessionStart start, ISessionConnection connection, int window)
    {
        lock (_lock)
        {
            uint expiry = ExpiryOf(start.Expiry);
            Session? session = _table.Find(start.ClientId);
            if (session is null && expiry == 0)
            {
                return new SessionGiven(NewVolatile(start.ClientId, connection, window), false, -1, null);
            }
            ThrowIfUnavailable();
            CheckWill(expiry == 0 ? null : start.Will);
            DueWill? due = null;
            long offset = -1;
            if (session is not null && (start.CleanStart || session.User != start.User))
            {
                due = session is { IsWillDue: true, Will: { } will } ? new DueWill(session, will) : null;
                offset = EndDurable(session);
                session = null;
            }
            if (session is null && expiry == 0)
            {
                return new SessionGiven(NewVolatile(start.ClientId, connection, window), false, offset, due);
            }
            bool isPresent = session is not null;
            if (session is null)
            {
                CheckSessions();
                offset = Change(
                    _writer.Begin(EntryKind.SessionOpened).Number(_table.NextNumber).Text(start.ClientId).User(start.User).Number(expiry), null);
                session = _table.Find(start.ClientId)!;
            }
            else if (session.Expiry != expiry)
            {
                offset = Change(_writer.Begin(EntryKind.SessionChanged).Number(session.Number).Number(expiry), null);
            }
            if (session.LeftAt != 0)
            {
                // It is durable before the client is told, or a crash would count its absence from too early.
                offset = Change(_writer.Begin(EntryKind.Left).Number(session.Number).Number(0), null);
            }
            session.IsWillDue = false;
            offset = Math.Max(offset, SetWill(session, start.Will));
            offset = Changed(session, offset);
            session.Connection = connection;
            session.Outbound.Begin(connection, window);
            if (_journal.Next > _journal.Committed)
            {
                // What came while it was away may not be durable yet; nobody was to hear of that.
                _journal.Push();
                _journal.Notify(_journal.Next - 1, session);
            }
            return new SessionGiven(session, isPresent, offset, due);
        }
    }

    /// <summary>The longest time that a session may live, and what the client asked for at most.</summary>
    public uint ExpiryOf(uint asked) => Math.Min(asked, (uint)_options.MaxSessionExpiry.TotalSeconds);

    /// <summary>
    /// The session's connection has ended. A will that is due now was published before, one that has a delay is published later. A session
    /// that does not outlive its connection ends.
    /// </summary>
    /// <param name="session">The session.</param>
    /// <param name="connection">The connection.</param>
    /// <param name="keepsWill">Whether the will, if there is one, waits for its delay.</param>
    /// <param name="expiry">Seconds that the session shall live, if DISCONNECT said so.</param>
    public void Disconnect(Session session, ISessionConnection connection, bool keepsWill, uint? expiry)
    {
        lock (_lock)
        {
            if (!ReferenceEquals(session.Connection, connection))
            {
                return;
            }
            session.Connection = null;
            session.AbsentSince = session.ExpiresFrom = _time.GetTimestamp();
            if (!session.IsDurable)
            {
                EndVolatile(session);
                return;
            }
            session.Outbound.Detach(connection);
            if (!_journal.IsLost && ReferenceEquals(_table.Find(session.Number), session))
            {
                session.IsWillDue = keepsWill && session.Will is not null;
                if (expiry is { } changed && ExpiryOf(changed) != session.Expiry)
                {
                    Change(_writer.Begin(EntryKind.SessionChanged).Number(session.Number).Number(ExpiryOf(changed)), null);
                }
                if (!keepsWill)
                {
                    SetWill(session, null);
                }
                if (session.Expiry == 0)
                {
                    EndDurable(session);
                }
                else if (_table.LeftAtOf(session) is not 0 and var at)
                {
                    Change(_writer.Begin(EntryKind.Left).Number(session.Number).Number(at), null, isLazy: true);
                }
            }
        }
    }

    /// <summary>Subscribes, and sends retained messages.</summary>
    /// <returns>Offset of the entry that has to be durable before the client is told; −1 for none.</returns>
    /// <exception cref="SessionsUnavailableException">It can't be stored now.</exception>
    public long Subscribe(Session session, ReadOnlySpan<byte> filter, SubscriptionOptions options, uint identifier)
    {
        lock (_lock)
        {
            bool isNew = !session.HasSubscription(filter);
            long offset = -1;
            if (session.IsDurable)
            {
                ThrowIfUnavailable(session);
                offset = Changed(session, Change(
                    _writer.Begin(EntryKind.Subscribed).Number(session.Number).Bytes(filter).Byte(options.ToByte()).Number(identifier), null));
            }
            else
            {
                session.Subscribe(filter, options, identifier);
            }
            bool wantsRetained = options.RetainHandling == 0 || (options.RetainHandling == 1 && isNew);
            if (wantsRetained && !TopicRules.IsShared(filter))
            {
                offset = Math.Max(offset, SendRetained(session, filter, options, identifier));
            }
            return offset;
        }
    }

    /// <summary>Ends a subscription.</summary>
    /// <returns>Whether there was one, and the offset as in <see cref="Subscribe"/>.</returns>
    /// <exception cref="SessionsUnavailableException">It can't be stored now.</exception>
    public (bool Existed, long Offset) Unsubscribe(Session session, ReadOnlySpan<byte> filter)
    {
        lock (_lock)
        {
            if (!session.IsDurable)
            {
                return (session.Unsubscribe(filter), -1);
            }
            ThrowIfUnavailable(session);
            return session.HasSubscription(filter)
                ? (true, Changed(session, Change(_writer.Begin(EntryKind.Unsubscribed).Number(session.Number).Bytes(filter), null)))
                : (false, Changed(session, -1));
        }
    }

    /// <summary>Notes the entry of a change, −1 for none: what an earlier connection changed may not be durable either.</summary>
    /// <returns>Offset of the entry that has to be durable before the client is told; −1 for none.</returns>
    private long Changed(Session session, long offset)
    {
        session.LastChange = Math.Max(session.LastChange, offset);
        return session.LastChange >= _journal.Committed ? session.LastChange : -1;
    }

    /// <summary>
    /// Whether a will that <see cref="Sweep"/> gave out is still to be published: not if the client has come back meanwhile, or everything
    /// is to be read anew.
    /// </summary>
    public bool IsStillDue(DueWill due)
    {
        lock (_lock)
        {
            return IsCurrent(due.Session) && due.Session.Connection is null && ReferenceEquals(due.Session.Will, due.Will);
        }
    }

    /// <summary>The will was published. The client may have come back since, with another one.</summary>
    public void WillPublished(DueWill due)
    {
        lock (_lock)
        {
            if (IsCurrent(due.Session) && ReferenceEquals(due.Session.Will, due.Will))
            {
                SetWill(due.Session, null);
            }
        }
    }

    /// <summary>What there is of sessions and retained messages.</summary>
    public SessionCounts Count()
    {
        lock (_lock)
        {
            return new SessionCounts(
                _table.Sessions.Count, _table.Sessions.Count(session => session.Connection is not null), QueuedMessages,
                _table.Sessions.Sum(session => session.Outbound.StoredBytes), _table.Retained.Count, _table.Retained.Bytes,
                _log.BytesBetween(_log.StartOffset, _log.AppendedEnd), _journal.IsLost ? "they can't be stored at the moment" : null);
        }
    }

    /// <summary>Writes what is left, and a snapshot, so that the next start has little to do. No connection may be there any more.</summary>
    public async ValueTask DisposeAsync()
    {
        SessionJournal journal;
        lock (_lock)
        {
            _isClosed = true;
            journal = _journal;
        }
        try
        {
            if (journal.Next > _log.StartOffset && !journal.IsLost)
            {
                lock (_lock)
                {
                    BeginSnapshot();
                }
                TakePieces(int.MaxValue);
                await journal.WaitAsync(journal.Next - 1);
                FinishSnapshot();
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.SnapshotNotSaved(e.Message); // the next start reads the journal instead
        }
        Metrics.Dispose();
    }

    /// <summary>Writes an entry and does what it says. Under the lock.</summary>
    private long Change(EntryWriter entry, ICommitListener? listener, bool isLazy = false)
    {
        long offset = _journal.Append(entry.Written, listener, isLazy);
        _journalBytes += entry.Written.Length;
        _table.Apply(entry.Written, offset);
        return offset;
    }

    private Session NewVolatile(string clientId, ISessionConnection connection, int window)
    {
        var queue = new OutboundQueue(_options.MaxOutboundBytes, _options.MaxDeliveryBytes, Metrics);
        queue.Begin(connection, window);
        return new Session(--_volatileNumbers, new IngestClient(clientId), queue, Subscriptions, Metrics) { Connection = connection };
    }

    /// <returns>Offset of the entry, −1 if nothing has changed.</returns>
    private long SetWill(Session session, Will? will)
    {
        if (will is not null)
        {
            return Change(SessionTable.WriteWill(_writer.Begin(EntryKind.WillSet).Number(session.Number), will), null);
        }
        return session.Will is null ? -1 : Change(_writer.Begin(EntryKind.WillCleared).Number(session.Number), null);
    }

    /// <summary>Ends a durable session; what it has of shared subscriptions goes to others.</summary>
    private long EndDurable(Session session)
    {
        PassOn(session.Outbound.TakeShared(), session);
        session.Connection = null;
        return Change(_writer.Begin(EntryKind.SessionEnded).Number(session.Number), null);
    }

    private void EndVolatile(Session session)
    {
        List<LeftMessage> left = session.Outbound.TakeShared();
        session.End();
        PassOn(left, session);
    }

    private void CheckSessions()
    {
        if (_table.Sessions.Count >= _options.MaxSessions)
        {
            throw new MqttProtocolException(
                MqttCloseReason.TooManySessions, ReasonCode.QuotaExceeded,
                $"there are {_table.Sessions.Count} sessions to be kept; the setting mqtt:maxSessions allows {_options.MaxSessions}");
        }
    }

    /// <summary>A durable session's will stays in memory when its connection is gone, and after a start.</summary>
    private void CheckWill(Will? will)
    {
        if (will is not null && Metrics.ClientBytes + will.Size > _options.MaxClientBytes)
        {
            throw new MqttProtocolException(
                MqttCloseReason.ClientMemory, ReasonCode.ServerUnavailable, "there is no memory for the will (mqtt:maxClientBytes)");
        }
    }

    /// <param name="session">One that may be of an earlier life.</param>
    private void ThrowIfUnavailable(Session? session = null)
    {
        if (_journal.IsLost || _isClosed || (session is not null && !ReferenceEquals(_table.Find(session.Number), session)))
        {
            throw new SessionsUnavailableException("sessions can't be stored at the moment");
        }
    }
}

/// <summary>What there is of sessions and retained messages.</summary>
/// <param name="Sessions">Durable sessions.</param>
/// <param name="Connected">Those of them that have a connection.</param>
/// <param name="QueuedMessages">Messages that wait for them, or for their acknowledgement.</param>
/// <param name="QueuedBytes">Bytes of these.</param>
/// <param name="Retained">Retained messages.</param>
/// <param name="RetainedBytes">Bytes of memory that these take, about.</param>
/// <param name="JournalBytes">Bytes of the journal.</param>
/// <param name="Unavailable">Why durable sessions are not served; null if they are.</param>
internal sealed record SessionCounts(
    int Sessions, int Connected, long QueuedMessages, long QueuedBytes, int Retained, long RetainedBytes, long JournalBytes,
    string? Unavailable);
