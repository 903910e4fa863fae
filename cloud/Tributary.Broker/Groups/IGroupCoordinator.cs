using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Log;

namespace Tributary.Broker.Groups;

/// <summary>
/// What the gateway asks for groups, whichever process works for them: the silo answers from grains, a test from memory. Requests and
/// answers are Kafka's. A call throws if it isn't known what became of the request; clients then ask again.
/// </summary>
public interface IGroupCoordinator
{
    /// <summary>Joins. May take as long as the group's rebalance timeout.</summary>
    Task<JoinGroupResponse> JoinAsync(JoinGroupRequest request, GroupCaller caller, CancellationToken cancellation);

    /// <summary>Asks for the assignment. May take as long as the group's rebalance timeout.</summary>
    Task<SyncGroupResponse> SyncAsync(SyncGroupRequest request, GroupCaller caller, CancellationToken cancellation);

    /// <summary>A member lives.</summary>
    Task<HeartbeatResponse> HeartbeatAsync(HeartbeatRequest request, GroupCaller caller, CancellationToken cancellation);

    /// <summary>Members leave; <see cref="LeaveGroupRequest.Members"/> names them in every version.</summary>
    Task<LeaveGroupResponse> LeaveAsync(LeaveGroupRequest request, GroupCaller caller, CancellationToken cancellation);

    /// <summary>A member of the newer protocol joins, lives or leaves (KIP-848); the request keeps to the protocol's rules.</summary>
    Task<ConsumerGroupHeartbeatResponse> HeartbeatAsync(
        ConsumerGroupHeartbeatRequest request, GroupCaller caller, CancellationToken cancellation);

    /// <summary>Commits offsets of topics that exist; answered when they are durable.</summary>
    Task<OffsetCommitResponse> CommitAsync(OffsetCommitRequest request, GroupCaller caller, CancellationToken cancellation);

    /// <summary>
    /// Has a transaction commit offsets: they are durable when this is answered, and the group's when the transaction commits. The
    /// coordinator of the transaction is asked whether the group belongs to it.
    /// </summary>
    Task<TxnOffsetCommitResponse> CommitAsync(TxnOffsetCommitRequest request, GroupCaller caller, CancellationToken cancellation);

    /// <summary>A transaction has ended: what it was to commit is the group's, or dropped; durable when this returns. May be repeated.</summary>
    Task EndTransactionAsync(string group, TransactionMarker marker, CancellationToken cancellation);

    /// <summary>Reads the offsets of the one group in <see cref="OffsetFetchRequest.Groups"/>.</summary>
    Task<OffsetFetchResponse> FetchOffsetsAsync(OffsetFetchRequest request, GroupCaller caller, CancellationToken cancellation);

    /// <summary>Deletes offsets of topics that nobody in the group reads.</summary>
    Task<OffsetDeleteResponse> DeleteOffsetsAsync(OffsetDeleteRequest request, GroupCaller caller, CancellationToken cancellation);

    /// <summary>Describes the one group of the request; an unknown one is an error in every version.</summary>
    Task<DescribeGroupsResponse> DescribeAsync(DescribeGroupsRequest request, GroupCaller caller, CancellationToken cancellation);

    /// <summary>Describes the one group of the request, if it is of the newer protocol.</summary>
    Task<ConsumerGroupDescribeResponse> DescribeAsync(
        ConsumerGroupDescribeRequest request, GroupCaller caller, CancellationToken cancellation);

    /// <summary>Deletes the one group of the request, if it has no members.</summary>
    Task<DeleteGroupsResponse> DeleteAsync(DeleteGroupsRequest request, GroupCaller caller, CancellationToken cancellation);

    /// <summary>Up to <paramref name="count"/> groups in the order of their ids, those behind <paramref name="after"/>.</summary>
    Task<IReadOnlyList<GroupListing>> ListAsync(string? after, int count, CancellationToken cancellation);

    /// <summary>
    /// A topic is gone: its offsets go too. (They aren't shown any more as soon as another topic has the name, done or not.)
    /// </summary>
    Task ForgetTopicAsync(string topic, CancellationToken cancellation);
}
