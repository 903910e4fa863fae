using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Groups;

/// <summary>
/// A group and its members on simulated time, from a seed: members come, leave, crash, lag and change their minds, writes take time, and
/// the group crashes at any moment and is loaded from what was stored. After each step it is checked what must always hold; at the end
/// everybody behaves, and all must be well.
/// </summary>
internal sealed class GroupSimulation
{
    private const int Actors = 6;
    private const int Steps = 3000;
    private const int CalmMs = 200_000;
    private static readonly GroupOptions Options = new() { InitialRebalanceDelay = TimeSpan.FromMilliseconds(500) };

    private readonly Random _random;
    private readonly SimulatedMember[] _members;

    /// <summary>Who was given a partition in a generation, whatever crashed since.</summary>
    private readonly Dictionary<(int Generation, int Partition), int> _owners = [];
    private ConsumerGroup _group;
    private GroupRecord? _stored;
    private (GroupRecord Record, long Number, long DoneAt)? _write;
    private readonly List<(long Number, string Id)> _leaving = [];

    /// <summary>Ids of members who were told that they have left.</summary>
    private readonly HashSet<string> _left = new(StringComparer.Ordinal);
    private long _now;
    private long _lastToken;
    private long _rebalances;
    private int _open;
    private int _newIds;

    public GroupSimulation(int seed)
    {
        _random = new Random(seed);
        _group = new ConsumerGroup(Options, null, Now);
        _members = [.. Enumerable.Range(0, Actors).Select(n => new SimulatedMember(n, n % 3 == 0, (short)_random.Next(n % 3 == 0 ? 5 : 0, 10)))];
    }

    /// <summary>What could have started a rebalance: at most one each.</summary>
    public int Changes { get; private set; }

    public long Rebalances => _rebalances + _group.Rebalances;

    public int Generations => _owners.Keys.Select(key => key.Generation).Distinct().Count();

    public int Commits { get; private set; }

    /// <summary>Members who were told that they have left.</summary>
    public int Left => _left.Count;

    private Moment Now => new(_now, _now);

    public void Run()
    {
        for (int step = 0; step < Steps; step++)
        {
            Advance(_random.Next(1, 300));
            Disturb();
            Act(_members[_random.Next(Actors)]);
        }
        Calm();
    }

    private void Calm()
    {
        foreach (SimulatedMember member in _members.Where(member => !member.IsAlive))
        {
            member.Restart();
            Changes++;
        }
        for (long end = _now + CalmMs; _now < end;)
        {
            Advance(200);
            foreach (SimulatedMember member in _members)
            {
                Act(member);
            }
        }
        Require(_group.State == GroupState.Stable, $"the group is {_group.State}");
        Require(_members.All(member => member.IsSettled && member.Generation == _group.Generation), "not everybody is in the generation");
        Require(_group.Members.Count == Actors, $"there are {_group.Members.Count} members");
        Require(
            _members.SelectMany(member => member.Owned).Order().SequenceEqual(Enumerable.Range(0, SimulatedMember.Partitions)),
            "not every partition has one owner");
    }

    private void Disturb()
    {
        SimulatedMember member = _members[_random.Next(Actors)];
        switch (_random.Next(200))
        {
            case 0 when member.IsAlive:
                member.IsAlive = false; // a crash: nobody hears of it
                Changes++;
                break;
            case 1 or 2 when !member.IsAlive:
                member.Restart();
                Changes++;
                break;
            case 3 when member is { IsAlive: true, IsMember: true, Token: 0 }:
                Leave(member);
                break;
            case 4:
                member.ChangeTopics(_random.Next(3));
                if (member.IsSettled)
                {
                    member.Take(ErrorCode.RebalanceInProgress); // a consumer joins again when its subscription changes
                }
                break;
            case 5:
                member.LoseAnswer(); // its connection breaks, and it asks again on another one
                break;
            case 6:
                Crash();
                break;
            case 7:
                Advance(_random.Next(1000, 15_000)); // everybody lags
                Changes += Actors;
                break;
        }
    }

    private void Act(SimulatedMember member)
    {
        if (!member.IsAlive || member.Token != 0)
        {
            return;
        }
        long before = _group.Rebalances;
        if (!member.IsMember)
        {
            Join(member);
        }
        else if (!member.IsSettled)
        {
            member.Token = ++_lastToken;
            _group.Sync(Now, member.Sync(), member.Token);
            Require(_group.Rebalances == before, "a sync started a rebalance");
        }
        else if (_random.Next(3) > 0)
        {
            member.Take(_group.Heartbeat(Now, member.Heartbeat()));
            Require(_group.Rebalances == before, "a heartbeat started a rebalance");
        }
        else
        {
            Commit(member);
            Require(_group.Rebalances == before, "a commit started a rebalance");
        }
        Settle();
    }

    private void Join(SimulatedMember member)
    {
        long before = _group.Rebalances;
        JoinGroupRequest request = member.Join();
        GroupMember? known = _group.Members.FirstOrDefault(one => one.Id == request.MemberId);
        bool isNews = known is null || !known.Matches(request) || _group.Leader == known.Id;
        Changes += isNews ? 1 : 0;
        member.Token = ++_lastToken;
        _group.Join(Now, request, member.Caller, $"id-{++_newIds}", member.Token);
        Require(_group.Rebalances - before <= (isNews ? 1 : 0), "a join that says nothing new started a rebalance");
    }

    private void Leave(SimulatedMember member)
    {
        long before = _group.Rebalances;
        if (_group.Leave(Now, member.Id, member.Instance) == ErrorCode.None)
        {
            _leaving.Add((_group.Unstored is null ? 0 : _group.UnstoredNumber, member.Id));
            TellWhoHasLeft(0);
        }
        member.IsAlive = false;
        Changes++;
        Require(_group.Rebalances - before <= 1, "a leave started more than one rebalance");
        Settle();
    }

    private void TellWhoHasLeft(long stored)
    {
        _left.UnionWith(_leaving.Where(one => one.Number <= stored).Select(one => one.Id));
        _leaving.RemoveAll(one => one.Number <= stored);
    }

    private void Commit(SimulatedMember member)
    {
        ErrorCode error = _group.CheckCommit(Now, member.Commit());
        if (error == ErrorCode.None)
        {
            Commits++;
            Require(member.Generation == _group.Generation, "a commit of another generation was taken");
            Require(_group.State is GroupState.Stable or GroupState.PreparingRebalance, $"a commit was taken while {_group.State}");
            Require(_group.Members.Any(one => one.Id == member.Id), "a commit of a stranger was taken");
        }
        member.Take(error);
    }

    /// <summary>The process dies: a write that was under way is there or isn't, and nobody is answered.</summary>
    private void Crash()
    {
        if (_write is { } write && _random.Next(2) == 0)
        {
            _stored = write.Record;
        }
        int generation = _stored?.Generation ?? 0;
        _rebalances += _group.Rebalances;
        _write = null;
        _open = 0;
        _leaving.Clear();
        _group = new ConsumerGroup(Options, _stored, Now);
        bool isOver = _stored?.IsOver ?? false;
        Require(_group.Generation == generation, "the group does not go on in its generation");
        Require(
            isOver ? _group.State == GroupState.PreparingRebalance : _group.State is GroupState.Stable or GroupState.Empty,
            $"the group begins {_group.State}");
        Require(!_group.Members.Any(member => _left.Contains(member.Id)), "a member that was told it has left is there again");
        foreach (SimulatedMember member in _members)
        {
            Require(!member.IsSettled || member.Generation <= generation, "a member was told its assignment before that was stored");
            bool isStored = _stored?.Members.Any(one => one.Id == member.Id) ?? false;
            if (member is { IsSettled: true, IsAlive: true } && member.Generation == generation && isStored)
            {
                ErrorCode told = _group.Heartbeat(Now, member.Heartbeat());
                Require(
                    told == (isOver ? ErrorCode.RebalanceInProgress : ErrorCode.None),
                    $"a member that would go on in its generation after a crash is told {told}");
            }
            member.LoseAnswer();
        }
        Changes += Actors;
    }

    private void Advance(long ms)
    {
        for (long end = _now + ms; _now < end;)
        {
            _now = Math.Min(end, Math.Max(_now + 1, Math.Min(_group.NextDeadline, _write?.DoneAt ?? end)));
            if (_write is { } write && write.DoneAt <= _now)
            {
                _stored = write.Record;
                _write = null;
                _group.Stored(Now, write.Number);
                TellWhoHasLeft(write.Number);
                Settle();
            }
            if (_group.NextDeadline <= _now)
            {
                _group.Tick(Now);
                Require(_group.NextDeadline > _now, "a deadline stays due");
                Settle();
            }
        }
    }

    /// <summary>Does what the group has left to do.</summary>
    private void Settle()
    {
        while (_group.TryTakeEvent(out GroupEvent happened))
        {
            Require(happened.Milliseconds >= 0, "a rebalance took less than no time");
            _open += happened.Kind switch { GroupEventKind.RebalanceStarted => 1, GroupEventKind.RebalanceCompleted => -_open, _ => 0 };
        }
        Require(_open > 0 || _group.State is GroupState.Stable or GroupState.Empty, $"no rebalance was told of and the group is {_group.State}");
        Require(_open == 0 || _group.State is not (GroupState.Stable or GroupState.Empty), $"a rebalance has no end and the group is {_group.State}");
        long rest = _group.Bytes - _group.Members.Sum(one => one.Bytes + one.Assignment.Length);
        Require(rest >= 0 && rest % GroupMemory.PendingIdBytes == 0, $"the books on memory are {rest} bytes wrong");
        if (_write is null && _group.Unstored is { } record)
        {
            _write = (record, _group.UnstoredNumber, _now + _random.Next(1, 50));
        }
        while (_group.TryTakeAnswer(out GroupAnswer answer))
        {
            SimulatedMember? member = _members.FirstOrDefault(one => one.IsAlive && one.Token == answer.Token);
            if (member is not null)
            {
                Deliver(member, answer);
            }
        }
    }

    private void Deliver(SimulatedMember member, GroupAnswer answer)
    {
        if (answer.Joined is not null)
        {
            member.Take(answer.Joined);
            return;
        }
        int generation = member.Generation;
        member.Take(answer.Synced!);
        foreach (int partition in member.Owned)
        {
            Require(
                _owners.TryAdd((generation, partition), member.Number) || _owners[(generation, partition)] == member.Number,
                $"partition {partition} has two owners in generation {generation}");
        }
    }

    private static void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw new InvalidOperationException(what);
        }
    }
}
