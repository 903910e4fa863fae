using System.Text;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Groups;

/// <summary>
/// A consumer as clients are: it joins, syncs, sends heartbeats and does what the answers say. The simulation decides when it does its
/// next thing, whether it does it at all, and whether an answer reaches it.
/// </summary>
internal sealed class SimulatedMember(int number, bool isStatic, short version)
{
    public const int Partitions = 12;
    private string[] _topics = ["t"];
    private JoinGroupResponse? _joined;

    public int Number => number;

    public string Id { get; private set; } = "";

    public bool IsAlive { get; set; } = true;

    /// <summary>What it waits for, 0 if for nothing.</summary>
    public long Token { get; set; }

    public bool IsMember => _joined is not null;

    /// <summary>It has its assignment and knows of no rebalance.</summary>
    public bool IsSettled { get; private set; }

    public int Generation => _joined?.GenerationId ?? -1;

    public int[] Owned { get; private set; } = [];

    public string? Instance => isStatic ? $"static-{number}" : null;

    public GroupCaller Caller => new($"c{number}", "/h", version);

    public void ChangeTopics(int which) => _topics = ["t", $"u{which}"];

    /// <summary>Its process begins anew: it has forgotten everything.</summary>
    public void Restart()
    {
        Rejoin();
        (Id, IsAlive) = ("", true);
    }

    /// <summary>The answer that it waits for never comes: it asks again.</summary>
    public void LoseAnswer()
    {
        if (Token != 0)
        {
            Rejoin();
        }
    }

    public JoinGroupRequest Join() => new()
    {
        GroupId = "g",
        SessionTimeoutMs = 10_000,
        RebalanceTimeoutMs = 20_000,
        MemberId = Id,
        GroupInstanceId = Instance,
        ProtocolType = "consumer",
        Protocols =
        [
            new() { Name = number % 2 == 0 ? "even" : "odd", Metadata = GroupTestMember.Subscription(_topics) },
            new() { Name = "range", Metadata = GroupTestMember.Subscription(_topics) },
        ],
    };

    public SyncGroupRequest Sync() => new()
    {
        GroupId = "g",
        GenerationId = Generation,
        MemberId = Id,
        GroupInstanceId = Instance,
        ProtocolName = _joined!.ProtocolName,
        Assignments = _joined.Leader == Id && !_joined.SkipAssignment ? [.. _joined.Members.Select(Assign)] : [],
    };

    public HeartbeatRequest Heartbeat() => new() { GroupId = "g", GenerationId = Generation, MemberId = Id, GroupInstanceId = Instance };

    public OffsetCommitRequest Commit() => new() { GroupId = "g", GenerationId = Generation, MemberId = Id, GroupInstanceId = Instance };

    public void Take(JoinGroupResponse response)
    {
        Token = 0;
        switch (response.ErrorCode)
        {
            case ErrorCode.None:
                (_joined, Id) = (response, response.MemberId);
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
        IsSettled = true;
        string text = Encoding.UTF8.GetString(response.Assignment.Span);
        Owned = [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)];
    }

    public void Take(ErrorCode error)
    {
        switch (error)
        {
            case ErrorCode.None:
                break;
            case ErrorCode.UnknownMemberId:
                Rejoin();
                Id = "";
                break;
            case ErrorCode.FencedInstanceId:
                Rejoin();
                IsAlive = false;
                break;
            case ErrorCode.RebalanceInProgress or ErrorCode.IllegalGeneration:
                Rejoin();
                break;
            default:
                throw new InvalidOperationException($"member {number} was told {error}");
        }
    }

    private void Rejoin() => (_joined, Token, IsSettled, Owned) = (null, 0, false, []);

    private SyncGroupRequest.SyncGroupRequestAssignment Assign(JoinGroupResponse.JoinGroupResponseMember member, int index) => new()
    {
        MemberId = member.MemberId,
        Assignment = Encoding.UTF8.GetBytes(
            string.Join(' ', Enumerable.Range(0, Partitions).Where(partition => partition % _joined!.Members.Length == index))),
    };
}
