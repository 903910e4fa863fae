namespace Tributary.Edge.Uplink;

/// <summary>What the link does now.</summary>
/// <param name="CapBytesPerSecond">The cap; null for none.</param>
/// <param name="InFlightBytes">Bytes of rounds on their way.</param>
/// <param name="WindowBytes">Bytes that may be on their way.</param>
/// <param name="RateBytesPerSecond">What the link carries as far as is known.</param>
internal readonly record struct LinkShareStatus(long? CapBytesPerSecond, long InFlightBytes, long WindowBytes, long RateBytesPerSecond);

/// <summary>
/// Shares the link to the cloud among all local partitions: who sends the next round, how large it is, and when. A synchronous machine
/// under one lock; callers give the time, as passed since <see cref="Origin"/>. Wakes are called outside of the lock, from any thread.
/// <para>
/// Invariants. (1) What is on its way stays within <see cref="LinkModel.Window"/>, but for the half of a round, a single large record, and
/// a round for each partition that has none on its way while the link is silent: one dead node must not stop the others. Rounds that it
/// leaves unanswered while others are answered don't count, and their partition gets no turn before they end. (2) Every
/// byte on its way belongs to a round that is answered or lost, at the latest when its partition's <see cref="LinkTurns"/> is disposed.
/// (3) Whoever is refused is woken when that may have changed, or has a time at which to ask again.
/// </para>
/// <para>
/// Turns go by start-time fair queueing (Goyal, Vin and Cheng, 1996) over topics: each has a clock that runs by its bytes, divided by
/// 2^priority, and the one that is furthest behind comes first, of equal ones the higher priority. So each step of priority doubles the
/// part of a topic that has more to send; one that sends little is always behind, and goes first at once; nobody starves. A topic's
/// partitions take turns. Who did not send has no claim on that time later, beyond a round.
/// </para>
/// </summary>
internal sealed class LinkShare
{
    /// <summary>Highest priority; the lowest is 0.</summary>
    public const int MaxPriority = 9;

    /// <summary>Priority unless the topic says otherwise.</summary>
    public const int DefaultPriority = 5;

    /// <summary>A link that carries less, bytes each second, is none.</summary>
    private const double LeastRate = 4 << 10;

    private const double SlowerThanSeen = 4;
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(1);
    private readonly Lock _lock = new();
    private readonly LinkModel _model = new();
    private readonly LinkCap _cap;
    private readonly Dictionary<string, Flow> _flows = new(StringComparer.Ordinal);
    private readonly List<Member> _waiting = [];
    private double _clock;
    private long _reserved;
    private long _grants;

    /// <param name="schedule">The cap.</param>
    /// <param name="time">All time.</param>
    public LinkShare(CapSchedule schedule, TimeProvider time)
    {
        _cap = new LinkCap(schedule, time);
        Origin = time.GetTimestamp();
    }

    /// <summary>The timestamp from which all callers count their time.</summary>
    public long Origin { get; }

    /// <summary>What it does now.</summary>
    public LinkShareStatus Status
    {
        get
        {
            lock (_lock)
            {
                return new LinkShareStatus(_cap.Current, _model.InFlight, _model.Window, (long)_model.Rate);
            }
        }
    }

    /// <summary>How long what is on its way may take on the link itself, if that carries a quarter of what it was last seen to.</summary>
    public TimeSpan TransferTime
    {
        get
        {
            lock (_lock)
            {
                return TimeSpan.FromSeconds(_model.Busy / Math.Max(LeastRate, _model.Rate / SlowerThanSeen));
            }
        }
    }

    private long RoundBytes => Math.Min(_model.Round, _cap.MostOfRound);

    /// <summary>A partition begins to send.</summary>
    /// <param name="topic">Its topic; the partitions of a topic share its part.</param>
    /// <param name="priority">0 to <see cref="MaxPriority"/>.</param>
    /// <param name="wake">Called when it was refused and should ask again. It must not block.</param>
    public LinkTurns Join(string topic, int priority, Action wake)
    {
        lock (_lock)
        {
            if (!_flows.TryGetValue(topic, out Flow? flow))
            {
                flow = new Flow(priority) { Clock = _clock };
                _flows.Add(topic, flow);
            }
            flow.Members++;
            return new LinkTurns(this, new Member(topic, flow, wake));
        }
    }

    /// <summary>Asks for a turn. Whoever gets one sends a round or gives it back.</summary>
    internal LinkGrant Ask(Member member, TimeSpan now)
    {
        List<Member> woken;
        LinkGrant grant;
        lock (_lock)
        {
            if (_cap.Look(now))
            {
                _model.Restart();
            }
            Enter(member);
            int before = _waiting.Count(other => other != member && other.IsBefore(member));
            bool hasRoom = HasRoom(before);
            if (member.Rounds.Exists(round => round.IsStuck) || (!hasRoom && !MayPassSilence(member, now)))
            {
                return new LinkGrant(0, 0, AskAgain(before, now));
            }
            member.PassesSilence = !hasRoom;
            _waiting.Remove(member);
            _clock = Math.Max(_clock, member.Flow.Clock);
            member.LastGrant = ++_grants;
            member.Reserved = RoundBytes;
            _reserved += member.Reserved;
            _cap.Take(member.Reserved);
            // What the cap or the number of waiting ones means has changed for the others.
            woken = Woken();
            grant = new LinkGrant(Math.Max(1, (long)(member.Reserved / member.Flow.WireShare)), member.Reserved, now);
        }
        Wake(woken);
        return grant;
    }

    /// <summary>It has nothing to send any more, or gives its turn back.</summary>
    internal void Withdraw(Member member)
    {
        List<Member> woken;
        lock (_lock)
        {
            if (!_waiting.Remove(member) && member.Reserved == 0)
            {
                return;
            }
            Release(member);
            woken = Woken();
        }
        Wake(woken);
    }

    /// <summary>It has used its turn.</summary>
    internal SentRound Sent(Member member, TimeSpan now, long logBytes, long wireBytes, bool hasMore)
    {
        List<Member> woken;
        SentRound round;
        lock (_lock)
        {
            Release(member);
            _cap.Take(wireBytes);
            Flow flow = member.Flow;
            flow.Clock += wireBytes / flow.Weight;
            flow.NoteShare(logBytes, wireBytes);
            // How fast one round comes through while others wait for their answers says nothing of what the link carries.
            round = _model.Sent(now, wireBytes, hasMore, !member.PassesSilence && (hasMore || _waiting.Count > 0));
            member.Rounds.Add(round);
            member.HasMore = hasMore;
            woken = Woken();
        }
        Wake(woken);
        return round;
    }

    /// <summary>A round came to its end.</summary>
    internal void Ended(Member member, TimeSpan now, SentRound round, bool isAnswered)
    {
        List<Member> woken;
        lock (_lock)
        {
            member.Rounds.Remove(round);
            if (isAnswered)
            {
                _model.Answered(now, round);
            }
            else
            {
                _model.Lost(now, round);
            }
            woken = Woken();
        }
        Wake(woken);
    }

    /// <summary>A partition sends no more; what it had on its way is nobody's.</summary>
    internal void Leave(Member member)
    {
        List<Member> woken;
        lock (_lock)
        {
            if (member.HasLeft)
            {
                return;
            }
            member.HasLeft = true;
            _waiting.Remove(member);
            Release(member);
            foreach (SentRound round in member.Rounds)
            {
                // When a partition stops says nothing of the link.
                _model.Forget(round);
            }
            member.Rounds.Clear();
            if (--member.Flow.Members == 0)
            {
                _flows.Remove(member.Topic);
            }
            woken = Woken();
        }
        Wake(woken);
    }

    private static void Wake(List<Member> woken)
    {
        foreach (Member member in woken)
        {
            member.Wake();
        }
    }

    private void Enter(Member member)
    {
        ObjectDisposedException.ThrowIf(member.HasLeft, member);
        Release(member);
        if (_waiting.Contains(member))
        {
            return;
        }
        // Who had more was only busy reading; others come anew, and behind nobody but by what they have sent themselves.
        double from = member.HasMore ? _clock - (RoundBytes / member.Flow.Weight) : _waiting.Select(other => other.Flow.Clock).Append(_clock).Min();
        member.Flow.Clock = Math.Max(member.Flow.Clock, from);
        _waiting.Add(member);
    }

    private bool HasRoom(int before)
    {
        long round = RoundBytes;
        long onTheirWay = _model.Busy + _reserved;
        bool fits = (onTheirWay == 0 && before == 0) || onTheirWay + (before * round) <= _model.Window - (round / 2);
        return fits && _cap.Has((before + 1) * round);
    }

    private bool MayPassSilence(Member member, TimeSpan now) =>
        member.Rounds.Count == 0 && _model.StalledAt is { } stalled && now >= stalled && _cap.Has(RoundBytes);

    private TimeSpan AskAgain(int before, TimeSpan now)
    {
        TimeSpan wait = before == 0 && !_cap.Has(RoundBytes) ? _cap.Until(RoundBytes) : LongestWait;
        TimeSpan at = now + wait;
        return _model.StalledAt is { } stalled && stalled > now && stalled < at ? stalled : at;
    }

    private void Release(Member member)
    {
        _reserved -= member.Reserved;
        _cap.Take(-member.Reserved);
        member.Reserved = 0;
    }

    /// <summary>Those that have room now, in their order; the first one also if only the cap holds it back, to set its clock anew.</summary>
    private List<Member> Woken()
    {
        List<Member> woken = [];
        if (_waiting.Count == 0)
        {
            return woken;
        }
        foreach (Member member in _waiting.Order(MemberOrder.Instance))
        {
            bool isNext = woken.Count == 0 && _cap.BytesPerSecond is not null;
            if (!isNext && !HasRoom(woken.Count))
            {
                break;
            }
            woken.Add(member);
        }
        return woken;
    }

    /// <summary>A topic's part of the link.</summary>
    internal sealed class Flow(int priority)
    {
        private const double NewShare = 0.25;
        private bool _isKnown;

        public int Priority { get; } = priority;

        public double Weight { get; } = 1 << priority;

        public double Clock { get; set; }

        public int Members { get; set; }

        /// <summary>Bytes on the wire for one of the log.</summary>
        public double WireShare { get; private set; } = 1;

        public void NoteShare(long logBytes, long wireBytes)
        {
            if (logBytes > 0)
            {
                double share = Math.Clamp((double)wireBytes / logBytes, 0.001, 1);
                WireShare += (share - WireShare) * (_isKnown ? NewShare : 1);
                _isKnown = true;
            }
        }
    }

    /// <summary>A partition.</summary>
    internal sealed class Member(string topic, Flow flow, Action wake)
    {
        public string Topic { get; } = topic;

        public Flow Flow { get; } = flow;

        public Action Wake { get; } = wake;

        public List<SentRound> Rounds { get; } = [];

        public long Reserved { get; set; }

        public long LastGrant { get; set; }

        public bool HasMore { get; set; }

        /// <summary>Whether its turn is beyond the window, since nothing is answered.</summary>
        public bool PassesSilence { get; set; }

        public bool HasLeft { get; set; }

        public bool IsBefore(Member other) => MemberOrder.Instance.Compare(this, other) < 0;
    }

    private sealed class MemberOrder : IComparer<Member>
    {
        public static MemberOrder Instance { get; } = new();

        public int Compare(Member? one, Member? other)
        {
            int byClock = one!.Flow.Clock.CompareTo(other!.Flow.Clock);
            int byPriority = byClock != 0 ? byClock : other.Flow.Priority.CompareTo(one.Flow.Priority);
            return byPriority != 0 ? byPriority : one.LastGrant.CompareTo(other.LastGrant);
        }
    }
}

/// <summary>The answer to a partition that asks for its turn.</summary>
/// <param name="LogBytes">Bytes of the log for a round; 0 if it must wait.</param>
/// <param name="WireBytes">Bytes that it may have on the wire, about; 0 if it must wait.</param>
/// <param name="AskAgainAt">When to ask again at the latest, if it must.</param>
internal readonly record struct LinkGrant(long LogBytes, long WireBytes, TimeSpan AskAgainAt);

/// <summary>A partition's part in <see cref="LinkShare"/>. One thread at a time; another one may be at work for other partitions.</summary>
internal sealed class LinkTurns : IDisposable
{
    private readonly LinkShare _share;
    private readonly LinkShare.Member _member;

    internal LinkTurns(LinkShare share, LinkShare.Member member)
    {
        _share = share;
        _member = member;
    }

    /// <summary>Asks for a turn; one that was had and not used is given back.</summary>
    public LinkGrant Ask(TimeSpan now) => _share.Ask(_member, now);

    /// <summary>Asks no more, and gives back what was not used.</summary>
    public void Withdraw() => _share.Withdraw(_member);

    /// <summary>A round is on its way.</summary>
    /// <param name="now">Time.</param>
    /// <param name="logBytes">Its bytes in the log.</param>
    /// <param name="wireBytes">Its bytes on the wire.</param>
    /// <param name="hasMore">Whether more would follow if it could.</param>
    public SentRound Sent(TimeSpan now, long logBytes, long wireBytes, bool hasMore) => _share.Sent(_member, now, logBytes, wireBytes, hasMore);

    /// <summary>All of a round was answered.</summary>
    public void Answered(TimeSpan now, SentRound round) => _share.Ended(_member, now, round, isAnswered: true);

    /// <summary>A round will not be answered.</summary>
    public void Lost(TimeSpan now, SentRound round) => _share.Ended(_member, now, round, isAnswered: false);

    /// <inheritdoc cref="LinkShare.TransferTime"/>
    public TimeSpan TransferTime => _share.TransferTime;

    /// <summary>Gives everything back.</summary>
    public void Dispose() => _share.Leave(_member);
}
