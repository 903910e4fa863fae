using Tributary.Broker.Groups;
using Tributary.Broker.Metadata;
using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Log;
using Tributary.Tests.Support;

namespace Tributary.Tests.Broker.Support;

/// <summary>Works for groups in memory: each has a host, as in a grain, and all run one thing at a time.</summary>
internal sealed class TestGroups : IGroupCoordinator, IDisposable
{
    private readonly ConcurrentExclusiveSchedulerPair _schedulers = new();
    private readonly Dictionary<string, Task<GroupHost>> _hosts = [];
    private int _commits;

    public TestGroups(GroupOptions? options = null, TimeProvider? time = null, MemoryGroupStore? store = null,
        Func<IReadOnlyDictionary<string, TopicInfo>>? topics = null, ITransactionCoordinator? transactions = null)
    {
        Store = store ?? new MemoryGroupStore();
        Context = new GroupContext(
            options ?? new GroupOptions(), Store, new GroupDirectory(), topics ?? (() => new Dictionary<string, TopicInfo>()),
            transactions ?? new TestTransactions(), time ?? TimeProvider.System, Logger);
    }

    public RecordingLogger Logger { get; } = new();

    public MemoryGroupStore Store { get; }

    public GroupContext Context { get; private set; }

    /// <summary>Commits that have come to a host.</summary>
    public int Commits => Volatile.Read(ref _commits);

    /// <summary>What every call fails with, if anything.</summary>
    public Exception? Failure { get; set; }

    public Task<JoinGroupResponse> JoinAsync(JoinGroupRequest request, GroupCaller caller, CancellationToken cancellation) =>
        OnAsync(request.GroupId, host => host.JoinAsync(request, caller), cancellation);

    public Task<SyncGroupResponse> SyncAsync(SyncGroupRequest request, GroupCaller caller, CancellationToken cancellation) =>
        OnAsync(request.GroupId, host => host.SyncAsync(request), cancellation);

    public Task<HeartbeatResponse> HeartbeatAsync(HeartbeatRequest request, GroupCaller caller, CancellationToken cancellation) =>
        OnAsync(request.GroupId, host => Task.FromResult(host.Heartbeat(request)), cancellation);

    public Task<LeaveGroupResponse> LeaveAsync(LeaveGroupRequest request, GroupCaller caller, CancellationToken cancellation) =>
        OnAsync(request.GroupId, host => host.LeaveAsync(request), cancellation);

    public Task<ConsumerGroupHeartbeatResponse> HeartbeatAsync(
        ConsumerGroupHeartbeatRequest request, GroupCaller caller, CancellationToken cancellation) =>
        OnAsync(request.GroupId, host => host.HeartbeatAsync(request, caller), cancellation);

    public Task<ConsumerGroupDescribeResponse> DescribeAsync(
        ConsumerGroupDescribeRequest request, GroupCaller caller, CancellationToken cancellation) =>
        OnAsync(request.GroupIds.Single(), host => Task.FromResult(host.Describe(request)), cancellation);

    public Task<OffsetCommitResponse> CommitAsync(OffsetCommitRequest request, GroupCaller caller, CancellationToken cancellation) =>
        OnAsync(request.GroupId, host =>
        {
            Task<OffsetCommitResponse> answer = host.CommitAsync(request, caller);
            Interlocked.Increment(ref _commits);
            return answer;
        }, cancellation);

    public Task<TxnOffsetCommitResponse> CommitAsync(TxnOffsetCommitRequest request, GroupCaller caller, CancellationToken cancellation) =>
        OnAsync(request.GroupId, host => host.CommitAsync(request, caller), cancellation);

    public Task EndTransactionAsync(string group, TransactionMarker marker, CancellationToken cancellation) => OnAsync(group, async host =>
    {
        await host.EndTransactionAsync(marker);
        return true;
    }, cancellation);

    public Task<OffsetFetchResponse> FetchOffsetsAsync(OffsetFetchRequest request, GroupCaller caller, CancellationToken cancellation) =>
        OnAsync(request.Groups.Single().GroupId, host => Task.FromResult(host.FetchOffsets(request)), cancellation);

    public Task<OffsetDeleteResponse> DeleteOffsetsAsync(OffsetDeleteRequest request, GroupCaller caller, CancellationToken cancellation) =>
        OnAsync(request.GroupId, host => host.DeleteOffsetsAsync(request), cancellation);

    public Task<DescribeGroupsResponse> DescribeAsync(DescribeGroupsRequest request, GroupCaller caller, CancellationToken cancellation) =>
        OnAsync(request.Groups.Single(), host => Task.FromResult(host.Describe(request)), cancellation);

    public Task<DeleteGroupsResponse> DeleteAsync(DeleteGroupsRequest request, GroupCaller caller, CancellationToken cancellation) =>
        OnAsync(request.GroupsNames.Single(), host => host.DeleteAsync(request), cancellation);

    public async Task<IReadOnlyList<GroupListing>> ListAsync(string? after, int count, CancellationToken cancellation)
    {
        if (Failure is not null)
        {
            throw Failure;
        }
        return [.. (await Store.ListAsync(after, count)).Select(group => Context.Directory.Find(group.Id) ?? group)];
    }

    public async Task ForgetTopicAsync(string topic, CancellationToken cancellation)
    {
        foreach (string group in await Store.ListReadersAsync(topic, null, int.MaxValue))
        {
            await OnAsync(group, async host =>
            {
                await host.ForgetTopicAsync(topic);
                return true;
            }, cancellation);
        }
    }

    public Task ExpireAsync(string group) => OnAsync(group, async host =>
    {
        await host.ExpireAsync();
        return true;
    }, CancellationToken.None);

    /// <summary>What is in memory is gone, as by a crash; whoever waits gets no answer any more.</summary>
    public void Crash()
    {
        _hosts.Clear();
        Context.Dispose();
        Context = new GroupContext(Context.Options, Store, new GroupDirectory(), Context.Topics, Context.Transactions, Context.Time, Logger);
    }

    /// <summary>Hosts end with it, or their timers would tick on.</summary>
    public void Dispose()
    {
        Task.Factory.StartNew(
            () =>
            {
                foreach (Task<GroupHost> host in _hosts.Values.Where(host => host.IsCompletedSuccessfully))
                {
                    host.Result.Dispose();
                }
            },
            CancellationToken.None, TaskCreationOptions.DenyChildAttach, _schedulers.ExclusiveScheduler).GetAwaiter().GetResult();
        Context.Dispose();
    }

    private Task<T> OnAsync<T>(string group, Func<GroupHost, Task<T>> ask, CancellationToken cancellation) => Task.Factory.StartNew(
        async () =>
        {
            if (Failure is not null)
            {
                throw Failure;
            }
            if (!_hosts.TryGetValue(group, out Task<GroupHost>? host))
            {
                host = LoadAsync(group);
                _hosts.Add(group, host);
            }
            return await ask(await host);
        },
        CancellationToken.None, TaskCreationOptions.DenyChildAttach, _schedulers.ExclusiveScheduler).Unwrap().WaitAsync(cancellation);

    private async Task<GroupHost> LoadAsync(string group)
    {
        var host = new GroupHost(group, Context, () => _hosts.Remove(group));
        await host.LoadAsync();
        return host;
    }
}
