using System.Collections.Immutable;
using Tributary.Broker.Groups;
using Tributary.Broker.Groups.Modern;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Groups.Modern;

/// <summary>A consumer as clients are, of either protocol. The simulation decides when it acts and whether an answer reaches it.</summary>
internal abstract class SimulatedConsumer(int number, string? instance)
{
    public int Number => number;

    public string? Instance => instance;

    public string Id { get; protected set; } = "";

    public bool IsAlive { get; set; } = true;

    /// <summary>What it waits for, 0 if for nothing.</summary>
    public long Token { get; set; }

    /// <summary>What it reads.</summary>
    public HashSet<AssignedPartition> Reads { get; protected set; } = [];

    public string[] Topics { get; set; } = ["a", "b", "c"];

    /// <summary>The highest epoch it was told since it began.</summary>
    public int Epoch { get; protected set; }

    /// <summary>Whether it is a member, as far as it knows, and has nothing to do but to live.</summary>
    public abstract bool IsSettled { get; }

    public abstract GroupCaller Caller { get; }

    /// <summary>Its process begins anew: it has forgotten everything.</summary>
    public abstract void Restart();

    /// <summary>The answer that it waits for never comes.</summary>
    public virtual void LoseAnswer() => Token = 0;

    public OffsetCommitRequest Commit() => new() { GroupId = "g", GenerationId = Epoch, MemberId = Id, GroupInstanceId = Instance };
}

/// <summary>
/// A consumer of the newer protocol: it gives up before it takes, and tells what it has when that has changed, or always. When an answer does
/// not come it asks for all, or goes on as if nothing had been.
/// </summary>
internal sealed class SimulatedModernConsumer(int number, string? instance, bool tellsAll, bool asksAgain) : SimulatedConsumer(number, instance)
{
    /// <summary>Longer than the calm at the end: who was not told what to give up isn't just removed.</summary>
    private const int LongTimeoutMs = 300_000;

    private HashSet<AssignedPartition>? _wanted;
    private bool _tells = true;
    private int _lives;

    public string? Pattern { get; set; }

    /// <summary>It takes its time to give up what it has to.</summary>
    public bool Lingers { get; set; }

    public override bool IsSettled => Epoch > 0 && _wanted is null;

    public override GroupCaller Caller => new($"c{Number}", "/h", 1);

    public override void Restart()
    {
        (Epoch, Token, IsAlive, Reads, _wanted) = (0, 0, true, [], null);
        Id = $"m{Number}-{++_lives}";
    }

    public ConsumerGroupHeartbeatRequest Heartbeat()
    {
        bool joins = Epoch == 0;
        bool tells = joins || tellsAll || _tells;
        return new()
        {
            GroupId = "g",
            MemberId = Id,
            MemberEpoch = Epoch,
            InstanceId = Instance,
            RebalanceTimeoutMs = !tells ? -1 : asksAgain ? 15_000 : LongTimeoutMs,
            SubscribedTopicNames = tells && Pattern is null ? Topics : Pattern is null ? null : [],
            SubscribedTopicRegex = tells ? Pattern ?? "" : null,
            ServerAssignor = joins ? (Number % 4 == 3 ? "range" : "uniform") : null,
            TopicPartitions = tells
                ? [.. ModernMember.ByTopic(Reads).Select(topic => new ConsumerGroupHeartbeatRequest.OwnedTopicPartitions
                {
                    TopicId = topic.Topic,
                    Partitions = topic.Partitions,
                })]
                : null,
        };
    }

    public ConsumerGroupHeartbeatRequest Leave() =>
        new() { GroupId = "g", MemberId = Id, MemberEpoch = Instance is null ? -1 : -2, InstanceId = Instance };

    public void ChangeTopics(string[] topics, string? pattern) => (Topics, Pattern, _tells) = (topics, pattern, true);

    public override void LoseAnswer()
    {
        if (Token != 0 && asksAgain)
        {
            (_tells, _wanted) = (true, null); // it does not know what the group knows, and asks for all of it
        }
        base.LoseAnswer();
    }

    /// <summary>Gives up, and then takes, what it was told.</summary>
    public void Follow()
    {
        if (_wanted is null || Lingers)
        {
            return;
        }
        if (!Reads.IsSubsetOf(_wanted))
        {
            Reads = [.. Reads.Where(_wanted.Contains)]; // told in the next heartbeat, before it takes anything
            _tells = true;
            return;
        }
        (Reads, _wanted, _tells) = (_wanted, null, true);
    }

    public void Take(ConsumerGroupHeartbeatResponse response)
    {
        Token = 0;
        switch (response.ErrorCode)
        {
            case ErrorCode.None:
                _tells = false;
                Epoch = response.MemberEpoch;
                if (response.Assignment is { } assignment)
                {
                    _wanted = [.. assignment.TopicPartitions.SelectMany(
                        topic => topic.Partitions.Select(partition => new AssignedPartition(topic.TopicId, partition)))];
                    Follow();
                }
                break;
            case ErrorCode.UnknownMemberId or ErrorCode.FencedMemberEpoch:
                (Epoch, Reads, _wanted) = (0, [], null);
                break;
            case ErrorCode.FencedInstanceId or ErrorCode.UnreleasedInstanceId:
                (Epoch, Reads, _wanted, IsAlive) = (0, [], null, false);
                break;
            case ErrorCode.CoordinatorLoadInProgress:
                _tells = true;
                break;
            default:
                throw new InvalidOperationException($"consumer {Number} was told {response.ErrorCode}: {response.ErrorMessage}");
        }
    }
}

/// <summary>A consumer of the classic protocol, that gives everything up when it joins, or only what it is told to (cooperative).</summary>
internal sealed class SimulatedClassicConsumer(int number, string? instance, bool isCooperative) : SimulatedConsumer(number, instance)
{
    private const short Version = 7;
    private JoinGroupResponse? _joined;
    private bool _isSynced;
    private IReadOnlyDictionary<string, TopicInfo> _topics = ImmutableDictionary<string, TopicInfo>.Empty;

    public override bool IsSettled => _joined is not null && _isSynced;

    public bool IsJoined => _joined is not null;

    public override GroupCaller Caller => new($"c{Number}", "/h", Version);

    public override void Restart()
    {
        (Id, Token, IsAlive) = ("", 0, true);
        Lose();
    }

    public override void LoseAnswer()
    {
        if (Token != 0)
        {
            _joined = null;
        }
        base.LoseAnswer();
    }

    public JoinGroupRequest Join(IReadOnlyDictionary<string, TopicInfo> topics)
    {
        Reads = isCooperative ? Reads : [];
        var names = topics.Values.ToDictionary(topic => topic.Id, topic => topic.Name);
        (string, int[])[] owned =
            [.. ModernMember.ByTopic(Reads).Where(topic => names.ContainsKey(topic.Topic)).Select(topic => (names[topic.Topic], topic.Partitions))];
        return new()
        {
            GroupId = "g",
            SessionTimeoutMs = 10_000,
            RebalanceTimeoutMs = 15_000,
            MemberId = Id,
            GroupInstanceId = Instance,
            ProtocolType = "consumer",
            Protocols = [new() { Name = "simulated", Metadata = ConsumerWords.Subscription(Topics, owned, Epoch) }],
        };
    }

    public SyncGroupRequest Sync(IReadOnlyDictionary<string, TopicInfo> topics)
    {
        _topics = topics;
        return new()
        {
            GroupId = "g",
            GenerationId = Epoch,
            MemberId = Id,
            GroupInstanceId = Instance,
            ProtocolType = "consumer",
            ProtocolName = _joined!.ProtocolName,
            Assignments = _joined.Leader == Id && !_joined.SkipAssignment ? ConsumerWords.Lead(_joined, topics) : [],
        };
    }

    public HeartbeatRequest Heartbeat() => new() { GroupId = "g", GenerationId = Epoch, MemberId = Id, GroupInstanceId = Instance };

    public void Take(JoinGroupResponse response)
    {
        Token = 0;
        switch (response.ErrorCode)
        {
            case ErrorCode.None:
                (_joined, Id, Epoch, _isSynced) = (response, response.MemberId, response.GenerationId, false);
                break;
            case ErrorCode.MemberIdRequired:
                Id = response.MemberId;
                break;
            default:
                Take(response.ErrorCode);
                break;
        }
    }

    public void Take(SyncGroupResponse response)
    {
        Token = 0;
        if (response.ErrorCode != ErrorCode.None)
        {
            Take(response.ErrorCode);
            return;
        }
        HashSet<AssignedPartition> told =
        [
            .. ConsumerAssignment.Parse(response.Assignment.ToArray())!.Where(partition => _topics.ContainsKey(partition.Topic))
                .Select(partition => new AssignedPartition(_topics[partition.Topic].Id, partition.Partition)),
        ];
        bool givesUp = !Reads.IsSubsetOf(told);
        (Reads, _isSynced) = (told, true);
        if (isCooperative && givesUp)
        {
            _joined = null; // others wait for what it has given up
        }
    }

    public void Take(ErrorCode error)
    {
        switch (error)
        {
            case ErrorCode.None:
                break;
            case ErrorCode.UnknownMemberId:
                Id = "";
                Lose();
                break;
            case ErrorCode.IllegalGeneration:
                Lose();
                break;
            case ErrorCode.FencedInstanceId:
                Lose();
                IsAlive = false;
                break;
            case ErrorCode.RebalanceInProgress:
                _joined = null;
                break;
            default:
                throw new InvalidOperationException($"consumer {Number} was told {error}");
        }
    }

    private void Lose() => (_joined, _isSynced, Reads, Epoch) = (null, false, [], -1);
}
