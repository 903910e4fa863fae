using System.Text.Json.Serialization;
using Tributary.Broker.Groups.Modern;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups;

/// <summary>
/// What a group keeps over a crash, beside its offsets: its last generation, or its members and their partitions if it is of the newer
/// protocol. Nothing in it is changed once it is made.
/// </summary>
public sealed record GroupRecord
{
    /// <summary>The generation, 0 before the first.</summary>
    public int Generation { get; init; }

    /// <summary>The class of protocols of its members, null before there was one.</summary>
    public string? ProtocolType { get; init; }

    /// <summary>The protocol that was chosen, null without members.</summary>
    public string? Protocol { get; init; }

    /// <summary>Member id of the leader, null without members.</summary>
    public string? Leader { get; init; }

    /// <summary>When the generation began, Unix milliseconds.</summary>
    public long Since { get; init; }

    /// <summary>The members with their assignments.</summary>
    public GroupMemberRecord[] Members { get; init; } = [];

    /// <summary>The generation is over: members are to join the next one.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsOver { get; init; }

    /// <summary>Set for a group of the newer protocol (KIP-848), whose members are there.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ModernGroupRecord? Modern { get; init; }

    /// <summary>How many members it has.</summary>
    [JsonIgnore]
    public int MemberCount => Modern?.Members.Length ?? Members.Length;
}

/// <summary>A member as it is stored.</summary>
public sealed record GroupMemberRecord
{
    /// <summary>Its id.</summary>
    public string Id { get; init; } = "";

    /// <summary>The name of a static member, null for others.</summary>
    public string? InstanceId { get; init; }

    /// <summary>What its client calls itself.</summary>
    public string ClientId { get; init; } = "";

    /// <summary>Where it joined from.</summary>
    public string ClientHost { get; init; } = "";

    /// <summary>Milliseconds.</summary>
    public int SessionTimeoutMs { get; init; }

    /// <summary>Milliseconds.</summary>
    public int RebalanceTimeoutMs { get; init; }

    /// <summary>What it can do, the best first.</summary>
    public GroupProtocol[] Protocols { get; init; } = [];

    /// <summary>What the leader gave it.</summary>
    public byte[] Assignment { get; init; } = [];

    /// <summary>It has not joined the generation, being static.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsAbsent { get; init; }
}

/// <summary>A protocol that a member supports.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Metadata">What the member has to say for it, opaque here.</param>
public sealed record GroupProtocol(string Name, byte[] Metadata)
{
    /// <summary>The protocols of a request, copied out of its frame.</summary>
    internal static GroupProtocol[] Copy(JoinGroupRequest request) =>
        [.. request.Protocols.Select(protocol => new GroupProtocol(protocol.Name, protocol.Metadata.ToArray()))];
}
