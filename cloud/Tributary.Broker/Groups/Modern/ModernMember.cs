namespace Tributary.Broker.Groups.Modern;

/// <summary>A member of a <see cref="ModernGroup"/>, which alone changes it.</summary>
internal sealed class ModernMember
{
    /// <summary>Epoch of a static member that is away and will be back.</summary>
    public const int AwayEpoch = -2;

    private const int OverheadBytes = 256;

    public required string Id { get; init; }

    public string? InstanceId { get; set; }

    public string? RackId { get; set; }

    public string ClientId { get; set; } = "";

    public string ClientHost { get; set; } = "";

    public int Epoch { get; set; }

    public int PreviousEpoch { get; set; }

    public MemberState State { get; set; }

    public int RebalanceTimeoutMs { get; set; }

    public string? Assignor { get; set; }

    /// <summary>Names that it reads, sorted.</summary>
    public string[] Topics { get; set; } = [];

    public string Pattern { get; set; } = "";

    /// <summary>Set for a member of the classic protocol.</summary>
    public ClassicMemberRecord? Classic { get; set; }

    /// <summary>What it may use.</summary>
    public HashSet<AssignedPartition> Assigned { get; set; } = [];

    /// <summary>What it may still have and must give up.</summary>
    public HashSet<AssignedPartition> Revoking { get; set; } = [];

    /// <summary>What it shall have in the end.</summary>
    public HashSet<AssignedPartition> Target { get; set; } = [];

    /// <summary>When it is taken for dead.</summary>
    public long SessionDeadline { get; set; } = ConsumerGroup.Never;

    /// <summary>When it must have given up what it has to; for a member of the classic protocol, have joined or synced.</summary>
    public long RebalanceDeadline { get; set; } = ConsumerGroup.Never;

    /// <summary>Number of the record that has its last change: it is told nothing before that is stored.</summary>
    public long ChangedIn { get; set; }

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

    public ModernMemberRecord ToRecord() => new()
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
}
