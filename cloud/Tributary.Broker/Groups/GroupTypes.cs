using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups;

/// <summary>Where a group is in its life. Names as Kafka tells them to clients.</summary>
public enum GroupState
{
    /// <summary>No members; it may have offsets.</summary>
    Empty,

    /// <summary>Waits until its members have joined the next generation.</summary>
    PreparingRebalance,

    /// <summary>Members have joined; waits for the leader's assignment and until it is stored.</summary>
    CompletingRebalance,

    /// <summary>Each member has its assignment.</summary>
    Stable,

    /// <summary>Of the newer protocol: something has changed, and who shall have what is not known yet.</summary>
    Assigning,

    /// <summary>Of the newer protocol: members are on their way to what they shall have.</summary>
    Reconciling,

    /// <summary>There is no such group.</summary>
    Dead,
}

/// <summary>Now.</summary>
/// <param name="Elapsed">Milliseconds on a clock that never jumps, for timeouts.</param>
/// <param name="Unix">Unix milliseconds, for what is stored.</param>
public readonly record struct Moment(long Elapsed, long Unix);

/// <summary>Who sends a request.</summary>
/// <param name="ClientId">What the client calls itself.</param>
/// <param name="Host">Its address, as Kafka shows it.</param>
/// <param name="Version">Version of the request, which some rules depend on.</param>
public sealed record GroupCaller(string ClientId, string Host, short Version);

/// <summary>An answer to a request that waited, or didn't need to.</summary>
/// <param name="Token">What the request came with.</param>
/// <param name="Joined">The answer to a join.</param>
/// <param name="Synced">The answer to a sync.</param>
internal readonly record struct GroupAnswer(long Token, JoinGroupResponse? Joined = null, SyncGroupResponse? Synced = null)
{
    /// <summary>The answer to a heartbeat of the newer protocol.</summary>
    public ConsumerGroupHeartbeatResponse? Heard { get; init; }
}

/// <summary>A group in a list of groups.</summary>
/// <param name="Id">Its id.</param>
/// <param name="ProtocolType">The class of its protocols, empty before there was one.</param>
/// <param name="State">Where it is in its life.</param>
/// <param name="IsModern">Whether it is of the newer protocol (KIP-848).</param>
public readonly record struct GroupListing(string Id, string ProtocolType, GroupState State, bool IsModern = false);
