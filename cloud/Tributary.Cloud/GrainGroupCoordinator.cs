using Tributary.Broker.Groups;
using Tributary.Cloud.Grains;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Log;

namespace Tributary.Cloud;

/// <summary>
/// What the broker asks of the grains of groups, one call for a request; one whose answer takes long is asked for again and again until
/// it is there or the client has gone. Callable from any thread.
/// </summary>
internal sealed class GrainGroupCoordinator(IGrainFactory grains, IGroupStore store, GroupDirectory directory) : IGroupCoordinator
{
    private const int GroupsAtATime = 16;
    private const int Page = 1000;

    /// <inheritdoc/>
    public async Task<JoinGroupResponse> JoinAsync(JoinGroupRequest request, GroupCaller caller, CancellationToken cancellation) =>
        await AskAsync(request.GroupId, request, caller, cancellation)
        ?? new JoinGroupResponse { ErrorCode = ErrorCode.NotCoordinator, MemberId = request.MemberId, ProtocolName = "" };

    /// <inheritdoc/>
    public async Task<SyncGroupResponse> SyncAsync(SyncGroupRequest request, GroupCaller caller, CancellationToken cancellation) =>
        await AskAsync(request.GroupId, request, caller, cancellation) ?? new SyncGroupResponse { ErrorCode = ErrorCode.NotCoordinator };

    /// <inheritdoc/>
    public Task<HeartbeatResponse> HeartbeatAsync(HeartbeatRequest request, GroupCaller caller, CancellationToken cancellation) =>
        AskAsync(request.GroupId, request, caller, cancellation)!;

    /// <inheritdoc/>
    public Task<LeaveGroupResponse> LeaveAsync(LeaveGroupRequest request, GroupCaller caller, CancellationToken cancellation) =>
        AskAsync(request.GroupId, request, caller, cancellation)!;

    /// <inheritdoc/>
    public Task<ConsumerGroupHeartbeatResponse> HeartbeatAsync(
        ConsumerGroupHeartbeatRequest request, GroupCaller caller, CancellationToken cancellation) =>
        AskAsync(request.GroupId, request, caller, cancellation)!;

    /// <inheritdoc/>
    public Task<OffsetCommitResponse> CommitAsync(OffsetCommitRequest request, GroupCaller caller, CancellationToken cancellation) =>
        AskAsync(request.GroupId, request, caller, cancellation)!;

    /// <inheritdoc/>
    public Task<TxnOffsetCommitResponse> CommitAsync(TxnOffsetCommitRequest request, GroupCaller caller, CancellationToken cancellation) =>
        AskAsync(request.GroupId, request, caller, cancellation)!;

    /// <inheritdoc/>
    public Task EndTransactionAsync(string group, TransactionMarker marker, CancellationToken cancellation) => Of(group)
        .EndTransactionAsync(marker.ProducerId, marker.ProducerEpoch, marker.IsCommit, marker.CoordinatorEpoch).WaitAsync(cancellation);

    /// <inheritdoc/>
    public Task<OffsetFetchResponse> FetchOffsetsAsync(OffsetFetchRequest request, GroupCaller caller, CancellationToken cancellation) =>
        AskAsync(request.Groups.Single().GroupId, request, caller, cancellation)!;

    /// <inheritdoc/>
    public Task<OffsetDeleteResponse> DeleteOffsetsAsync(OffsetDeleteRequest request, GroupCaller caller, CancellationToken cancellation) =>
        AskAsync(request.GroupId, request, caller, cancellation)!;

    /// <inheritdoc/>
    public Task<DescribeGroupsResponse> DescribeAsync(DescribeGroupsRequest request, GroupCaller caller, CancellationToken cancellation) =>
        AskAsync(request.Groups.Single(), request, caller, cancellation)!;

    /// <inheritdoc/>
    public Task<ConsumerGroupDescribeResponse> DescribeAsync(
        ConsumerGroupDescribeRequest request, GroupCaller caller, CancellationToken cancellation) =>
        AskAsync(request.GroupIds.Single(), request, caller, cancellation)!;

    /// <inheritdoc/>
    public Task<DeleteGroupsResponse> DeleteAsync(DeleteGroupsRequest request, GroupCaller caller, CancellationToken cancellation) =>
        AskAsync(request.GroupsNames.Single(), request, caller, cancellation)!;

    /// <inheritdoc/>
    public async Task<IReadOnlyList<GroupListing>> ListAsync(string? after, int count, CancellationToken cancellation)
    {
        IReadOnlyList<GroupListing> stored = await store.ListAsync(after, count).WaitAsync(cancellation);
        return [.. stored.Select(group => directory.Find(group.Id) ?? group)];
    }

    /// <inheritdoc/>
    public Task ForgetTopicAsync(string topic, CancellationToken cancellation) => ForEachAsync(
        after => store.ListReadersAsync(topic, after, Page), group => Of(group).ForgetTopicAsync(topic), cancellation);

    /// <summary>Loads every group that has members, so that those who are gone are missed.</summary>
    public Task WakeAsync(CancellationToken cancellation) => ForEachAsync(ListWithMembersAsync, group => Of(group).WakeAsync(), cancellation);

    /// <summary>Takes out of every group what is kept no longer.</summary>
    /// <param name="committedBefore">Groups whose offsets are all later (Unix milliseconds) needn't be looked at.</param>
    /// <param name="cancellation">Gives up.</param>
    public Task ExpireAsync(long committedBefore, CancellationToken cancellation) => ForEachAsync(
        after => store.ListAgedAsync(committedBefore, after, Page), group => Of(group).ExpireAsync(), cancellation);

    private IGroupGrain Of(string group) => grains.GetGrain<IGroupGrain>(IGroupGrain.KeyOf(group));

    private async Task<IReadOnlyList<string>> ListWithMembersAsync(string? after)
    {
        while (true)
        {
            IReadOnlyList<GroupListing> page = await store.ListAsync(after, Page);
            string[] found = [.. page.Where(group => group.State != GroupState.Empty).Select(group => group.Id)];
            if (found.Length > 0 || page.Count < Page)
            {
                return found;
            }
            after = page[^1].Id;
        }
    }

    /// <summary>Does something for each; one that fails doesn't keep it from the others, and is told of at the end.</summary>
    private static async Task ForEachAsync(
        Func<string?, Task<IReadOnlyList<string>>> list, Func<string, Task> perform, CancellationToken cancellation)
    {
        var limits = new ParallelOptions { MaxDegreeOfParallelism = GroupsAtATime, CancellationToken = cancellation };
        Exception? failure = null;
        IReadOnlyList<string> page = await list(null);
        while (page.Count > 0)
        {
            await Parallel.ForEachAsync(page, limits, async (group, stop) =>
            {
                try
                {
                    await perform(group).WaitAsync(stop);
                }
                catch (Exception e) when (!stop.IsCancellationRequested)
                {
                    failure = e;
                }
            });
            page = await list(page[^1]);
        }
        if (failure is not null)
        {
            throw new InvalidOperationException($"not every group could be looked after: {failure.Message}", failure);
        }
    }

    /// <returns>The answer; null if nobody knows any more that it was asked for.</returns>
    private async Task<TResponse?> AskAsync<TRequest, TResponse>(
        string group, IKafkaRequest<TRequest, TResponse> request, GroupCaller caller, CancellationToken cancellation)
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : class, IKafkaMessage<TResponse>
    {
        IGroupGrain grain = Of(group);
        GroupReply reply = await grain.ServeAsync(GroupWire.Encode(request, caller)).WaitAsync(cancellation);
        while (reply is { Body: null, Ticket: > 0 })
        {
            reply = await grain.WaitAsync(reply.Ticket).WaitAsync(cancellation);
        }
        return reply.Body is null ? null : GroupWire.Decode<TResponse>(reply.Body, caller.Version);
    }
}
