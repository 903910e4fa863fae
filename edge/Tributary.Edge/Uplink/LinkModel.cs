namespace Tributary.Edge.Uplink;

/// <summary>
/// What the link carries, learned from rounds and their answers, and how much may therefore be on its way: rate × round trip and a little
/// more, so that it is used and no queue builds up in front of a record that is in a hurry. After BBR
/// (draft-cardwell-iccrg-bbr-congestion-control): the rate is the highest delivery rate of the last round trips, the round trip the
/// shortest of ten seconds, measured anew with a drained link when it is older. Rounds take the place of packets; they are large, so the
/// time of a round holds its own transmission.
/// <para>
/// The window grows by what is answered (it doubles in each round trip at most) and shrinks at once. It never lies below
/// <see cref="LeastWindow"/>, nor below a quarter of a second's worth: clouds that answer in bursts (a flush for many rounds) stay busy.
/// One thread at a time; it reads no clock.
/// </para>
/// </summary>
internal sealed class LinkModel
{
    /// <summary>Least bytes of a round on the wire; one that compresses badly or has nothing more to carry may be of any size.</summary>
    public const long LeastRound = 4 << 10;

    /// <summary>Bytes that may always be on their way: a round that is sent while the one before is answered.</summary>
    public const long LeastWindow = 2 * LeastRound;

    private const double StartupGain = 2;
    private const double SteadyGain = 1.25;
    private const double FullGrowth = 1.25;
    private const int FullRounds = 3;
    private const double RoundSeconds = 0.125;
    private const double RoundTrips = 0.3;
    private const double StartupRoundTrips = 0.5;
    private const double JitterSeconds = 0.1;
    private const long LossShare = 4;
    private static readonly TimeSpan TripLife = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LeastRateLife = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LeastStall = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan DeadAge = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LeastElapsed = TimeSpan.FromMicroseconds(100);
    private readonly RateWindow _rates = new();
    private readonly LinkedList<SentRound> _open = new();
    private long _window = LeastWindow;
    private long _delivered;
    private long _stuck;
    private TimeSpan _deliveredAt;
    private TimeSpan _firstSentAt;
    private TimeSpan _progressAt;
    private TimeSpan _lossAt = TimeSpan.MinValue;
    private TimeSpan _trip;
    private TimeSpan _tripAt;
    private TimeSpan _shortestOfRound = TimeSpan.MaxValue;
    private TimeSpan _lastAnomaly;
    private long _roundEnd;
    private double _fullRate;
    private int _fullCount;
    private bool _isStartup = true;
    private Probe _probe;

    private enum Probe
    {
        None,

        /// <summary>The round trip is old: half of the window, so that what queues is gone.</summary>
        Half,

        /// <summary>Answers are later than the window explains: one round at a time.</summary>
        Single,
    }

    /// <summary>Bytes on their way.</summary>
    public long InFlight { get; private set; }

    /// <summary>Those of them that the link is taken to be busy with: all but what waits for a node that does not answer while others do.</summary>
    public long Busy => InFlight - _stuck;

    /// <summary>What the link carries, bytes each second; 0 before it is known.</summary>
    public double Rate => _rates.Highest;

    /// <summary>The shortest time from sending a round to its answer; zero before it is known.</summary>
    public TimeSpan Trip => _trip;

    /// <summary>Bytes that may be on their way.</summary>
    public long Window => _probe switch
    {
        Probe.Half => Math.Max(Round, _window / 2),
        Probe.Single => Round,
        _ => _window,
    };

    /// <summary>
    /// Bytes of a round: an eighth of a second's worth, or the third part of a round trip's on long links, so that five of them cover it.
    /// </summary>
    public long Round => Math.Clamp(
        (long)(Rate * Math.Max(RoundSeconds, (_isStartup ? StartupRoundTrips : RoundTrips) * _trip.TotalSeconds)), LeastRound, Math.Max(LeastRound, _window / 2));

    /// <summary>Since when nothing has been answered though something is on its way.</summary>
    /// <returns>When that is long enough to believe that it won't be; null if nothing is on its way.</returns>
    public TimeSpan? StalledAt => Busy == 0 ? null : _progressAt + Stall;

    private TimeSpan Stall => Longer(LeastStall, 4 * _trip);

    /// <summary>The link may carry more than before: looks for it fast.</summary>
    public void Restart()
    {
        _isStartup = true;
        _fullRate = 0;
        _fullCount = 0;
    }

    /// <summary>A round is on its way.</summary>
    /// <param name="now">Time.</param>
    /// <param name="bytes">Bytes on the wire.</param>
    /// <param name="isFull">Whether its sender had more than it took.</param>
    /// <param name="isLimited">Whether more was waiting, of anybody.</param>
    public SentRound Sent(TimeSpan now, long bytes, bool isFull, bool isLimited)
    {
        if (Busy == 0)
        {
            _deliveredAt = now;
            _firstSentAt = now;
            _progressAt = now;
        }
        bool isProbe = _probe switch
        {
            Probe.Half => Busy <= Window,
            Probe.Single => Busy == 0,
            _ => false,
        };
        InFlight += bytes;
        var round = new SentRound(bytes, now, _delivered, _deliveredAt, _firstSentAt, isFull, isLimited, isProbe);
        _open.AddLast(round);
        return round;
    }

    /// <summary>A round was answered, whatever the answer said.</summary>
    public void Answered(TimeSpan now, SentRound round)
    {
        if (!Take(now, round))
        {
            return;
        }
        NoteStuck(round);
        if (round.IsStuck)
        {
            return; // its node was late, not the link
        }
        _delivered += round.Bytes;
        _deliveredAt = now;
        _firstSentAt = round.SentAt;
        TimeSpan elapsed = Longer(LeastElapsed, Longer(now - round.DeliveredAt, round.SentAt - round.FirstSentAt));
        double rate = (_delivered - round.DeliveredBefore) / elapsed.TotalSeconds;
        if (round.IsLimited || rate >= Rate)
        {
            _rates.Add(now, rate, RateLife());
        }
        TakeTrip(now, round);
        if (round.DeliveredBefore >= _roundEnd)
        {
            EndRoundTrip(now, round.IsLimited, rate);
        }
        long target = Target();
        _window = target < _window ? target : round.IsLimited ? Math.Min(target, _window + round.Bytes) : _window;
    }

    /// <summary>
    /// A round will not be answered. Those that were on their way together are one loss: the link is taken for a quarter of what it was, and for
    /// an unknown one if it had been silent for long. One whose node did not answer while others did says nothing of the link.
    /// </summary>
    public void Lost(TimeSpan now, SentRound round)
    {
        if (!Take(now, round) || round.SentAt < _lossAt || round.IsStuck)
        {
            return;
        }
        _lossAt = now;
        bool isDead = now - round.SentAt >= DeadAge;
        _rates.Reset(now, isDead ? 0 : Rate / LossShare);
        _window = isDead ? LeastWindow : Math.Max(LeastWindow, _window / LossShare);
        _trip = TimeSpan.Zero;
        _tripAt = now;
        _probe = Probe.None;
        Restart();
    }

    /// <summary>A round whose answer nobody waits for.</summary>
    public void Forget(SentRound round)
    {
        if (round.IsOpen)
        {
            round.IsOpen = false;
            _open.Remove(round);
            InFlight -= round.Bytes;
            _stuck -= round.IsStuck ? round.Bytes : 0;
        }
    }

    private static TimeSpan Longer(TimeSpan one, TimeSpan other) => one > other ? one : other;

    private bool Take(TimeSpan now, SentRound round)
    {
        bool isOpen = round.IsOpen;
        Forget(round);
        _progressAt = isOpen ? now : _progressAt;
        return isOpen;
    }

    /// <summary>What was sent long before a round that is answered now has no part in what the link carries.</summary>
    private void NoteStuck(SentRound answered)
    {
        for (LinkedListNode<SentRound>? node = _open.First; node is not null && node.Value.SentAt + Stall < answered.SentAt; node = node.Next)
        {
            if (!node.Value.IsStuck)
            {
                node.Value.IsStuck = true;
                _stuck += node.Value.Bytes;
            }
        }
    }

    private TimeSpan RateLife()
    {
        TimeSpan trips = Longer(LeastRateLife, 10 * _trip);
        return trips < RateWindow.Longest ? trips : RateWindow.Longest;
    }

    private void TakeTrip(TimeSpan now, SentRound round)
    {
        TimeSpan took = Longer(LeastElapsed, now - round.SentAt);
        bool isOld = now - _tripAt >= TripLife;
        if (_trip != TimeSpan.Zero && !round.IsFull)
        {
            // It is here sooner because it is small. Where there are no others it has to do, some time.
            if (now - _tripAt < 2 * TripLife)
            {
                return;
            }
        }
        if (took <= _trip || _trip == TimeSpan.Zero || round.IsProbe || (isOld && !round.IsLimited))
        {
            _trip = took;
            _tripAt = now;
            _probe = Probe.None;
        }
        else if (isOld && _probe == Probe.None)
        {
            _probe = Probe.Half;
        }
        _shortestOfRound = took < _shortestOfRound ? took : _shortestOfRound;
    }

    /// <summary>Once in each round trip: whether the rate still grows, and whether the answers come as the window lets them.</summary>
    private void EndRoundTrip(TimeSpan now, bool isLimited, double rate)
    {
        _roundEnd = _delivered;
        if (isLimited && _isStartup)
        {
            if (Rate >= _fullRate * FullGrowth)
            {
                _fullRate = Rate;
                _fullCount = 0;
            }
            else if (++_fullCount >= FullRounds)
            {
                _isStartup = false;
            }
        }
        var explained = TimeSpan.FromSeconds(Rate > 0 ? _window / Rate : 0);
        if (isLimited && _probe == Probe.None && _shortestOfRound > 2 * Longer(explained, _trip) && now - _lastAnomaly >= Longer(LeastRateLife, 4 * _trip))
        {
            // The link carries less than before, or its way is longer.
            _lastAnomaly = now;
            _probe = Probe.Single;
            _rates.Reset(now, rate);
            Restart();
        }
        _shortestOfRound = TimeSpan.MaxValue;
    }

    private long Target()
    {
        double trip = _trip.TotalSeconds;
        double seconds = Math.Max(2 * RoundSeconds, ((_isStartup ? StartupGain : SteadyGain) * trip) + JitterSeconds);
        return Math.Max(LeastWindow, (long)(Rate * seconds));
    }
}
