using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups;

/// <summary>A member of a <see cref="ConsumerGroup"/>, which alone changes it.</summary>
internal sealed class GroupMember
{
    private const int OverheadBytes = 256;

    public required string Id { get; set; }

    public string? InstanceId { get; init; }

    public string ClientId { get; set; } = "";

    public string ClientHost { get; set; } = "";

    public int SessionTimeoutMs { get; set; }

    public int RebalanceTimeoutMs { get; set; }

    public GroupProtocol[] Protocols { get; set; } = [];

    public byte[] Assignment { get; set; } = [];

    /// <summary>Of the join that waits for the next generation, 0 if none does.</summary>
    public long JoinToken { get; set; }

    /// <summary>Of the sync that waits for the assignment, 0 if none does.</summary>
    public long SyncToken { get; set; }

    /// <summary>
    /// A static member that has not joined this generation: it may still read what it had in one before, until it asks and is told so.
    /// </summary>
    public bool IsAbsent { get; set; }

    /// <summary>Has not been told its id yet, so it can't send heartbeats.</summary>
    public bool IsNew { get; set; }

    /// <summary>When it is taken for dead, on the clock of <see cref="Moment.Elapsed"/>.</summary>
    public long Deadline { get; set; }

    public bool IsStatic => InstanceId is not null;

    /// <summary>Waits for the group, so it can't send heartbeats.</summary>
    public bool IsWaiting => JoinToken != 0 || SyncToken != 0;

    /// <summary>About what it holds, its assignment aside.</summary>
    public long Bytes => BytesOf(Id, InstanceId, ClientId, ClientHost, Protocols);

    public static GroupMember From(GroupMemberRecord record) => new()
    {
        Id = record.Id,
        InstanceId = record.InstanceId,
        ClientId = record.ClientId,
        ClientHost = record.ClientHost,
        SessionTimeoutMs = record.SessionTimeoutMs,
        RebalanceTimeoutMs = record.RebalanceTimeoutMs,
        Protocols = record.Protocols,
        Assignment = record.Assignment,
        IsAbsent = record.IsAbsent,
    };

    public static long BytesOf(JoinGroupRequest request, GroupCaller caller)
    {
        long bytes = OverheadBytes + 2L * (request.MemberId.Length + (request.GroupInstanceId?.Length ?? 0) + caller.ClientId.Length
            + caller.Host.Length);
        foreach (JoinGroupRequest.JoinGroupRequestProtocol protocol in request.Protocols)
        {
            bytes += 2L * protocol.Name.Length + protocol.Metadata.Length;
        }
        return bytes;
    }

    public GroupMemberRecord ToRecord(byte[] assignment) => new()
    {
        Id = Id,
        InstanceId = InstanceId,
        ClientId = ClientId,
        ClientHost = ClientHost,
        SessionTimeoutMs = SessionTimeoutMs,
        RebalanceTimeoutMs = RebalanceTimeoutMs,
        Protocols = Protocols,
        Assignment = assignment,
        IsAbsent = IsAbsent,
    };

    /// <summary>Takes over what a join says.</summary>
    public void Update(JoinGroupRequest request, GroupCaller caller)
    {
        ClientId = caller.ClientId;
        ClientHost = caller.Host;
        SessionTimeoutMs = request.SessionTimeoutMs;
        RebalanceTimeoutMs = request.RebalanceTimeoutMs >= 0 ? request.RebalanceTimeoutMs : request.SessionTimeoutMs;
        Protocols = GroupProtocol.Copy(request);
    }

    /// <summary>Whether a join repeats what is known.</summary>
    public bool Matches(JoinGroupRequest request)
    {
        if (request.Protocols.Length != Protocols.Length)
        {
            return false;
        }
        for (int i = 0; i < Protocols.Length; i++)
        {
            if (request.Protocols[i].Name != Protocols[i].Name || !request.Protocols[i].Metadata.Span.SequenceEqual(Protocols[i].Metadata))
            {
                return false;
            }
        }
        return true;
    }

    public bool Supports(string protocol) => FindMetadata(protocol) is not null;

    public byte[] MetadataOf(string protocol) => FindMetadata(protocol) ?? [];

    private byte[]? FindMetadata(string protocol)
    {
        foreach (GroupProtocol one in Protocols)
        {
            if (one.Name == protocol)
            {
                return one.Metadata;
            }
        }
        return null;
    }

    private static long BytesOf(string id, string? instanceId, string clientId, string host, GroupProtocol[] protocols)
    {
        long bytes = OverheadBytes + 2L * (id.Length + (instanceId?.Length ?? 0) + clientId.Length + host.Length);
        foreach (GroupProtocol protocol in protocols)
        {
            bytes += 2L * protocol.Name.Length + protocol.Metadata.Length;
        }
        return bytes;
    }
}
