using Orleans.Concurrency;
using Tributary.Broker.Groups;
using Tributary.Log;

namespace Tributary.Cloud.Grains;

/// <inheritdoc cref="IGroupGrain"/>
/// <remarks>
/// A join may wait for minutes. So that nobody else waits behind it, calls interleave: the group's state machine runs without pause within
/// a turn, and only waits, for other members or for the store, lie between turns. So that no call outlasts Orleans' response timeout, one
/// that has waited for <see cref="MaxWait"/> returns a ticket, with which the broker asks on for as long as its client is there. What
/// waits is in memory: after a crash or a failed write the ticket is unknown, and the client is told to ask again.
/// </remarks>
[Reentrant]
internal sealed class GroupGrain : Grain, IGroupGrain
{
    /// <summary>Longest time that a call waits for its answer. Short, so that a stopping silo needn't wait for calls.</summary>
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(2);

    /// <summary>How long an answer lies ready for whoever has its ticket.</summary>
    private static readonly TimeSpan PickUp = TimeSpan.FromSeconds(30);

    /// <summary>How much longer than until its next deadline a group stays in memory.</summary>
    private static readonly TimeSpan Slack = TimeSpan.FromMinutes(1);

    private readonly Dictionary<long, Task<byte[]>> _waiting = [];
    private readonly GroupHost _host;
    private readonly TimeProvider _time;
    private long _lastTicket;

    public GroupGrain(GroupContext context)
    {
        _time = context.Time;
        _host = new GroupHost(IGroupGrain.GroupOf(this.GetPrimaryKeyString()), context, DeactivateOnIdle);
    }

    /// <inheritdoc/>
    public override Task OnActivateAsync(CancellationToken cancellationToken) => _host.LoadAsync();

    /// <inheritdoc/>
    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        _host.Dispose();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task<GroupReply> ServeAsync(GroupCall call)
    {
        Task<byte[]> answer = GroupWire.ServeAsync(_host, call);
        GroupReply reply = GroupWire.MayWait(call.ApiKey) ? await ReplyAsync(answer, null) : new GroupReply(await answer, 0);
        StayOrGo();
        return reply;
    }

    /// <inheritdoc/>
    public async Task<GroupReply> WaitAsync(long ticket) =>
        _waiting.TryGetValue(ticket, out Task<byte[]>? answer) ? await ReplyAsync(answer, ticket) : new GroupReply(null, 0);

    /// <inheritdoc/>
    public Task WakeAsync()
    {
        StayOrGo();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task EndTransactionAsync(long producerId, short producerEpoch, bool isCommit, int coordinatorEpoch)
    {
        await _host.EndTransactionAsync(new TransactionMarker(producerId, producerEpoch, isCommit, coordinatorEpoch));
        StayOrGo();
    }

    /// <inheritdoc/>
    public async Task ExpireAsync()
    {
        await _host.ExpireAsync();
        StayOrGo();
    }

    /// <inheritdoc/>
    public async Task ForgetTopicAsync(string topic)
    {
        await _host.ForgetTopicAsync(topic);
        StayOrGo();
    }

    /// <summary>Waits for an answer for a while, and says whether it is there then: it may have come at the very end.</summary>
    internal static async Task<bool> EndsWithinAsync(Task answer, TimeSpan limit, TimeProvider time)
    {
        await answer.WaitAsync(limit, time)
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        return answer.IsCompleted;
    }

    private async Task<GroupReply> ReplyAsync(Task<byte[]> answer, long? ticket)
    {
        if (!await EndsWithinAsync(answer, MaxWait, _time))
        {
            return new GroupReply(null, ticket ?? Note(answer));
        }
        if (ticket is { } picked)
        {
            _waiting.Remove(picked);
        }
        return new GroupReply(await answer, 0);
    }

    private long Note(Task<byte[]> answer)
    {
        long ticket = ++_lastTicket;
        _waiting.Add(ticket, answer);
        _ = ForgetAsync(ticket, answer);
        return ticket;
    }

    /// <summary>Forgets an answer that nobody has picked up: its client has gone.</summary>
    private async Task ForgetAsync(long ticket, Task<byte[]> answer)
    {
        await ((Task)answer).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        await Task.Delay(PickUp, _time);
        _waiting.Remove(ticket);
    }

    private void StayOrGo()
    {
        if (_host.IsNeedless)
        {
            DeactivateOnIdle(); // whoever asks for groups that don't exist must not fill the memory
        }
        else if (_host.NeededFor > TimeSpan.Zero)
        {
            DelayDeactivation(_host.NeededFor + Slack);
        }
    }
}
