namespace Tributary.Broker.Groups.Modern;

/// <summary>
/// A member of a <see cref="ModernGroup"/>, which alone changes it. Its sets are replaced, never changed, so that the record that was
/// made of them is true until one is.
/// </summary>
internal sealed class ModernMember
{
    /// <summary>Epoch of a static member that is away and will be back.</summary>
    public const int AwayEpoch = -2;

    private const int OverheadBytes = 256;

    private ModernMemberRecord? _record;

    public required string Id { get; init; }

    public string? InstanceId
    {
        get;
        set => Set(ref field, value);
    }

    public string? RackId
    {
        get;
        set => Set(ref field, value);
    }

    public string ClientId
    {
        get;
        set => Set(ref field, value);
    } = "";

    public string ClientHost
    {
        get;
        set => Set(ref field, value);
    } = "";

    public int Epoch
    {
        get;
        set => Set(ref field, value);
    }

    public int PreviousEpoch
    {
        get;
        set => Set(ref field, value);
    }

    public MemberState State
    {
        get;
        set => Set(ref field, value);
    }

    public int RebalanceTimeoutMs
    {
        get;
        set => Set(ref field, value);
    }

    public string? Assignor
    {
        get;
        set => Set(ref field, value);
    }

    /// <summary>Names that it reads, sorted.</summary>
    public string[] Topics
    {
        get;
        set => Set(ref field, value);
    } = [];

    public string Pattern
    {
        get;
        set => Set(ref field, value);
    } = "";

    /// <summary>Set for a member of the classic protocol.</summary>
    public ClassicMemberRecord? Classic
    {
        get;
        set => Set(ref field, value);
    }

    /// <summary>What it may use.</summary>
    public HashSet<AssignedPartition> Assigned
    {
        get;
        set => Set(ref field, value);
    } = [];

    /// <summary>What it may still have and must give up.</summary>
    public HashSet<AssignedPartition> Revoking
    {
        get;
        set => Set(ref field, value);
    } = [];

    /// <summary>What it shall have in the end.</summary>
    public HashSet<AssignedPartition> Target
    {
        get;
        set => Set(ref field, value);
    } = [];

    /// <summary>What it reads, as one of the group's; null while it isn't in the group.</summary>
    public Subscription? Subscription { get; set; }

    /// <summary>When it is taken for dead.</summary>
    public long SessionDeadline { get; set; } = ConsumerGroup.Never;

    /// <summary>When it must have given up what it has to; for a member of the classic protocol, have joined or synced.</summary>
    public long RebalanceDeadline { get; set; } = ConsumerGroup.Never;

    /// <summary>Number of the record that has its last change: it is told nothing before that is stored.</summary>
    public long ChangedIn { get; set; }

    /// <summary>It has said that it has just what it was last assigned, so the answer with that has reached it.</summary>
    public bool IsHeard { get; set; }

    public bool IsClassic => Classic is not null;

    public bool IsAway => Epoch == AwayEpoch;

    public bool HasProtocol(string name) => Classic!.Protocols.Any(protocol => protocol.Name == name);

    /// <summary>About what its words take, its partitions aside.</summary>
    public long Bytes => BytesOf(Id, InstanceId, RackId, ClientId, Topics, Pattern, Classic?.Protocols ?? []);

    public static long BytesOf(
        string id, string? instanceId, string? rackId, string clientId, string[] topics, string pattern, GroupProtocol[] protocols) =>
        OverheadBytes
        + (2L * (id.Length + (instanceId?.Length ?? 0) + (rackId?.Length ?? 0) + clientId.Length + pattern.Length))
        + topics.Sum(topic => 32 + (2L * topic.Length))
        + protocols.Sum(protocol => (2L * protocol.Name.Length) + protocol.Metadata.Length);

    public static ModernMember From(ModernMemberRecord record) => new()
    {
        Id = record.Id,
        InstanceId = record.InstanceId,
        RackId = record.RackId,
        ClientId = record.ClientId,
        ClientHost = record.ClientHost,
        Epoch = record.Epoch,
        PreviousEpoch = record.PreviousEpoch,
        State = record.State,
        RebalanceTimeoutMs = record.RebalanceTimeoutMs,
        Assignor = record.Assignor,
        Topics = record.Topics,
        Pattern = record.Pattern,
        Classic = record.Classic,
        Assigned = From(record.Assigned),
        Revoking = From(record.Revoking ?? []),
        Target = From(record.Target ?? record.Assigned),
    };

    /// <summary>What is stored of it; made once for as long as nothing changes.</summary>
    public ModernMemberRecord ToRecord() => _record ??= new()
    {
        Id = Id,
        InstanceId = InstanceId,
        RackId = RackId,
        ClientId = ClientId,
        ClientHost = ClientHost,
        Epoch = Epoch,
        PreviousEpoch = PreviousEpoch,
        State = State,
        RebalanceTimeoutMs = RebalanceTimeoutMs,
        Assignor = Assignor,
        Topics = Topics,
        Pattern = Pattern,
        Classic = Classic,
        Assigned = ByTopic(Assigned),
        Revoking = Revoking.Count > 0 ? ByTopic(Revoking) : null,
        Target = Target.SetEquals(Assigned) ? null : ByTopic(Target),
    };

    /// <summary>The same member under another id, which has to join yet.</summary>
    public ModernMember Under(string id)
    {
        var member = From(ToRecord() with { Id = id, Epoch = 0, PreviousEpoch = 0 });
        member.ChangedIn = ChangedIn;
        member.SessionDeadline = SessionDeadline;
        return member;
    }

    /// <summary>Partitions by their topics, in a fixed order.</summary>
    public static PartitionsOfTopic[] ByTopic(IEnumerable<AssignedPartition> partitions) =>
    [
        .. partitions.GroupBy(partition => partition.Topic).OrderBy(topic => topic.Key)
            .Select(topic => new PartitionsOfTopic(topic.Key, [.. topic.Select(partition => partition.Partition).Order()])),
    ];

    private static HashSet<AssignedPartition> From(PartitionsOfTopic[] topics) =>
        [.. topics.SelectMany(topic => topic.Partitions.Select(partition => new AssignedPartition(topic.Topic, partition)))];

    private void Set<T>(ref T field, T value)
    {
        field = value;
        _record = null;
    }
}
