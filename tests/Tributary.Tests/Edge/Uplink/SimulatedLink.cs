using Microsoft.Extensions.Time.Testing;
using Tributary.Edge.Uplink;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>
/// A link in virtual time: one queue without end (socket buffers, modems) that is served at a rate, half a round trip each way, and
/// partitions that send over it as <see cref="LinkShare"/> lets them.
/// </summary>
internal sealed class SimulatedLink
{
    private readonly PriorityQueue<Action, (TimeSpan At, long Number)> _events = new();
    private long _number;
    private TimeSpan _freeAt;

    public SimulatedLink(double bytesPerSecond, TimeSpan roundTrip, Func<TimeProvider, LinkShare>? share = null, DateTimeOffset? start = null)
    {
        BytesPerSecond = bytesPerSecond;
        RoundTrip = roundTrip;
        Clock = new FakeTimeProvider(start ?? new DateTimeOffset(2026, 1, 1, 12, 0, 0, TimeSpan.Zero));
        Share = share?.Invoke(Clock) ?? new LinkShare(CapSchedule.Always(null), Clock);
    }

    public FakeTimeProvider Clock { get; }

    public LinkShare Share { get; }

    public double BytesPerSecond { get; set; }

    public TimeSpan RoundTrip { get; set; }

    public TimeSpan Now { get; private set; }

    /// <summary>What was put on the wire.</summary>
    public List<(TimeSpan At, long Bytes)> Sent { get; } = [];

    public SimulatedSender Join(string topic, int priority) => new(this, topic, priority);

    public void RunUntil(TimeSpan end)
    {
        while (_events.TryPeek(out _, out (TimeSpan At, long Number) next) && next.At <= end)
        {
            Action action = _events.Dequeue();
            Advance(next.At);
            action();
        }
        Advance(end);
    }

    public void At(TimeSpan at, Action action) => _events.Enqueue(action, (at < Now ? Now : at, _number++));

    /// <summary>Carries bytes; <paramref name="arrived"/> at the far end, <paramref name="answered"/> when its answer is back.</summary>
    public void Carry(long bytes, Action arrived, Action answered)
    {
        Sent.Add((Now, bytes));
        _freeAt = (_freeAt > Now ? _freeAt : Now) + TimeSpan.FromSeconds(bytes / BytesPerSecond);
        At(_freeAt + (RoundTrip / 2), arrived);
        At(_freeAt + RoundTrip, answered);
    }

    private void Advance(TimeSpan at)
    {
        if (at > Now)
        {
            Clock.Advance(at - Now);
            Now = at;
        }
    }
}

/// <summary>A partition that sends, with the limits of a real one: five rounds ahead, a megabyte each.</summary>
internal sealed class SimulatedSender
{
    public const int MostRounds = 5;
    public const long MostBytes = 1 << 20;
    private readonly SimulatedLink _link;
    private readonly LinkTurns _turns;
    private readonly HashSet<SentRound> _rounds = [];
    private long _pending;
    private bool _isPumped;
    private TimeSpan _pendingSince;
    private TimeSpan _wakeAt = TimeSpan.MaxValue;

    public SimulatedSender(SimulatedLink link, string topic, int priority)
    {
        _link = link;
        _turns = link.Share.Join(topic, priority, Pump);
    }

    public long Delivered { get; private set; }

    /// <summary>From when a record was there to when it was at the far end, of all records of <see cref="Put"/>.</summary>
    public List<TimeSpan> Delays { get; } = [];

    /// <summary>Whether what it sends from now on never arrives: another node, or another way.</summary>
    public bool IsCut { get; set; }

    public long InFlight => _rounds.Sum(round => round.Bytes);

    /// <summary>Gives it a backlog without end, or takes it away.</summary>
    public void SetBacklog(bool isThere)
    {
        _pending = isThere ? long.MaxValue / 2 : 0;
        Pump();
    }

    /// <summary>Gives it a small record.</summary>
    public void Put(long bytes)
    {
        _pendingSince = _pending == 0 ? _link.Now : _pendingSince;
        _pending += bytes;
        Pump();
    }

    /// <summary>Its connection is lost, and with it what is on its way.</summary>
    public void LoseLink()
    {
        foreach (SentRound round in _rounds)
        {
            _turns.Lost(_link.Now, round);
        }
        _rounds.Clear();
        Pump();
    }

    public void Stop()
    {
        _pending = 0;
        _rounds.Clear();
        _turns.Dispose();
    }

    /// <summary>Wakes come out of the calls of others: what follows from them comes after these.</summary>
    private void Pump()
    {
        if (!_isPumped)
        {
            _isPumped = true;
            _link.At(_link.Now, () =>
            {
                _isPumped = false;
                Send();
            });
        }
    }

    private void Send()
    {
        while (_pending > 0 && _rounds.Count < MostRounds)
        {
            LinkGrant grant = _turns.Ask(_link.Now);
            if (grant.LogBytes == 0)
            {
                WakeAt(grant.AskAgainAt);
                return;
            }
            Carry(Math.Min(_pending, Math.Min(grant.LogBytes, MostBytes)));
        }
        _turns.Withdraw();
    }

    private void Carry(long bytes)
    {
        TimeSpan since = _pendingSince;
        bool isBacklog = _pending > MostBytes;
        _pending -= bytes;
        SentRound round = _turns.Sent(_link.Now, bytes, bytes, hasMore: _pending > 0);
        _rounds.Add(round);
        if (IsCut)
        {
            return;
        }
        _link.Carry(
            bytes,
            () =>
            {
                Delivered += bytes;
                if (!isBacklog)
                {
                    Delays.Add(_link.Now - since);
                }
            },
            () =>
            {
                if (_rounds.Remove(round))
                {
                    _turns.Answered(_link.Now, round);
                    Pump();
                }
            });
    }

    private void WakeAt(TimeSpan at)
    {
        if (at < _wakeAt || _wakeAt <= _link.Now)
        {
            _wakeAt = at;
            _link.At(at, Pump);
        }
    }
}
