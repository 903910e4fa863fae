using Tributary.Broker.Groups;
using Tributary.Broker.Groups.Modern;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Groups.Modern;

/// <summary>
/// A group and its members on simulated time, from a seed: members of the newer protocol, and of the classic one beside them, come, leave,
/// crash, lag, change what they read and lose answers; topics come, grow and go; writes take time, and the group crashes at any moment and
/// is loaded from what was stored. After each step it is checked what must always hold; at the end everybody behaves, and all must be well.
/// </summary>
internal sealed class ModernGroupSimulation
{
    private const int Steps = 2500;
    private const int CalmMs = 150_000;

    private static readonly GroupOptions Options = new()
    {
        InitialRebalanceDelay = TimeSpan.FromMilliseconds(200),
        ConsumerSessionTimeout = TimeSpan.FromSeconds(10),
        ConsumerHeartbeatInterval = TimeSpan.FromSeconds(1),
    };

    private readonly Random _random;
    private readonly SimulatedConsumer[] _members;
    private Dictionary<string, TopicInfo> _topics = [];
    private IGroupMachine _group;
    private GroupRecord? _stored;
    private (GroupRecord Record, long Number, long DoneAt)? _write;
    private long _now;
    private long _lastToken;
    private int _highestTold;
    private int _newIds;

    /// <summary>What happened last, if somebody wants to know.</summary>
    private readonly Queue<string>? _story;

    /// <param name="seed">The seed.</param>
    /// <param name="classics">How many of the members use the classic protocol.</param>
    /// <param name="tells">Whether to tell at a failure what happened before.</param>
    public ModernGroupSimulation(int seed, int classics, bool tells = false)
    {
        _story = tells ? new Queue<string>() : null;
        _random = new Random(seed);
        _group = new ConsumerGroup(Options, null, Now);
        SetTopic("a", 4);
        SetTopic("b", 3);
        SetTopic("c", 5);
        _members =
        [
            .. Enumerable.Range(0, 6).Select<int, SimulatedConsumer>(n => n < classics
                ? new SimulatedClassicConsumer(n, n % 3 == 1 ? $"static-{n}" : null, isCooperative: seed % 2 == 0)
                : new SimulatedModernConsumer(n, n % 3 == 1 ? $"static-{n}" : null, tellsAll: n % 2 == 0, asksAgain: n is 0 or 1 or 4)),
        ];
        foreach (SimulatedConsumer member in _members)
        {
            member.Restart();
        }
    }

    public int Commits { get; private set; }

    public int Refused { get; private set; }

    /// <summary>How often the group went from one protocol to the other.</summary>
    public int Migrations { get; private set; }

    public int Epochs => _highestTold;

    private Moment Now => new(_now, _now);

    public void Run()
    {
        for (int step = 0; step < Steps; step++)
        {
            Advance(_random.Next(1, 200));
            Disturb();
            Act(_members[_random.Next(_members.Length)]);
        }
        Calm();
    }

    private void Calm()
    {
        foreach (SimulatedConsumer member in _members)
        {
            if (!member.IsAlive)
            {
                member.Restart();
            }
            if (member is SimulatedModernConsumer modern)
            {
                modern.Lingers = false;
            }
        }
        for (long end = _now + CalmMs; _now < end;)
        {
            Advance(150);
            foreach (SimulatedConsumer member in _members)
            {
                if (!member.IsAlive)
                {
                    member.Restart(); // a name that was not released yet when it came back
                }
                Act(member);
            }
        }
        Require(_members.All(member => member.IsSettled), "not everybody is settled");
        Require(_group.State == GroupState.Stable, $"the group is {_group.State}");
        Require(_group.MemberCount == _members.Length, $"there are {_group.MemberCount} members");
        AssignedPartition[] read = [.. _members.SelectMany(member => member.Reads).Order()];
        AssignedPartition[] all =
        [
            .. _topics.Values.Where(topic => _members.Any(member => Wants(member, topic.Name)))
                .SelectMany(topic => Enumerable.Range(0, topic.Partitions.Length).Select(partition => new AssignedPartition(topic.Id, partition))).Order(),
        ];
        Require(read.SequenceEqual(all), $"{read.Length} partitions are read, not {all.Length}");
    }

    private bool Wants(SimulatedConsumer member, string topic)
    {
        string? pattern = (member as SimulatedModernConsumer)?.Pattern;
        return pattern is null ? member.Topics.Contains(topic) : TopicPattern.TryParse(pattern, out TopicPattern? parsed, out _) && parsed.Matches(topic);
    }

    private void Disturb()
    {
        SimulatedConsumer member = _members[_random.Next(_members.Length)];
        int what = _random.Next(200);
        if (what <= 12)
        {
            Note(() => $"disturbance {what}", member);
        }
        switch (what)
        {
            case 0 when member.IsAlive:
                member.IsAlive = false; // a crash: nobody hears of it
                break;
            case 1 or 2 when !member.IsAlive:
                member.Restart();
                break;
            case 3 or 4 when member is { IsAlive: true, IsSettled: true, Token: 0 }:
                Leave(member);
                break;
            case 5:
                string[] topics = _random.Next(3) switch { 0 => ["a"], 1 => ["a", "b"], _ => ["a", "b", "c"] };
                member.Topics = topics;
                (member as SimulatedModernConsumer)?.ChangeTopics(topics, _random.Next(4) == 0 ? "[ab]" : null);
                if (member is SimulatedClassicConsumer { IsSettled: true, Token: 0 } classic)
                {
                    classic.Take(ErrorCode.RebalanceInProgress); // a consumer joins again when its subscription changes
                }
                break;
            case 6 or 7:
                member.LoseAnswer();
                break;
            case 8:
                Crash();
                break;
            case 9:
                Advance(_random.Next(1000, 14_000)); // everybody lags
                break;
            case 10 or 11 when member is SimulatedModernConsumer modern:
                modern.Lingers = !modern.Lingers;
                break;
            case 12:
                ChangeTopic();
                break;
        }
    }

    private void ChangeTopic()
    {
        string name = _random.Next(3) switch { 0 => "a", 1 => "b", _ => "c" };
        if (!_topics.TryGetValue(name, out TopicInfo? topic))
        {
            SetTopic(name, _random.Next(1, 6));
        }
        else if (_random.Next(4) == 0)
        {
            _topics = new(_topics);
            _topics.Remove(name);
        }
        else if (topic.Partitions.Length < 8)
        {
            _topics = new(_topics) { [name] = TestControlPlane.Make(name, topic.Id, topic.Partitions.Length + 1, new Dictionary<string, string>()) };
        }
    }

    private void SetTopic(string name, int partitions)
    {
        Span<byte> id = stackalloc byte[16];
        _random.NextBytes(id);
        _topics = new(_topics) { [name] = TestControlPlane.Make(name, new Guid(id), partitions, new Dictionary<string, string>()) };
    }

    private void Act(SimulatedConsumer member)
    {
        if (!member.IsAlive || member.Token != 0)
        {
            return;
        }
        See();
        Note(() => $"{member.Number} acts", member);
        if (member.IsSettled && _random.Next(3) == 0)
        {
            Commit(member);
        }
        else if (member is SimulatedModernConsumer modern)
        {
            modern.Follow();
            Heartbeat(modern, modern.Heartbeat());
        }
        else if (member is SimulatedClassicConsumer classic)
        {
            ActClassic(classic);
        }
        Settle();
        Check();
    }

    private void ActClassic(SimulatedClassicConsumer member)
    {
        if (!member.IsJoined)
        {
            JoinGroupRequest request = member.Join(_topics);
            member.Token = ++_lastToken;
            string id = $"id-{++_newIds}";
            if (_group is ModernGroup { IsVacant: true, IsQuiet: true } empty)
            {
                _group = ConsumerGroup.Continue(Options, empty.ToClassicRecord(), empty.UnstoredNumber, Now);
            }
            (_group as ConsumerGroup)?.Join(Now, request, member.Caller, id, member.Token);
            (_group as ModernGroup)?.Join(Now, request, member.Caller, id, member.Token);
        }
        else if (!member.IsSettled)
        {
            member.Token = ++_lastToken;
            (_group as ConsumerGroup)?.Sync(Now, member.Sync(_topics), member.Token);
            (_group as ModernGroup)?.Sync(Now, member.Sync(_topics), member.Token);
        }
        else
        {
            HeartbeatRequest request = member.Heartbeat();
            member.Take(_group is ConsumerGroup classic ? classic.Heartbeat(Now, request) : ((ModernGroup)_group).Heartbeat(Now, request));
        }
    }

    /// <summary>As a host does: the first member of the newer protocol makes a group at rest one of that.</summary>
    private void Heartbeat(SimulatedModernConsumer member, ConsumerGroupHeartbeatRequest request)
    {
        if (_group is ModernGroup modern)
        {
            member.Token = ++_lastToken;
            modern.Heartbeat(Now, request, member.Caller, "", member.Token);
            return;
        }
        var classic = (ConsumerGroup)_group;
        if (request.MemberEpoch != 0 || !classic.IsAtRest(request.InstanceId))
        {
            member.Take(new ConsumerGroupHeartbeatResponse
            {
                ErrorCode = request.MemberEpoch != 0 ? ErrorCode.UnknownMemberId : ErrorCode.CoordinatorLoadInProgress,
            });
            return;
        }
        var upgraded = new ModernGroup(Options, Upgrade.TryUpgrade(classic, _topics)!, classic.UnstoredNumber, Now);
        upgraded.See(_topics);
        member.Token = ++_lastToken;
        upgraded.Heartbeat(Now, request, member.Caller, "", member.Token);
        Require(upgraded.HasModernMembers, "a member could not join");
        _group = upgraded;
        Migrations++;
    }

    private void Leave(SimulatedConsumer member)
    {
        See();
        if (member is SimulatedModernConsumer modern && _group is ModernGroup group)
        {
            group.Heartbeat(Now, modern.Leave(), member.Caller, "", ++_lastToken);
        }
        else if (member is SimulatedClassicConsumer)
        {
            (_group as ConsumerGroup)?.Leave(Now, member.Id, member.Instance);
            (_group as ModernGroup)?.Leave(Now, member.Id, member.Instance);
        }
        member.Restart();
        member.IsAlive = false;
        Settle();
    }

    private void Commit(SimulatedConsumer member)
    {
        OffsetCommitRequest request = member.Commit();
        ErrorCode error = _group is ConsumerGroup classic ? classic.CheckCommit(Now, request) : ((ModernGroup)_group).CheckCommit(request, 9);
        if (error == ErrorCode.None)
        {
            Commits++;
            Require(IsMember(member), "a commit of a stranger was taken");
            Require((_group as ModernGroup)?.Members.Single(one => one.Id == member.Id).Epoch is not { } epoch || epoch == member.Epoch,
                "a commit of another epoch was taken");
        }
        else
        {
            Refused++;
            (member as SimulatedClassicConsumer)?.Take(error);
        }
    }

    private bool IsMember(SimulatedConsumer member) => _group is ConsumerGroup classic
        ? classic.Members.Any(one => one.Id == member.Id)
        : ((ModernGroup)_group).Members.Any(one => one.Id == member.Id);

    /// <summary>
    /// What must hold at any time, of those whom the group takes for alive. In the classic protocol a static member that misses a rebalance
    /// stays, and reads on until it hears of it.
    /// </summary>
    private void Check()
    {
        var readers = new Dictionary<AssignedPartition, SimulatedConsumer>();
        bool IsAbsent(SimulatedConsumer member) => member.Instance is not null && _group is ConsumerGroup && member.Epoch != _group.Generation;
        foreach (SimulatedConsumer member in _members.Where(member => member.IsAlive && IsMember(member) && !IsAbsent(member)))
        {
            foreach (AssignedPartition partition in member.Reads)
            {
                if (!readers.TryAdd(partition, member))
                {
                    throw Fault($"{partition} is read by {readers[partition].Number} and {member.Number} while {_group.State}");
                }
            }
        }
    }

    /// <summary>The process dies: a write that was under way is there or isn't, and nobody is answered.</summary>
    private void Crash()
    {
        if (_write is { } write && _random.Next(2) == 0)
        {
            _stored = write.Record;
        }
        _write = null;
        _group = _stored?.Modern is null ? new ConsumerGroup(Options, _stored, Now) : new ModernGroup(Options, _stored, 0, Now);
        Require(_group.Generation >= _highestTold, $"epoch {_highestTold} was told, and the group is in {_group.Generation}");
        foreach (SimulatedConsumer member in _members)
        {
            member.LoseAnswer();
            if (_group is ModernGroup modern && member is { IsAlive: true, Epoch: > 0 })
            {
                ModernMember? stored = modern.Members.FirstOrDefault(one => one.Id == member.Id);
                Require(stored is null || stored.IsAway || stored.Epoch >= member.Epoch, "a member was told an epoch before that was stored");
            }
        }
        See();
        Settle();
    }

    private void See() => (_group as ModernGroup)?.See(_topics);

    private void Advance(long ms)
    {
        for (long end = _now + ms; _now < end;)
        {
            _now = Math.Min(end, Math.Max(_now + 1, Math.Min(_group.NextDeadline, _write?.DoneAt ?? end)));
            See();
            if (_write is { } write && write.DoneAt <= _now)
            {
                _stored = write.Record;
                _write = null;
                _group.Stored(Now, write.Number);
                Settle();
            }
            if (_group.NextDeadline <= _now)
            {
                _group.Tick(Now);
                Require(_group.NextDeadline > _now, "a deadline stays due");
                Settle();
            }
            Check();
        }
    }

    /// <summary>Does what the group has left to do.</summary>
    private void Settle()
    {
        Deliver();
        if (_group is ModernGroup { IsToBeClassic: true, IsQuiet: true } modern)
        {
            _group = ConsumerGroup.Continue(Options, modern.ToClassicRecord(), modern.UnstoredNumber, Now);
            Migrations++;
        }
        if (_write is null && _group.Unstored is { } record)
        {
            _write = (record, _group.UnstoredNumber, _now + _random.Next(1, 60));
        }
        Deliver();
    }

    private void Deliver()
    {
        while (_group.TryTakeAnswer(out GroupAnswer answer))
        {
            SimulatedConsumer? member = _members.FirstOrDefault(one => one.IsAlive && one.Token == answer.Token);
            if (member is SimulatedModernConsumer modern)
            {
                modern.Take(answer.Heard!);
            }
            else if (member is SimulatedClassicConsumer classic && answer.Joined is not null)
            {
                classic.Take(answer.Joined);
            }
            else
            {
                (member as SimulatedClassicConsumer)?.Take(answer.Synced!);
            }
            bool isStored = member is not SimulatedClassicConsumer || member.IsSettled; // a generation counts when its assignment is told
            _highestTold = Math.Max(_highestTold, isStored ? member?.Epoch ?? 0 : 0);
            Note(() => $"{member?.Number} hears {answer.Joined?.ErrorCode}{answer.Synced?.ErrorCode}{answer.Heard?.ErrorCode}", member);
        }
    }

    private void Note(Func<string> what, SimulatedConsumer? member)
    {
        if (_story is null)
        {
            return;
        }
        string told = member is null ? "" : $"{member.Id} epoch {member.Epoch} settled {member.IsSettled} reads {Short(member.Reads)}";
        string books = _group is ModernGroup modern
            ? string.Join("; ", modern.Members.Select(one => $"{one.Id} {one.Epoch} {one.State} {Short(one.Assigned)} -{Short(one.Revoking)}"))
            : string.Join("; ", ((ConsumerGroup)_group).Members.Select(one => one.Id));
        _story.Enqueue($"{_now} {what()}: {told} | {_group.State} {_group.Generation}: {books}");
        if (_story.Count > 60)
        {
            _story.Dequeue();
        }
    }

    private static string Short(IEnumerable<AssignedPartition> partitions) =>
        string.Join(',', partitions.Order().Select(partition => $"{partition.Topic.ToString()[..2]}{partition.Partition}"));

    private void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw Fault(what);
        }
    }

    private InvalidOperationException Fault(string what) => new($"at {_now} ms: {what}\n{string.Join('\n', _story ?? [])}");
}
