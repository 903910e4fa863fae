using System.Buffers;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Tests.Broker.Support;

/// <summary>A member of a group that sends exactly the requests that a test wants sent, in the versions that it wants.</summary>
internal sealed class GroupTestMember(TestClient client, string group, short join = 5, string? instance = null) : IAsyncDisposable
{
    public string Id { get; set; } = "";

    public int Generation { get; set; } = -1;

    public string[] Topics { get; set; } = ["t"];

    public string[] Protocols { get; set; } = ["range"];

    public int SessionTimeoutMs { get; set; } = 30_000;

    public int RebalanceTimeoutMs { get; set; } = 60_000;

    public string ProtocolType { get; set; } = "consumer";

    /// <summary>What it gives everybody as their leader, instead of their ids.</summary>
    public byte[]? Assigned { get; set; }

    public JoinGroupResponse? Joined { get; private set; }

    public bool IsLeader => Joined!.Leader == Id;

    private string? Instance => join >= 5 ? instance : null;

    /// <summary>The newest version of another API that a client with this one of JoinGroup would use.</summary>
    private short Other(short most) => Math.Min(most, join);

    /// <summary>A consumer's metadata: version 0, topics, no user data.</summary>
    public static byte[] Subscription(params string[] topics)
    {
        var bytes = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(bytes);
        writer.WriteInt16(0);
        writer.WriteCount("topics", topics.Length, compact: false);
        foreach (string topic in topics)
        {
            writer.WriteString("topic", topic, compact: false);
        }
        writer.WriteInt32(-1);
        return bytes.WrittenSpan.ToArray();
    }

    public JoinGroupRequest JoinRequest() => new()
    {
        GroupId = group,
        SessionTimeoutMs = SessionTimeoutMs,
        RebalanceTimeoutMs = RebalanceTimeoutMs,
        MemberId = Id,
        GroupInstanceId = Instance,
        ProtocolType = ProtocolType,
        Protocols = [.. Protocols.Select(name => new JoinGroupRequest.JoinGroupRequestProtocol { Name = name, Metadata = Subscription(Topics) })],
    };

    /// <summary>Joins; where it is told to come again with its id, it does.</summary>
    public async Task<JoinGroupResponse> JoinAsync()
    {
        JoinGroupResponse response = await client.AskAsync(JoinRequest(), join);
        if (response.ErrorCode == Tributary.Contracts.Kafka.ErrorCode.MemberIdRequired)
        {
            Id = response.MemberId;
            response = await client.AskAsync(JoinRequest(), join);
        }
        if (response.ErrorCode == Tributary.Contracts.Kafka.ErrorCode.None)
        {
            (Id, Generation, Joined) = (response.MemberId, response.GenerationId, response);
        }
        return response;
    }

    /// <summary>Asks for its assignment; a leader gives every member its id as bytes.</summary>
    public Task<SyncGroupResponse> SyncAsync() => client.AskAsync(
        new SyncGroupRequest
        {
            GroupId = group,
            GenerationId = Generation,
            MemberId = Id,
            GroupInstanceId = Instance,
            ProtocolType = join >= 7 ? ProtocolType : null,
            ProtocolName = join >= 7 ? Joined!.ProtocolName : null,
            Assignments = IsLeader
                ? [.. Joined!.Members.Select(member => new SyncGroupRequest.SyncGroupRequestAssignment
                {
                    MemberId = member.MemberId,
                    Assignment = Assigned ?? Assignment(member.MemberId, Generation),
                })]
                : [],
        },
        join >= 7 ? (short)5 : Other(4));

    public static byte[] Assignment(string member, int generation) => System.Text.Encoding.UTF8.GetBytes($"{generation}/{member}");

    public async Task<Tributary.Contracts.Kafka.ErrorCode> HeartbeatAsync() => (await client.AskAsync(
        new HeartbeatRequest
        {
            GroupId = group,
            GenerationId = Generation,
            MemberId = Id,
            GroupInstanceId = join >= 5 ? instance : null,
        },
        Other(4))).ErrorCode;

    public async Task<Tributary.Contracts.Kafka.ErrorCode> LeaveAsync() =>
        join < 3
            ? (await client.AskAsync(new LeaveGroupRequest { GroupId = group, MemberId = Id }, Other(2))).ErrorCode
            : await LeaveAsOneOfManyAsync();

    /// <summary>From version 3 on a request takes several members out (KIP-345).</summary>
    private async Task<Tributary.Contracts.Kafka.ErrorCode> LeaveAsOneOfManyAsync()
    {
        var request = new LeaveGroupRequest { GroupId = group, Members = [new() { MemberId = Id, GroupInstanceId = Instance }] };
        LeaveGroupResponse response = await client.AskAsync(request, Other(5));
        return response.ErrorCode != Tributary.Contracts.Kafka.ErrorCode.None ? response.ErrorCode : response.Members.Single().ErrorCode;
    }

    public async Task<Tributary.Contracts.Kafka.ErrorCode> CommitAsync(long offset, string topic = "t", short version = 8) =>
        (await client.AskAsync(CommitRequest(offset, topic), version)).Topics.Single().Partitions.Single().ErrorCode;

    public OffsetCommitRequest CommitRequest(long offset, string topic = "t", int partition = 0) => new()
    {
        GroupId = group,
        GenerationId = Generation,
        MemberId = Id,
        GroupInstanceId = Instance,
        Topics =
        [
            new() { Name = topic, Partitions = [new() { PartitionIndex = partition, CommittedOffset = offset, CommittedMetadata = $"at {offset}" }] },
        ],
    };

    public async Task<long> CommittedAsync(string topic = "t") => (await client.AskAsync(
        new OffsetFetchRequest { Groups = [new() { GroupId = group, Topics = [new() { Name = topic, PartitionIndexes = [0] }] }] }, 8))
        .Groups.Single().Topics.Single().Partitions.Single().CommittedOffset;

    public ValueTask DisposeAsync() => client.DisposeAsync();
}
