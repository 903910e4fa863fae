using Microsoft.Extensions.Logging;
using Tributary.Contracts.Kafka;
using Tributary.Log;

namespace Tributary.Broker.Transactions;

/// <summary>
/// One transactional id at work: what is stored of it, its timer, and the markers of a transaction that is decided.
/// </summary>
/// <remarks>
/// <para>
/// Everything runs on the task scheduler that <see cref="LoadAsync"/> was called on, which must run one thing at a time; calls may
/// interleave where they wait. Requests have their turn one after the other, each from its decision to the end of its write, so whatever is
/// decided next is decided on what is stored. What is answered without an error is durable, and markers go out only for a decision that is.
/// </para>
/// <para>
/// A crash at any time leaves what was stored last: the host that loads it goes on. One that finds a decided transaction writes its markers,
/// all of them, with the same number, so those that were written before are repetitions; one that finds an open transaction waits for its
/// timeout. When a write fails, or somebody else was first, it isn't known what is stored, so the host ends: whoever waits gets an exception,
/// and the next host starts from what is really there. Two hosts of one transactional id at a time are harmless: the compare-and-swap lets
/// one decide, both write the markers of the same decision, and what one answers without a write it answers only when it has seen, since it
/// was asked, that nobody else has written.
/// </para>
/// </remarks>
public sealed class TransactionHost : IDisposable
{
    /// <summary>Most requests that wait for their turn; further ones are told to ask again.</summary>
    public const int MaxWaiting = 256;

    private static readonly TimeSpan FirstBackoff = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestBackoff = TimeSpan.FromSeconds(1);

    private readonly string _id;
    private readonly TransactionContext _context;
    private readonly Action _ended;
    private readonly Queue<TaskCompletionSource> _queue = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly HashSet<TransactionPartition> _unmarked = [];
    private TaskScheduler _scheduler = TaskScheduler.Current;
    private TransactionRecord? _record;
    private long _version;
    private Task? _look;
    private bool _isBusy;
    private ITimer? _timer;
    private TaskCompletionSource? _ending;
    private bool _hasComplained;
    private bool _isOver;

    /// <summary>Makes a host that does nothing before it has loaded what is stored.</summary>
    /// <param name="id">The transactional id.</param>
    /// <param name="context">What hosts share.</param>
    /// <param name="ended">Called when the host has ended by itself: it is to be replaced.</param>
    public TransactionHost(string id, TransactionContext context, Action ended)
    {
        _id = id;
        _context = context;
        _ended = ended;
    }

    /// <summary>Nothing is stored of the transactional id and nobody waits for it: the host isn't needed.</summary>
    public bool IsNeedless => _record is null && !_isBusy;

    private TransactionMachine Machine => _context.Machine;

    private long NowMs => _context.Time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Reads what is stored, and goes on with it. Called once, before anything else.</summary>
    public async Task LoadAsync()
    {
        _scheduler = TaskScheduler.Current;
        StoredTransaction? stored = await _context.Store.LoadAsync(_id);
        _timer = _context.Time.CreateTimer(_ => WakeUp(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        if (stored is not null)
        {
            (_version, _record) = (stored.Version, stored.Record);
            GoOn();
        }
    }

    /// <inheritdoc cref="ITransactionCoordinator.InitializeAsync"/>
    public async Task<InitializedProducer> InitializeAsync(int timeoutMs, ProducerIdentity? current)
    {
        long? fresh = null;
        ProducerIdentity given = default;
        ErrorCode error = await PerformAsync(async () =>
        {
            TransactionStep step = Machine.Initialize(_record, timeoutMs, current, fresh, NowMs);
            if (step.NeedsProducerId)
            {
                fresh = await _context.NextProducerId(_stop.Token);
                step = Machine.Initialize(_record, timeoutMs, current, fresh, NowMs);
            }
            ErrorCode done = await StoreAsync(step, step.Error == ErrorCode.ConcurrentTransactions ? TransactionOutcome.Fenced : null);
            given = done == ErrorCode.None ? _record!.Producer : default;
            return done;
        });
        if (error == ErrorCode.InvalidTransactionTimeout)
        {
            _context.Refuse(
                TransactionRefusal.TimeoutTooLong,
                $"transactional id '{_id}' asks for a timeout of {timeoutMs} ms, and transactions:maxTimeoutMs is {_context.Options.MaxTimeout.TotalMilliseconds}");
        }
        return new InitializedProducer(error, given);
    }

    /// <inheritdoc cref="ITransactionCoordinator.AddPartitionsAsync"/>
    public async Task<ErrorCode> AddPartitionsAsync(ProducerIdentity producer, IReadOnlyCollection<TransactionPartition> partitions)
    {
        ErrorCode error = await PerformAsync(() => StoreAsync(Machine.AddPartitions(_record, producer, partitions, NowMs)));
        if (error == ErrorCode.PolicyViolation)
        {
            _context.Refuse(
                TransactionRefusal.TooManyPartitions,
                $"a transaction of '{_id}' would have more partitions than transactions:maxPartitions allows ({_context.Options.MaxPartitions})");
        }
        return error;
    }

    /// <inheritdoc cref="ITransactionCoordinator.AddGroupAsync"/>
    public async Task<ErrorCode> AddGroupAsync(ProducerIdentity producer, string groupId)
    {
        ErrorCode error = await PerformAsync(() => StoreAsync(Machine.AddGroup(_record, producer, groupId, NowMs)));
        if (error == ErrorCode.PolicyViolation)
        {
            _context.Refuse(
                TransactionRefusal.TooManyGroups,
                $"a transaction of '{_id}' would have more groups than transactions:maxGroups allows ({_context.Options.MaxGroups})");
        }
        return error;
    }

    /// <inheritdoc cref="ITransactionCoordinator.EndAsync"/>
    public Task<ErrorCode> EndAsync(ProducerIdentity producer, bool commit) => PerformAsync(() => StoreAsync(
        Machine.End(_record, producer, commit, NowMs), commit ? TransactionOutcome.Committed : TransactionOutcome.Aborted));

    /// <inheritdoc cref="ITransactionCoordinator.VerifyAsync"/>
    public async Task<ErrorCode> VerifyAsync(ProducerIdentity producer, TransactionPartition partition)
    {
        await LookAsync();
        return Machine.Verify(_record, producer, partition);
    }

    /// <inheritdoc cref="ITransactionCoordinator.VerifyGroupAsync"/>
    public async Task<VerifiedGroup> VerifyGroupAsync(ProducerIdentity producer, string groupId)
    {
        await LookAsync();
        return Machine.VerifyGroup(_record, producer, groupId);
    }

    /// <summary>
    /// What is stored; of a transaction that is decided, the partitions that have no marker yet. Null if nothing is.
    /// </summary>
    public TransactionDescription? Describe()
    {
        ThrowIfOver();
        return _record is not { } record ? null : new TransactionDescription(
            _id, record.State, record.Producer, record.TimeoutMs, record.StartMs, record.IsEnding ? [.. _unmarked] : [.. record.Partitions]);
    }

    /// <summary>Does what is due: aborts an open transaction whose time is over, forgets an id that nobody needs.</summary>
    public Task TickAsync() => InTurnAsync(async () =>
    {
        if (Machine.TimeOut(_record, NowMs) is { } next)
        {
            _context.Logger.TransactionTimedOut(_id, _record!.ProducerId, _record.Epoch, _record.TimeoutMs);
            await StoreAsync(new TransactionStep(ErrorCode.None, next), TransactionOutcome.TimedOut);
        }
        else if (_record is { } record && Machine.HasExpired(record, NowMs))
        {
            await TryAsync(() => _context.Store.DeleteAsync(_id, _version));
            (_record, _version) = (null, 0);
            _context.Metrics.Expired();
        }
        else
        {
            GoOn();
        }
        return ErrorCode.None;
    });

    /// <summary>Ends: whoever waits gets an exception or is told to ask again. What is decided is not undone by it.</summary>
    public void Dispose()
    {
        if (_isOver)
        {
            return;
        }
        _isOver = true;
        _timer?.Dispose();
        _stop.Cancel();
        Ended();
        while (_queue.TryDequeue(out TaskCompletionSource? turn))
        {
            turn.SetResult(); // to find that there are no turns any more
        }
    }

    /// <summary>Has a request its turn, and another one when the transaction is completed that it had to wait for.</summary>
    private async Task<ErrorCode> PerformAsync(Func<Task<ErrorCode>> perform)
    {
        long began = _context.Time.GetTimestamp();
        while (true)
        {
            ErrorCode error = await InTurnAsync(perform);
            TimeSpan rest = _context.Options.CompletionWait - _context.Time.GetElapsedTime(began);
            if (error != ErrorCode.ConcurrentTransactions || _ending is not { } ending || rest <= TimeSpan.Zero)
            {
                return error;
            }
            await ending.Task.WaitAsync(rest, _context.Time)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
            if (!ending.Task.IsCompleted)
            {
                return error;
            }
        }
    }

    private async Task<ErrorCode> InTurnAsync(Func<Task<ErrorCode>> perform)
    {
        ThrowIfOver();
        if (_queue.Count >= MaxWaiting)
        {
            _context.Refuse(TransactionRefusal.TooManyRequests, $"more than {MaxWaiting} requests wait for transactional id '{_id}'");
            return ErrorCode.ConcurrentTransactions;
        }
        await EnterAsync();
        try
        {
            return await perform();
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>Waits for a turn, in the order of coming.</summary>
    private async Task EnterAsync()
    {
        if (_isBusy)
        {
            var turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _queue.Enqueue(turn);
            await turn.Task;
        }
        ThrowIfOver();
        _isBusy = true;
    }

    private void Leave()
    {
        if (_queue.TryDequeue(out TaskCompletionSource? next))
        {
            next.SetResult();
        }
        else
        {
            _isBusy = false;
        }
    }

    /// <summary>Stores what a step says, and goes on with it.</summary>
    /// <returns>The step's answer; or why it can't be stored.</returns>
    private async Task<ErrorCode> StoreAsync(TransactionStep step, TransactionOutcome? outcome = null)
    {
        if (step.Next is not { } next)
        {
            await (step.Error == ErrorCode.ConcurrentTransactions ? Task.CompletedTask : ConfirmAsync());
            return step.Error;
        }
        try
        {
            await TryAsync(async () => _version = await _context.Store.WriteAsync(_id, _version, next));
        }
        catch (TransactionLimitException e)
        {
            _context.Refuse(TransactionRefusal.TooManyIds, e.Message);
            return ErrorCode.PolicyViolation;
        }
        _record = next;
        if (next.IsEnding && outcome is { } decided)
        {
            _context.Metrics.Decide(decided);
        }
        GoOn();
        return step.Error;
    }

    /// <summary>Sees that nobody else has written. Whoever asks before it has its turn shares it.</summary>
    private Task LookAsync()
    {
        return _look ??= LookInTurnAsync();

        async Task LookInTurnAsync()
        {
            await Task.Yield(); // so that it is noted before it has its turn, and whoever else is there shares it
            try
            {
                await EnterAsync();
            }
            finally
            {
                _look = null;
            }
            try
            {
                await ConfirmAsync();
            }
            finally
            {
                Leave();
            }
        }
    }

    /// <summary>Sees that nobody else has written by now. Called in a turn.</summary>
    private Task ConfirmAsync() => TryAsync(async () =>
    {
        if (await _context.Store.ReadVersionAsync(_id) != _version)
        {
            throw new TransactionConflictException(_id);
        }
    });

    /// <summary>Uses the store. If that fails, the host ends.</summary>
    private async Task TryAsync(Func<Task> use)
    {
        try
        {
            await use();
        }
        catch (Exception e) when (e is not TransactionLimitException) // after which nothing is in doubt
        {
            Fail(e);
            throw;
        }
        ThrowIfOver();
    }

    /// <summary>Does what is stored says is to be done.</summary>
    private void GoOn()
    {
        if (_isOver || _record is not { } record)
        {
            return;
        }
        if (record.IsEnding && _ending is null)
        {
            _ending = new TaskCompletionSource();
            _context.Metrics.EndingBegan();
            _ = EndAllAsync(record);
        }
        else if (record.State == TransactionState.Ongoing)
        {
            long rest = Math.Clamp(record.DueMs!.Value - NowMs, 0, record.TimeoutMs);
            _timer!.Change(TimeSpan.FromMilliseconds(rest), Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Tells everybody how a transaction ends, until all know, and stores that they do.</summary>
    private async Task EndAllAsync(TransactionRecord decided)
    {
        long began = _context.Time.GetTimestamp();
        var marker = new TransactionMarker(
            decided.ProducerId, decided.Epoch, decided.State == TransactionState.PrepareCommit, decided.Number);
        try
        {
            _hasComplained = false;
            _unmarked.Clear();
            _unmarked.UnionWith(decided.Partitions);
            TransactionPartition[] partitions = [.. _unmarked];
            await Task.WhenAll(
            [
                .. partitions.Select(partition => MarkAsync(marker, partition)),
                .. decided.Groups.Select(group => RepeatAsync(() => _context.Participants.EndAsync(marker, group, _stop.Token), $"group '{group}'")),
            ]);
            await EnterAsync();
            try
            {
                await StoreAsync(new TransactionStep(ErrorCode.None, Machine.Complete(decided, NowMs)));
                Ended();
                _context.Metrics.Completed(_context.Time.GetElapsedTime(began));
            }
            finally
            {
                Leave();
            }
        }
        catch (Exception e) when (_isOver)
        {
            _ = e; // the next host goes on
        }
        catch (Exception e)
        {
            Fail(e);
        }
    }

    private async Task MarkAsync(TransactionMarker marker, TransactionPartition partition)
    {
        await RepeatAsync(
            () => _context.Participants.EndAsync(marker, partition, _stop.Token), $"partition {partition.Topic}-{partition.Index}");
        _unmarked.Remove(partition);
    }

    /// <summary>Tries until it succeeds, ever less often.</summary>
    private async Task RepeatAsync(Func<ValueTask<ErrorCode>> end, string where)
    {
        TimeSpan backoff = FirstBackoff;
        while (!await TryAsync(end, where))
        {
            _context.Metrics.MarkerFailed();
            await Task.Delay(backoff, _context.Time, _stop.Token);
            backoff = backoff * 2 < LongestBackoff ? backoff * 2 : LongestBackoff;
        }
    }

    private async Task<bool> TryAsync(Func<ValueTask<ErrorCode>> end, string where)
    {
        ErrorCode error;
        Exception? failure = null;
        try
        {
            error = await end();
        }
        catch (Exception e) when (!_isOver)
        {
            (error, failure) = (ErrorCode.UnknownServerError, e);
        }
        if (error is ErrorCode.TransactionCoordinatorFenced or ErrorCode.InvalidProducerEpoch)
        {
            _context.Logger.MarkerIsLate(_id, where); // what came later has ended or fenced there what this one ends
            return true;
        }
        if (error != ErrorCode.None && !_hasComplained)
        {
            _hasComplained = true;
            _context.Logger.MarkerNotWritten(failure, _id, where, error);
        }
        return error == ErrorCode.None;
    }

    /// <summary>Whoever waits for the transaction that was ending goes on.</summary>
    private void Ended()
    {
        if (_ending is { } ending)
        {
            _ending = null;
            _context.Metrics.EndingEnded();
            ending.TrySetResult();
        }
    }

    private void ThrowIfOver()
    {
        if (_isOver)
        {
            throw new InvalidOperationException($"transactional id '{_id}' is worked for elsewhere, or in a moment");
        }
    }

    private void Fail(Exception reason)
    {
        if (!_isOver)
        {
            _context.Logger.TransactionFailed(reason, _id);
            Dispose();
            _ended();
        }
    }

    private void WakeUp() => Task.Factory.StartNew(TickOnTimerAsync, CancellationToken.None, TaskCreationOptions.DenyChildAttach, _scheduler);

    private async Task TickOnTimerAsync()
    {
        try
        {
            if (!_isOver)
            {
                await TickAsync();
            }
        }
        catch (Exception e) when (e is OperationCanceledException or InvalidOperationException && _isOver)
        {
            // The next host looks after it.
        }
        catch (Exception e)
        {
            Fail(e);
        }
    }
}
