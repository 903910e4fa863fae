using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups;

/// <summary>
/// What a host works with: a group as a pure state machine, of one protocol or the other. It is given events with the time, and keeps what
/// is to be done for its host to take. It reads no clock, waits for nothing and is not thread-safe.
/// </summary>
internal interface IGroupMachine
{
    GroupState State { get; }

    /// <summary>The class of protocols of its members, null before there was one.</summary>
    string? ProtocolType { get; }

    /// <summary>Generation of a group of the classic protocol, epoch of one of the newer.</summary>
    int Generation { get; }

    int MemberCount { get; }

    /// <summary>When the state that is stored began, Unix milliseconds.</summary>
    long Since { get; }

    /// <summary>Nobody is in it or about to be.</summary>
    bool IsVacant { get; }

    /// <summary>Whether it is known which topics the members read.</summary>
    bool KnowsSubscriptions { get; }

    /// <summary>No earlier than this there is something to do; call <see cref="Tick"/> then.</summary>
    long NextDeadline { get; }

    /// <summary>What must be stored; the latest replaces those before it. <see cref="Stored"/> takes its number.</summary>
    GroupRecord? Unstored { get; }

    /// <summary>Number of <see cref="Unstored"/>.</summary>
    long UnstoredNumber { get; }

    /// <summary>About what it holds: members, what they are assigned, and ids that were handed out.</summary>
    long Bytes { get; }

    /// <summary>By how much it may grow at most if a member joins with this, bytes.</summary>
    long GrowthBy(JoinGroupRequest request, GroupCaller caller);

    /// <summary>By how much it may grow with what a leader assigns, bytes.</summary>
    long GrowthBy(SyncGroupRequest request);

    bool TryTakeAnswer(out GroupAnswer answer);

    bool TryTakeEvent(out GroupEvent happened);

    /// <summary>A record is durable, and with it those of lower numbers.</summary>
    void Stored(Moment now, long number);

    /// <summary>Does what time has come for.</summary>
    void Tick(Moment now);

    /// <summary>Whether members read a topic, as far as can be told: what isn't understood may be anything.</summary>
    bool MayRead(string topic);
}
