using System.Buffers;
using System.Net;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Benchmarks.Load;

/// <summary>A member of a group on a connection of its own, as a consumer's client behaves. Used by one caller at a time.</summary>
internal sealed class GroupLoadMember : IDisposable
{
    private const short JoinVersion = 7;
    private const short SyncVersion = 5;
    private const short HeartbeatVersion = 4;
    private const short LeaveVersion = 4;
    private const short CommitVersion = 8;
    private const int RebalanceTimeoutMs = 60_000;
    private readonly KafkaSession _session;
    private readonly string _group;
    private readonly byte[] _subscription;
    private readonly int _sessionTimeoutMs;
    private string _id = "";

    private GroupLoadMember(KafkaSession session, string group, string topic, int sessionTimeoutMs)
    {
        _session = session;
        _group = group;
        _subscription = Subscription(topic);
        _sessionTimeoutMs = sessionTimeoutMs;
    }

    public int Generation { get; private set; } = -1;

    /// <summary>Connects, and doesn't join yet.</summary>
    public static async Task<GroupLoadMember> OpenAsync(IPEndPoint kafka, string group, string topic, int sessionTimeoutMs = 30_000) =>
        new(await KafkaSession.OpenAsync(kafka), group, topic, sessionTimeoutMs);

    /// <summary>Joins, and again for as long as it is told to, until it has an assignment.</summary>
    public async Task JoinAsync()
    {
        while (true)
        {
            JoinGroupResponse joined = await _session.AskAsync(JoinRequest(), JoinVersion);
            if (joined.ErrorCode == ErrorCode.MemberIdRequired)
            {
                _id = joined.MemberId;
                continue;
            }
            if (!MayGoOn(joined.ErrorCode))
            {
                continue;
            }
            (_id, Generation) = (joined.MemberId, joined.GenerationId);
            SyncGroupResponse synced = await _session.AskAsync(SyncRequest(joined), SyncVersion);
            if (MayGoOn(synced.ErrorCode))
            {
                return;
            }
        }
    }

    /// <summary>Sends heartbeats until it hears of a rebalance, and joins the next generation.</summary>
    public async Task RejoinAsync()
    {
        var heartbeat = new HeartbeatRequest { GroupId = _group, GenerationId = Generation, MemberId = _id };
        while (MayGoOn((await _session.AskAsync(heartbeat, HeartbeatVersion)).ErrorCode))
        {
            await Task.Delay(1);
        }
        await JoinAsync();
    }

    public async Task LeaveAsync()
    {
        LeaveGroupResponse left = await _session.AskAsync(
            new LeaveGroupRequest { GroupId = _group, Members = [new() { MemberId = _id }] }, LeaveVersion);
        MayGoOn(left.ErrorCode);
    }

    public async Task CommitAsync(string topic, int partitions, long offset)
    {
        OffsetCommitResponse answer = await _session.AskAsync(CommitRequest(_group, _id, Generation, topic, partitions, offset), CommitVersion);
        foreach (OffsetCommitResponse.OffsetCommitResponsePartition partition in answer.Topics.SelectMany(one => one.Partitions))
        {
            if (partition.ErrorCode != ErrorCode.None)
            {
                throw new IOException($"the commit was answered with {partition.ErrorCode}");
            }
        }
    }

    public static OffsetCommitRequest CommitRequest(string group, string member, int generation, string topic, int partitions, long offset) => new()
    {
        GroupId = group,
        GenerationId = generation,
        MemberId = member,
        Topics =
        [
            new()
            {
                Name = topic,
                Partitions = [.. Enumerable.Range(0, partitions).Select(i => new OffsetCommitRequest.OffsetCommitRequestPartition
                {
                    PartitionIndex = i,
                    CommittedOffset = offset,
                    CommittedMetadata = "",
                })],
            },
        ],
    };

    /// <inheritdoc/>
    public void Dispose() => _session.Dispose();

    /// <returns>False if it is told to join anew.</returns>
    private bool MayGoOn(ErrorCode error)
    {
        switch (error)
        {
            case ErrorCode.None:
                return true;
            case ErrorCode.RebalanceInProgress or ErrorCode.IllegalGeneration:
                return false;
            case ErrorCode.UnknownMemberId:
                _id = "";
                return false;
            default:
                throw new IOException($"a member of {_group} was answered with {error}");
        }
    }

    private JoinGroupRequest JoinRequest() => new()
    {
        GroupId = _group,
        SessionTimeoutMs = _sessionTimeoutMs,
        RebalanceTimeoutMs = RebalanceTimeoutMs,
        MemberId = _id,
        ProtocolType = "consumer",
        Protocols = [new() { Name = "range", Metadata = _subscription }],
    };

    private SyncGroupRequest SyncRequest(JoinGroupResponse joined) => new()
    {
        GroupId = _group,
        GenerationId = Generation,
        MemberId = _id,
        ProtocolType = "consumer",
        ProtocolName = "range",
        Assignments = [.. joined.Members.Select(member => new SyncGroupRequest.SyncGroupRequestAssignment
        {
            MemberId = member.MemberId,
            Assignment = _subscription, // nobody reads it
        })],
    };

    private static byte[] Subscription(string topic)
    {
        var bytes = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(bytes);
        writer.WriteInt16(0);
        writer.WriteCount("topics", 1, compact: false);
        writer.WriteString("topic", topic, compact: false);
        writer.WriteInt32(-1);
        return bytes.WrittenSpan.ToArray();
    }
}
