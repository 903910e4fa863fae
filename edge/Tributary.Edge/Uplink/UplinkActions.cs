namespace Tributary.Edge.Uplink;

/// <summary>What <see cref="UplinkState"/> wants done. Those with a ticket are answered with it; an answer with an old ticket is ignored.</summary>
internal abstract record UplinkAction
{
    private UplinkAction()
    {
    }

    /// <summary>Look up cluster id, topic id and partition count. Answered by <see cref="UplinkState.OnMetadata"/>.</summary>
    internal sealed record AskMetadata(long Ticket, bool AllowCreate) : UplinkAction;

    /// <summary>Get a producer id. Answered by <see cref="UplinkState.OnProducerId"/>.</summary>
    internal sealed record AskProducerId(long Ticket) : UplinkAction;

    /// <summary>
    /// Claim a producer id at each target's leader, ask what it has of it, and then where its log ends. Answered by
    /// <see cref="UplinkState.OnPositions"/>.
    /// </summary>
    internal sealed record AskPositions(long Ticket, long ProducerId, long Start, int Targets) : UplinkAction;

    /// <summary>Call <see cref="RoundReader.Locate"/>. Answered by <see cref="UplinkState.OnLocated"/> or <see cref="UplinkState.OnReadFailed"/>.</summary>
    internal sealed record Locate(
        long From, long UpTo, Numbering Numbering, long[] Ordinals, long[] Covered, bool StopsWhenCovered) : UplinkAction;

    /// <summary>Read a round and send it. Answered by <see cref="UplinkState.OnRound"/> or <see cref="UplinkState.OnReadFailed"/>.</summary>
    internal sealed record ReadRound(RoundRequest Request) : UplinkAction;

    /// <summary>Make the checkpoint durable. Answered by <see cref="UplinkState.OnSaved"/> or <see cref="UplinkState.OnSaveFailed"/>.</summary>
    internal sealed record Save(long Ticket, UplinkCheckpoint Checkpoint) : UplinkAction;

    /// <summary>Trim the local log up to an offset. Not answered.</summary>
    internal sealed record Trim(long Offset) : UplinkAction;

    /// <summary>Give up the connections on which requests of this partition are in flight. Not answered.</summary>
    internal sealed record DropLink(string Reason) : UplinkAction;
}

/// <summary>What the cloud says of a topic.</summary>
/// <param name="ClusterId">Cluster id, empty if it has none.</param>
/// <param name="TopicId">Topic id, zero if it has none.</param>
/// <param name="Partitions">Number of partitions.</param>
internal readonly record struct TopicMetadata(string ClusterId, Guid TopicId, int Partitions);

/// <summary>What a target's leader says of our producer.</summary>
/// <param name="Epoch">Producer epoch, −1 if it does not know the producer.</param>
/// <param name="LastSequence">Sequence of its last record, −1 if it has none.</param>
/// <param name="LogEnd">The offset after the partition's last committed record, asked for after the other two.</param>
/// <param name="Claim">Who may write under the producer id there.</param>
/// <param name="IsUntold">Whether the leader can't say what it has of any producer: epoch and sequence mean nothing then.</param>
internal readonly record struct CloudPosition(
    short Epoch, int LastSequence, long LogEnd, ClaimState Claim = ClaimState.Unknown, bool IsUntold = false)
{
    /// <summary>Of a leader that does not answer DescribeProducers, before its log's end is known.</summary>
    public static CloudPosition Untold { get; } = new(-1, -1, 0, ClaimState.Unknown, IsUntold: true);
}

/// <summary>What is promised of a record that was acknowledged to its sender, by what the cluster can tell. The weaker first.</summary>
internal enum DeliveryPromise
{
    /// <summary>Nothing is known of the cluster yet.</summary>
    Unknown,

    /// <summary>
    /// It arrives, and in doubt it is sent again: the cluster can't tell what it has of a producer (it does not serve DescribeProducers).
    /// </summary>
    AtLeastOnce,

    /// <summary>
    /// It arrives once while the cluster remembers the producer (Kafka's <c>producer.id.expiration.ms</c>) and this data directory is in
    /// use nowhere else: Kafka can't be told that the producer is ours alone.
    /// </summary>
    ExactlyOnceWhileRemembered,

    /// <summary>It arrives once: the cluster is Tributary.</summary>
    ExactlyOnce,
}

/// <summary>Who may write under a producer id in a cloud partition.</summary>
internal enum ClaimState
{
    /// <summary>Whoever does: the cluster is another one than Tributary and knows of no claims.</summary>
    Unknown,

    /// <summary>This process alone, from before the position was read.</summary>
    Ours,

    /// <summary>Another process.</summary>
    Others,
}

/// <summary>The word that tells users what the uplink of a partition does.</summary>
internal enum UplinkPhase
{
    /// <summary>Looking up where the cloud stands.</summary>
    Resolving,

    /// <summary>Sending, or nothing to send.</summary>
    Sending,

    /// <summary>A batch was refused: waiting for the answers to the others before anything else is sent.</summary>
    Draining,

    /// <summary>Waiting before the next try.</summary>
    Waiting,

    /// <summary>Waiting for a decision of the user.</summary>
    Stopped,
}

/// <summary>What happened, for logs and counters.</summary>
internal enum UplinkNoticeKind
{
    /// <summary>The position is looked up again.</summary>
    InDoubt,

    /// <summary>A new producer epoch or id is in use.</summary>
    NewEpoch,

    /// <summary>Records were lost between here and the cloud, as far as is known.</summary>
    Gap,

    /// <summary>The cloud refused a record for good.</summary>
    Refused,

    /// <summary>The number of the topic's partitions changed.</summary>
    PartitionCount,

    /// <summary>Records may come twice.</summary>
    MayRepeat,

    /// <summary>The uplink stopped.</summary>
    Stopped,
}

/// <summary>Something that happened.</summary>
/// <param name="Kind">What.</param>
/// <param name="Message">A sentence.</param>
/// <param name="Records">Records concerned, 0 if that does not apply.</param>
/// <param name="Offset">Local offset concerned.</param>
/// <param name="From">Of a gap, the first offset that is in it; −1 if it is none between two offsets.</param>
internal sealed record UplinkNotice(UplinkNoticeKind Kind, string Message, long Records, long Offset, long From = -1);
