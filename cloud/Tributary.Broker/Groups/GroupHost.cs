using Microsoft.Extensions.Logging;
using Tributary.Broker.Groups.Modern;
using Tributary.Broker.Metadata;
using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Limits;

namespace Tributary.Broker.Groups;

/// <summary>What hosts of groups share in a process.</summary>
/// <param name="Options">Limits and times; validated.</param>
/// <param name="Store">Where groups are kept.</param>
/// <param name="Directory">Where hosts say what their groups do.</param>
/// <param name="Topics">The topics that there are now, by name.</param>
/// <param name="Transactions">Who decides on transactions.</param>
/// <param name="Time">All time.</param>
/// <param name="Logger">Where they log.</param>
public sealed record GroupContext(
    GroupOptions Options, IGroupStore Store, GroupDirectory Directory, Func<IReadOnlyDictionary<string, TopicInfo>> Topics,
    ITransactionCoordinator Transactions, TimeProvider Time, ILogger Logger) : IDisposable
{
    /// <summary>What is counted.</summary>
    public GroupMetrics Metrics { get; } = new(Directory, new GroupMemory(Options.MaxTotalBytes));

    /// <summary>What all groups hold.</summary>
    public GroupMemory Memory => Metrics.Memory;

    /// <summary>Bounds what is logged of refusals.</summary>
    internal LineLimit<GroupRefusal> Lines { get; } = new(Time);

    /// <summary>The id of the topic that has a name now, empty if none has.</summary>
    internal Guid TopicId(string name) => Topics().GetValueOrDefault(name)?.Id ?? Guid.Empty;

    /// <inheritdoc/>
    public void Dispose() => Metrics.Dispose();
}

/// <summary>
/// One group at work: its state machine and its offsets in memory, its requests that wait, its timer and its writes.
/// </summary>
/// <remarks>
/// Everything runs on the task scheduler that <see cref="LoadAsync"/> was called on, which must run one thing at a time; calls may
/// interleave where they wait. What is answered is durable: one write is under way at a time, and whatever came meanwhile, commits and
/// record alike, is in the next one. When a write fails it isn't known what is stored, so the host ends: whoever waits is told
/// NOT_COORDINATOR or gets an exception, and the next host starts from what is really there. A crash at any time leaves the group as of the
/// last write; sessions of its members begin anew when it is loaded.
/// </remarks>
public sealed partial class GroupHost : IDisposable
{
    private const int MaxShownClientId = 128;
    private readonly string _id;
    private readonly GroupContext _context;
    private readonly Action _ended;
    private readonly long _start;
    private readonly Dictionary<long, TaskCompletionSource<JoinGroupResponse>> _joins = [];
    private readonly Dictionary<long, TaskCompletionSource<SyncGroupResponse>> _syncs = [];
    private readonly List<(long Number, TaskCompletionSource Stored)> _awaited = [];
    private readonly GroupOffsets _offsets = new();
    private readonly GroupWriter _writer;
    private TaskScheduler _scheduler = TaskScheduler.Current;
    private IGroupMachine _group;
    private ITimer? _timer;
    private long _armedFor = ConsumerGroup.Never;
    private long _lastToken;
    private (GroupState State, int Generation) _shown;
    private bool _isOver;

    /// <summary>Makes a host that does nothing before it has loaded its group.</summary>
    /// <param name="id">The group.</param>
    /// <param name="context">What hosts share.</param>
    /// <param name="ended">Called when the host has ended by itself: it is to be replaced.</param>
    public GroupHost(string id, GroupContext context, Action ended)
    {
        _id = id;
        _context = context;
        _ended = ended;
        _start = context.Time.GetTimestamp();
        _group = new ConsumerGroup(context.Options, null, Now);
        _writer = new GroupWriter(id, context.Store, Stored, Fail);
    }

    /// <summary>Nothing is stored of the group and nobody waits for it: the host isn't needed.</summary>
    public bool IsNeedless => !_writer.Exists && _writer.IsIdle && _joins.Count == 0 && _syncs.Count == 0 && _heartbeats.Count == 0
        && _awaited.Count == 0;

    /// <summary>How long the host is needed by itself, for a deadline of the group.</summary>
    public TimeSpan NeededFor => _group.NextDeadline == ConsumerGroup.Never
        ? TimeSpan.Zero
        : TimeSpan.FromMilliseconds(Math.Max(_group.NextDeadline - Now.Elapsed, 0));

    private Moment Now => new(
        (long)_context.Time.GetElapsedTime(_start).TotalMilliseconds, _context.Time.GetUtcNow().ToUnixTimeMilliseconds());

    /// <summary>Reads the group. Called once, before anything else.</summary>
    public async Task LoadAsync()
    {
        _scheduler = TaskScheduler.Current;
        StoredGroup? stored = await _context.Store.LoadAsync(_id);
        if (stored is not null)
        {
            _writer.Begin(stored.Version);
            _group = stored.Record.Modern is null
                ? new ConsumerGroup(_context.Options, stored.Record, Now)
                : new ModernGroup(_context.Options, stored.Record, 0, Now);
            foreach ((GroupPartition partition, CommittedOffset offset) in stored.Offsets)
            {
                _offsets.Set(partition, offset);
            }
            foreach ((PendingKey key, PendingOffset offset) in stored.Pending)
            {
                _pending.Set(key, offset);
                _lastPending = Math.Max(_lastPending, offset.Offset.CommittedAt);
            }
            ClaimLoaded();
        }
        _timer = _context.Time.CreateTimer(_ => WakeUp(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        Changed();
    }

    /// <inheritdoc cref="IGroupCoordinator.JoinAsync"/>
    public async Task<JoinGroupResponse> JoinAsync(JoinGroupRequest request, GroupCaller caller)
    {
        await ReadyAsync();
        if (!TryGrow(_group.GrowthBy(request, caller)))
        {
            return new JoinGroupResponse { ErrorCode = RefuseForMemory("a member"), MemberId = request.MemberId, ProtocolName = "" };
        }
        if (request.MemberId.Length == 0 && !await ExistsAsync())
        {
            return new JoinGroupResponse { ErrorCode = ErrorCode.PolicyViolation, ProtocolName = "" };
        }
        long token = ++_lastToken;
        var answer = new TaskCompletionSource<JoinGroupResponse>(TaskCreationOptions.RunContinuationsAsynchronously);
        _joins.Add(token, answer);
        string newId = NewMemberId(request, caller);
        Run(() =>
        {
            if (ClassicFor(request) is { } classic)
            {
                classic.Join(Now, request, caller, newId, token);
            }
            else
            {
                Modern!.Join(Now, request, caller, newId, token);
            }
        });
        Changed();
        return Counted(await answer.Task);
    }

    /// <inheritdoc cref="IGroupCoordinator.SyncAsync"/>
    public async Task<SyncGroupResponse> SyncAsync(SyncGroupRequest request)
    {
        ThrowIfOver();
        if (!TryGrow(_group.GrowthBy(request)))
        {
            return new SyncGroupResponse { ErrorCode = RefuseForMemory("an assignment") };
        }
        long token = ++_lastToken;
        var answer = new TaskCompletionSource<SyncGroupResponse>(TaskCreationOptions.RunContinuationsAsynchronously);
        _syncs.Add(token, answer);
        Run(() =>
        {
            if (_group is ConsumerGroup classic)
            {
                classic.Sync(Now, request, token);
            }
            else
            {
                Modern!.Sync(Now, request, token);
            }
        });
        Changed();
        return Counted(request, await answer.Task);
    }

    /// <inheritdoc cref="IGroupCoordinator.HeartbeatAsync"/>
    public HeartbeatResponse Heartbeat(HeartbeatRequest request)
    {
        ThrowIfOver();
        if (_group is ConsumerGroup classic)
        {
            return new HeartbeatResponse { ErrorCode = classic.Heartbeat(Now, request) };
        }
        ErrorCode error = Modern!.Heartbeat(Now, request);
        Changed();
        return new HeartbeatResponse { ErrorCode = error };
    }

    /// <inheritdoc cref="IGroupCoordinator.LeaveAsync"/>
    public async Task<LeaveGroupResponse> LeaveAsync(LeaveGroupRequest request)
    {
        ThrowIfOver();
        var members = new LeaveGroupResponse.MemberResponse[request.Members.Length];
        for (int i = 0; i < members.Length; i++)
        {
            LeaveGroupRequest.MemberIdentity leaving = request.Members[i];
            members[i] = new LeaveGroupResponse.MemberResponse
            {
                MemberId = leaving.MemberId,
                GroupInstanceId = leaving.GroupInstanceId,
                ErrorCode = _group is ConsumerGroup classic
                    ? classic.Leave(Now, leaving.MemberId, leaving.GroupInstanceId)
                    : Modern!.Leave(Now, leaving.MemberId, leaving.GroupInstanceId),
            };
        }
        Changed();
        await StoredAsync();
        return new LeaveGroupResponse { Members = members };
    }

    /// <inheritdoc cref="IGroupCoordinator.DescribeAsync"/>
    public DescribeGroupsResponse Describe(DescribeGroupsRequest request)
    {
        ThrowIfOver();
        return new DescribeGroupsResponse { Groups = [GroupDescription.Of(request.Groups[0], _writer.Exists, _group)] };
    }

    /// <inheritdoc cref="IGroupCoordinator.DeleteAsync"/>
    public async Task<DeleteGroupsResponse> DeleteAsync(DeleteGroupsRequest request)
    {
        await ReadyAsync();
        ErrorCode error = !_writer.Exists ? ErrorCode.GroupIdNotFound
            : _group.State != GroupState.Empty ? ErrorCode.NonEmptyGroup
            : ErrorCode.None;
        if (error == ErrorCode.None)
        {
            await _writer.DeleteAsync();
        }
        return new DeleteGroupsResponse { Results = [new() { GroupId = request.GroupsNames[0], ErrorCode = error }] };
    }

    /// <summary>Ends: whoever waits is told to ask again.</summary>
    public void Dispose()
    {
        if (_isOver)
        {
            return;
        }
        _isOver = true;
        _timer?.Dispose();
        _context.Directory.Remove(_id);
        Settle();
        TurnAway();
    }

    /// <summary>Whoever waits is told to ask again.</summary>
    private void TurnAway()
    {
        foreach (TaskCompletionSource<JoinGroupResponse> join in _joins.Values)
        {
            join.TrySetResult(new JoinGroupResponse { ErrorCode = ErrorCode.NotCoordinator, ProtocolName = "" });
        }
        foreach (TaskCompletionSource<SyncGroupResponse> sync in _syncs.Values)
        {
            sync.TrySetResult(new SyncGroupResponse { ErrorCode = ErrorCode.NotCoordinator });
        }
        foreach (TaskCompletionSource<ConsumerGroupHeartbeatResponse> heartbeat in _heartbeats.Values)
        {
            heartbeat.TrySetResult(new ConsumerGroupHeartbeatResponse { ErrorCode = ErrorCode.NotCoordinator });
        }
        foreach ((_, TaskCompletionSource stored) in _awaited)
        {
            stored.TrySetException(new InvalidOperationException($"group '{_id}' is worked for elsewhere, or in a moment"));
        }
        _joins.Clear();
        _syncs.Clear();
        _awaited.Clear();
        _heartbeats.Clear();
    }

    /// <summary>Has the state machine do something. If that fails, nobody knows how far it came: the next host begins with what is stored.</summary>
    private void Run(Action act)
    {
        try
        {
            act();
        }
        catch (Exception e)
        {
            Fail(e);
            throw;
        }
    }

    /// <summary>Waits until what is to be stored of the group now is durable.</summary>
    private Task StoredAsync()
    {
        ThrowIfOver();
        if (_group.Unstored is null || !_writer.Exists)
        {
            return Task.CompletedTask;
        }
        var stored = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _awaited.Add((_group.UnstoredNumber, stored));
        return stored.Task;
    }

    /// <summary>Makes the group if there is none, also if it is deleted meanwhile.</summary>
    /// <returns>False if there are as many groups as there may be.</returns>
    private async Task<bool> ExistsAsync()
    {
        while (!_writer.Exists)
        {
            if (!await TryCreateAsync())
            {
                Settle();
                return false;
            }
            await ReadyAsync();
        }
        return true;
    }

    private static string NewMemberId(JoinGroupRequest request, GroupCaller caller)
    {
        string prefix = request.GroupInstanceId ?? caller.ClientId;
        return $"{(prefix.Length <= MaxShownClientId ? prefix : prefix[..MaxShownClientId])}-{Guid.NewGuid()}";
    }

    private async Task<bool> TryCreateAsync()
    {
        try
        {
            await _writer.WriteAsync();
            return true;
        }
        catch (GroupLimitException e)
        {
            Refuse(GroupRefusal.TooManyGroups, e.Message);
            return false;
        }
    }

    /// <summary>Waits until the group isn't being deleted.</summary>
    private async Task ReadyAsync()
    {
        ThrowIfOver();
        while (_writer.Deletion is { } deletion)
        {
            await deletion;
            ThrowIfOver();
        }
    }

    private void ThrowIfOver()
    {
        if (_isOver)
        {
            throw new InvalidOperationException($"group '{_id}' is worked for elsewhere, or in a moment");
        }
    }

    /// <summary>A write is durable: what it had becomes what is known.</summary>
    private void Stored(GroupBatch batch)
    {
        _context.Metrics.Written();
        foreach ((_, TaskCompletionSource stored) in _awaited.Where(one => batch.Deletes || one.Number <= batch.RecordNumber))
        {
            stored.SetResult();
        }
        _awaited.RemoveAll(one => one.Stored.Task.IsCompleted);
        if (batch.Deletes)
        {
            Answer(_group);
            TurnAway();
            _group = new ConsumerGroup(_context.Options, null, Now);
            _offsets.Clear();
            _pending.Clear();
        }
        else
        {
            _offsets.Apply(batch.Offsets);
            _pending.Apply(batch.Pending);
            _group.Stored(Now, batch.RecordNumber);
        }
        Changed();
    }

    private void Fail(Exception reason)
    {
        if (!_isOver)
        {
            _context.Logger.GroupFailed(reason, _id);
            Dispose();
            _ended();
        }
    }

    /// <summary>Does what the state machine has left to do.</summary>
    private void Changed()
    {
        Answer(_group);
        BecomeClassicIfDue();
        if (_group.Unstored is { } record && _writer.Exists)
        {
            _writer.Set(record, _group.UnstoredNumber);
        }
        Show();
        Settle();
        if (!_isOver && _group.NextDeadline < _armedFor)
        {
            _armedFor = _group.NextDeadline;
            _timer?.Change(NeededFor, Timeout.InfiniteTimeSpan);
        }
    }

    private void Answer(IGroupMachine group)
    {
        while (group.TryTakeAnswer(out GroupAnswer answer))
        {
            if (answer.Heard is not null && _heartbeats.Remove(answer.Token, out TaskCompletionSource<ConsumerGroupHeartbeatResponse>? heard))
            {
                heard.SetResult(answer.Heard);
            }
            else if (answer.Joined is not null && _joins.Remove(answer.Token, out TaskCompletionSource<JoinGroupResponse>? join))
            {
                join.SetResult(answer.Joined);
            }
            else if (answer.Synced is not null && _syncs.Remove(answer.Token, out TaskCompletionSource<SyncGroupResponse>? sync))
            {
                sync.SetResult(answer.Synced);
            }
        }
    }

    private void Show()
    {
        if (_isOver)
        {
            return;
        }
        if (!_writer.Exists)
        {
            _context.Directory.Remove(_id);
            return;
        }
        _context.Directory.Set(new GroupListing(_id, _group.ProtocolType ?? "", _group.State, _group is ModernGroup));
        bool isSettled = _group.State is GroupState.Stable or GroupState.Empty;
        if (isSettled && _shown != (_group.State, _group.Generation))
        {
            _shown = (_group.State, _group.Generation);
            _context.Logger.GroupSettled(_id, _group.State, _group.Generation, _group.MemberCount);
        }
    }

    private void WakeUp() => Task.Factory.StartNew(Tick, CancellationToken.None, TaskCreationOptions.DenyChildAttach, _scheduler);

    private void Tick()
    {
        if (!_isOver)
        {
            _armedFor = ConsumerGroup.Never;
            _ = Modern; // which topics there are
            Run(() => _group.Tick(Now));
            Changed();
        }
    }
}
