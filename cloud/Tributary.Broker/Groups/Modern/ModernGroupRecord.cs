using System.Text.Json.Serialization;

namespace Tributary.Broker.Groups.Modern;

/// <summary>What a group of the newer protocol keeps over a crash, beside its offsets. Nothing in it is changed once it is made.</summary>
public sealed record ModernGroupRecord
{
    /// <summary>Epoch of the group: raised with each change of its members, their subscriptions and the topics.</summary>
    public int Epoch { get; init; }

    /// <summary>The group's epoch that the targets of the members are of.</summary>
    public int TargetEpoch { get; init; }

    /// <summary>Stands for the topics and partitions that the targets were made of.</summary>
    public long TopicsHash { get; init; }

    /// <summary>The members.</summary>
    public ModernMemberRecord[] Members { get; init; } = [];
}

/// <summary>A member as it is stored.</summary>
public sealed record ModernMemberRecord
{
    /// <summary>Its id.</summary>
    public string Id { get; init; } = "";

    /// <summary>The name of a static member, null for others.</summary>
    public string? InstanceId { get; init; }

    /// <summary>Its rack, null if it did not say.</summary>
    public string? RackId { get; init; }

    /// <summary>What its client calls itself.</summary>
    public string ClientId { get; init; } = "";

    /// <summary>Where it came from last.</summary>
    public string ClientHost { get; init; } = "";

    /// <summary>Its epoch; −2 for a static member that is away.</summary>
    public int Epoch { get; init; }

    /// <summary>The epoch before.</summary>
    public int PreviousEpoch { get; init; }

    /// <summary>Where it is on its way to its target.</summary>
    public MemberState State { get; init; }

    /// <summary>Milliseconds.</summary>
    public int RebalanceTimeoutMs { get; init; }

    /// <summary>The assignor that it wants, null if it does not care.</summary>
    public string? Assignor { get; init; }

    /// <summary>Names of the topics that it reads.</summary>
    public string[] Topics { get; init; } = [];

    /// <summary>The expression of the names that it reads, empty for none.</summary>
    public string Pattern { get; init; } = "";

    /// <summary>What it may use.</summary>
    public PartitionsOfTopic[] Assigned { get; init; } = [];

    /// <summary>What it has to give up.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public PartitionsOfTopic[]? Revoking { get; init; }

    /// <summary>What it shall have in the end; null if that is what it may use.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public PartitionsOfTopic[]? Target { get; init; }

    /// <summary>What it says as a member of the classic protocol; null if it uses the newer one.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ClassicMemberRecord? Classic { get; init; }
}

/// <summary>What a member of the classic protocol has beside.</summary>
public sealed record ClassicMemberRecord
{
    /// <summary>Milliseconds.</summary>
    public int SessionTimeoutMs { get; init; }

    /// <summary>What it can do, the best first.</summary>
    public GroupProtocol[] Protocols { get; init; } = [];
}

/// <summary>Partitions of a topic.</summary>
/// <param name="Topic">Its id.</param>
/// <param name="Partitions">Their numbers.</param>
public sealed record PartitionsOfTopic(Guid Topic, int[] Partitions);

/// <summary>Where a member is on its way to its target. The numbers are stored.</summary>
public enum MemberState
{
    /// <summary>It has what it shall have, as of its epoch.</summary>
    Stable = 0,

    /// <summary>It has something to give up, and stays in its epoch until it has.</summary>
    Revoking = 1,

    /// <summary>Others have something that it shall have.</summary>
    Waiting = 2,
}
