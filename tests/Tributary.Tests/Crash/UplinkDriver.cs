using Tributary.Edge.Clock;
using Tributary.Edge.Uplink;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Crash;

/// <summary>What a topic answers to an uplink. Answers are given when they are ready, or never.</summary>
internal interface ISimulatedTopic
{
    void Describe(Action<TopicMetadata> answer);

    void MakeProducerId(Action<long> answer);

    /// <summary>Claims the producer id for a process, and tells how far it came.</summary>
    void Claim(long producerId, Guid incarnation, long start, int targets, Action<CloudPosition[]> answer);

    /// <summary>With acks=all.</summary>
    void Produce(int target, Guid incarnation, byte[] batch, Action<ErrorCode, long> answer);
}

/// <summary>
/// Does what <see cref="UplinkState"/> says, as the real driver does, for one local partition in virtual time: requests and answers go
/// over the simulated network, answers come twice, the process may end between any two of them.
/// </summary>
internal sealed class UplinkDriver(SimulatedNetwork network, ISimulatedTopic topic, Random random)
{
    private IUplinkSource? _source;
    private CheckpointFile? _file;
    private RoundReader? _reader;
    private int _life;
    private Guid _incarnation;
    private TimeSpan _nextWake = TimeSpan.MaxValue;

    /// <summary>Null while it is not running.</summary>
    public UplinkState? State { get; private set; }

    public List<UplinkNotice> Notices { get; } = [];

    /// <summary>Hears of each of them.</summary>
    public Action<UplinkNotice> Told { get; set; } = static _ => { };

    /// <summary>Makes durable what was told: before a checkpoint passes over it, and before it waits.</summary>
    public Action StoreTold { get; set; } = static () => { };

    /// <summary>Asked between any two things that it does: a process whose disk has lost its power does nothing more.</summary>
    public Func<bool> IsAlive { get; set; } = static () => true;

    /// <summary>Begins as the agent does at its start.</summary>
    public void Start(IUplinkSource source, CheckpointFile file, UplinkOptions options, EdgeClock? clock = null)
    {
        CheckpointStatus status = file.Load(out UplinkCheckpoint checkpoint);
        if (status == CheckpointStatus.Damaged)
        {
            throw new InvalidOperationException("the checkpoint is damaged");
        }
        UplinkCheckpoint begun = UplinkState.Begin(checkpoint, source.FlushedEnd);
        source.SaveBeside(() => file.Save(begun));
        _life++;
        _incarnation = NewGuid();
        _nextWake = TimeSpan.MaxValue;
        (_source, _file) = (source, file);
        _reader = new RoundReader(source, options, clock ?? EdgeClock.Of(TimeProvider.System));
        int life = _life;
        LinkTurns turns = new LinkShare(CapSchedule.Always(null), TimeProvider.System).Join(
            "telemetry", LinkShare.DefaultPriority, () => At(life, network.Now, Pump));
        State = new UplinkState(options, begun, source.StartOffset, source.FlushedEnd, random, turns, network.Now);
    }

    /// <summary>The process ends.</summary>
    public void Kill()
    {
        _life++;
        State = null;
        _reader?.Dispose();
        _reader = null;
    }

    /// <summary>Does what there is to do now.</summary>
    public void Pump()
    {
        if (State is not { } state)
        {
            return;
        }
        state.OnLog(_source!.StartOffset, _source.FlushedEnd);
        while (state.Next(network.Now) is { } action)
        {
            Perform(state, action);
            if (State != state || !IsAlive())
            {
                return;
            }
        }
        Tell(state);
        if (!IsAlive())
        {
            return;
        }
        if (state.WakeAt is { } wake && (wake < _nextWake || _nextWake <= network.Now))
        {
            _nextWake = wake;
            At(_life, wake, Pump);
        }
    }

    private void Tell(UplinkState state)
    {
        while (state.TakeNotice() is { } notice)
        {
            Notices.Add(notice);
            Told(notice);
        }
        StoreTold();
    }

    private Guid NewGuid()
    {
        Span<byte> bytes = stackalloc byte[16];
        random.NextBytes(bytes);
        return new Guid(bytes);
    }

    private void At(int life, TimeSpan when, Action action) => network.At(when, () =>
    {
        if (life == _life)
        {
            action();
        }
    });

    private void Perform(UplinkState state, UplinkAction action)
    {
        switch (action)
        {
            case UplinkAction.AskMetadata ask:
                Ask(ask.Ticket, answered => topic.Describe(metadata =>
                    answered(() => state.OnMetadata(network.Now, ask.Ticket, metadata))));
                break;
            case UplinkAction.AskProducerId ask:
                Ask(ask.Ticket, answered => topic.MakeProducerId(id =>
                    answered(() => state.OnProducerId(ask.Ticket, id, 0))));
                break;
            case UplinkAction.AskPositions ask:
                Ask(ask.Ticket, answered => topic.Claim(ask.ProducerId, _incarnation, ask.Start, ask.Targets, positions =>
                    answered(() => state.OnPositions(network.Now, ask.Ticket, positions))));
                break;
            case UplinkAction.Locate locate:
                Locate(state, locate);
                break;
            case UplinkAction.ReadRound read:
                Send(state, read.Request);
                break;
            case UplinkAction.Save save:
                Save(state, save);
                break;
            case UplinkAction.Trim trim:
                _source!.AdvanceStart(trim.Offset);
                break;
            case UplinkAction.DropLink:
                network.Break();
                state.OnLinkLost(network.Now, "dropped");
                break;
        }
    }

    /// <summary>A question fails after a while if the link is down, or gets lost; a real client has a time limit.</summary>
    private void Ask(long ticket, Action<Action<Action>> question)
    {
        int life = _life;
        int link = network.Link;
        At(life, network.Now + (network.IsUp ? TimeSpan.FromSeconds(2) : network.Delay(200)), () =>
        {
            State!.OnAskFailed(network.Now, ticket, "the cloud is away");
            Pump();
        });
        if (!network.IsUp)
        {
            return;
        }
        network.Arrive(link, () => question(answer => At(life, network.Now + network.Delay(20), () =>
        {
            if (link == network.Link)
            {
                answer();
            }
            else
            {
                State!.OnAskFailed(network.Now, ticket, "the link was cut");
            }
            Pump();
        })));
    }

    private void Locate(UplinkState state, UplinkAction.Locate locate)
    {
        try
        {
            (long[] resume, long[] held, ScanEnd end) = _reader!.Locate(
                locate.From, locate.UpTo, locate.Numbering, locate.Ordinals, locate.Covered, locate.StopsWhenCovered);
            state.OnLocated(network.Now, resume, held, end);
        }
        catch (IOException e)
        {
            state.OnReadFailed(network.Now, e.Message);
        }
    }

    private void Send(UplinkState state, RoundRequest request)
    {
        Round round;
        try
        {
            round = _reader!.Read(request);
        }
        catch (IOException e)
        {
            state.OnReadFailed(network.Now, e.Message);
            return;
        }
        state.OnRound(network.Now, round);
        (int life, int link, Guid incarnation) = (_life, network.Link, _incarnation);
        foreach (RoundBatch batch in round.Batches)
        {
            if (network.IsUp)
            {
                byte[] bytes = batch.Bytes.ToArray();
                network.Arrive(
                    link,
                    () => topic.Produce(batch.Target, incarnation, bytes, (error, offset) => Answer(life, link, round, batch, error, offset)));
            }
        }
        round.ReleaseBytes();
    }

    private void Answer(int life, int link, Round round, RoundBatch batch, ErrorCode error, long offset)
    {
        int times = random.Next(10) == 0 ? 2 : 1;
        for (int i = 0; i < times; i++)
        {
            At(life, network.Now + network.Delay(20), () =>
            {
                if (link == network.Link)
                {
                    State!.OnAnswer(network.Now, round, batch, error, offset);
                    Pump();
                }
            });
        }
    }

    private void Save(UplinkState state, UplinkAction.Save save)
    {
        try
        {
            Tell(state);
            _source!.SaveBeside(() => _file!.Save(save.Checkpoint));
        }
        catch (IOException e)
        {
            state.OnSaveFailed(network.Now, save.Ticket, e.Message);
            return;
        }
        state.OnSaved(network.Now, save.Ticket, save.Checkpoint);
    }
}
