using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Tributary.Edge.Buffer;
using Tributary.Edge.Clock;
using Tributary.Edge.Status;
using Tributary.Log;

namespace Tributary.Edge.Uplink;

/// <summary>
/// Drives <see cref="UplinkState"/> for one local partition: performs what it asks for and tells it what happened. One loop owns the
/// state; answers and flushes come from other threads through <c>_events</c> and the signal. Questions to the cloud run beside the loop
/// (at most one at a time); reading, compressing and saving run in it. A crash at any point leaves the checkpoint and the log.
/// </summary>
internal sealed class PartitionUplink : ILogListener, IAsyncDisposable
{
    private const string HeldReason = "records were stored while the clock was not trusted, and wait for their time";

    private readonly BufferPartition _partition;
    private readonly ICloud _cloud;
    private readonly EdgeClock _time;
    private readonly LinkTurns _turns;
    private readonly int _priority;
    private readonly long _origin;
    private readonly UplinkCounters _counters;
    private readonly ILogger _logger;
    private readonly UplinkNoticeLog _notices;
    private readonly IUplinkSource _source;
    private readonly CheckpointFile _file;
    private readonly RoundReader _reader;
    private readonly UplinkState _state;
    private readonly ConcurrentQueue<Action<TimeSpan>> _events = new();
    private readonly SemaphoreSlim _signal = new(0, 1);
    private readonly Guid _incarnation = Guid.NewGuid();
    private readonly CancellationTokenSource _stopping = new();
    private readonly Dictionary<ICloudNode, int> _inFlight = [];
    private readonly RefusedRecords _refused;
    private readonly EdgeEvents? _happenings;
    private Task _loop = Task.CompletedTask;
    private Task _asking = Task.CompletedTask;
    private volatile UplinkPartitionStatus _status;
    private volatile bool _isDefective;
    private long _mayRepeat;

    /// <summary>
    /// Takes over where the checkpoint stands. Writes the log's end down before it returns: nothing may be ingested before that.
    /// </summary>
    /// <param name="partition">The local partition.</param>
    /// <param name="source">Its log.</param>
    /// <param name="endAtStart">
    /// Where the log ended before this process took anything in: the same at a second try, or a disk that went back in time goes unnoticed.
    /// </param>
    /// <param name="file">Its checkpoint.</param>
    /// <param name="deadLetters">Where records are kept that the cloud refuses for good.</param>
    /// <param name="happenings">Sends what happens to the cloud; null for nobody.</param>
    /// <param name="cloud">Where the records go.</param>
    /// <param name="share">Shares the link with the other partitions.</param>
    /// <param name="priority">Priority of the topic.</param>
    /// <param name="options">Settings.</param>
    /// <param name="time">All time.</param>
    /// <param name="counters">What is counted over all partitions.</param>
    /// <param name="logger">Where it logs.</param>
    /// <param name="random">Jitter of the waits.</param>
    /// <exception cref="UplinkStoppedException">The checkpoint is damaged and the settings say to stop.</exception>
    /// <exception cref="IOException">The checkpoint can't be read or written.</exception>
    public PartitionUplink(
        BufferPartition partition, IUplinkSource source, long endAtStart, CheckpointFile file, DeadLetters deadLetters, EdgeEvents? happenings, ICloud cloud,
        LinkShare share, int priority, UplinkOptions options, TimeProvider time, UplinkCounters counters, ILogger logger, Random random)
    {
        _partition = partition;
        _cloud = cloud;
        _time = EdgeClock.Of(time);
        _origin = share.Origin;
        _priority = priority;
        _counters = counters;
        _logger = logger;
        _notices = new UplinkNoticeLog(partition, logger);
        _happenings = happenings;
        _source = source;
        _file = file;
        UplinkCheckpoint begun = UplinkState.Begin(Load(file, options, source.StartOffset), endAtStart);
        // On a full disk too: only what the uplink sends makes room. Before the first answer of the cloud as well: records may be given up
        // by then, and a log that begins later without a checkpoint has lost it.
        source.SaveBeside(() => file.Save(begun));
        _refused = new RefusedRecords(partition, source, deadLetters, options.ReadBytes, begun.Refused, _time, logger);
        _reader = new RoundReader(source, options, _time);
        _turns = share.Join(partition.Topic, priority, Wake);
        _state = new UplinkState(options, begun, source.StartOffset, source.FlushedEnd, random, _turns, Now);
        _status = DescribeStatus();
        ClusterId = ClusterOf(begun.ClusterId);
        if (begun.Acked <= source.FlushedEnd)
        {
            partition.Hold.Acknowledged(begun.Acked); // the cloud may not answer for weeks, and room be needed before
        }
        logger.UplinkBegins(partition.Topic, partition.Index, begun.Acked, source.FlushedEnd, begun.ProducerId, begun.ProducerEpoch);
    }

    /// <summary>State as of the last thing that happened.</summary>
    public UplinkPartitionStatus Status => _status;

    /// <summary>Times that the position was looked up again.</summary>
    public long Retries { get; private set; }

    /// <summary>Id of the cluster that the records go to, null before its first answer ever.</summary>
    public string? ClusterId { get; private set; }

    private TimeSpan Now => _time.GetElapsedTime(_origin);

    /// <summary>Starts the loop.</summary>
    public void Start() => _loop = Task.Run(RunAsync);

    /// <inheritdoc/>
    public void OnFlushed(PartitionLog log, long flushedEnd) => Wake();

    /// <inheritdoc/>
    public void OnFailed(PartitionLog log, long fromOffset, Exception reason) => Wake();

    /// <summary>Wakes the loop: the log has grown.</summary>
    public void Wake()
    {
        if (_signal.CurrentCount == 0)
        {
            try
            {
                _signal.Release();
            }
            catch (SemaphoreFullException)
            {
                // Another thread has just done it.
            }
        }
    }

    /// <summary>More may be known of the times of records.</summary>
    public void OnClock() => Happened(_ => _state.OnClock());

    /// <summary>Completes when it has stopped.</summary>
    /// <returns>True if it stopped by itself, at something that should not happen; another one may go on from the checkpoint.</returns>
    public async Task<bool> EndedAsync()
    {
        await _loop;
        return _isDefective;
    }

    /// <summary>Stops, and saves how far it came.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        Wake();
        await _loop;
        await _asking;
        if (!_isDefective && _state.ProducerId >= 0 && _state.Phase != UplinkPhase.Stopped)
        {
            await TrySaveAsync(_state.Snapshot());
        }
        _reader.Dispose();
        _turns.Dispose();
    }

    private static UplinkCheckpoint Load(CheckpointFile file, UplinkOptions options, long startOffset)
    {
        CheckpointStatus status = file.Load(out UplinkCheckpoint checkpoint);
        // There is one before the first record is given up.
        bool isLost = status == CheckpointStatus.Missing && startOffset > 0;
        if (status != CheckpointStatus.Damaged && !isLost)
        {
            return checkpoint;
        }
        if (options.OnCheckpointDamaged == OnDamaged.Resend)
        {
            return new UplinkCheckpoint { Acked = startOffset, EpochStart = startOffset };
        }
        throw new UplinkStoppedException(
            $"the checkpoint {file.Path} is {(isLost ? "missing" : "damaged")}, so nobody can tell what the cloud has: restore it, or set uplink:onCheckpointDamaged to "
            + "resend, which sends everything again that is held");
    }

    private async Task RunAsync()
    {
        try
        {
            while (!_stopping.IsCancellationRequested)
            {
                while (_events.TryDequeue(out Action<TimeSpan>? happened))
                {
                    happened(Now);
                }
                _state.OnLog(_source.StartOffset, _source.FlushedEnd);
                if (_state.Next(Now) is { } action)
                {
                    await PerformAsync(action);
                    continue;
                }
                Report();
                await StoreHappeningsAsync();
                await WaitAsync();
            }
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            // What the state believes can't be trusted any more; the checkpoint can.
            _isDefective = true;
            _logger.UplinkDefect(_partition.Topic, _partition.Index, e);
            _status = _status with { State = "stopped", Reason = e.Message };
        }
        finally
        {
            _turns.Dispose();
        }
    }

    private async Task WaitAsync()
    {
        TimeSpan wait = _state.WakeAt is { } at ? at - Now : Timeout.InfiniteTimeSpan;
        if (wait != Timeout.InfiniteTimeSpan && wait <= TimeSpan.Zero)
        {
            return;
        }
        Task signalled = _signal.WaitAsync(_stopping.Token);
        if (wait == Timeout.InfiniteTimeSpan || signalled.IsCompleted)
        {
            await signalled;
            return;
        }
        using var timer = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
        Task delay = Task.Delay(wait, _time, timer.Token);
        if (await Task.WhenAny(signalled, delay) == delay && !signalled.IsCompleted)
        {
            // The wait for the signal must not outlive this call and swallow the next one.
            Wake();
        }
        await timer.CancelAsync();
        await signalled;
    }

    private async ValueTask PerformAsync(UplinkAction action)
    {
        switch (action)
        {
            case UplinkAction.AskMetadata ask:
                Ask(ask.Ticket, async cancellation =>
                {
                    TopicMetadata metadata = await _cloud.GetMetadataAsync(_partition.Topic, ask.AllowCreate, cancellation);
                    return now => _state.OnMetadata(now, ask.Ticket, metadata);
                });
                break;
            case UplinkAction.AskProducerId ask:
                Ask(ask.Ticket, async cancellation =>
                {
                    (long id, short epoch) = await _cloud.InitProducerIdAsync(cancellation);
                    return _ => _state.OnProducerId(ask.Ticket, id, epoch);
                });
                break;
            case UplinkAction.AskPositions ask:
                Ask(ask.Ticket, async cancellation =>
                {
                    CloudPosition[] positions = await _cloud.GetPositionsAsync(
                        _partition.Topic, ask.ProducerId, new ProducerClaim(_incarnation, ask.Start), ask.Targets, cancellation);
                    return now => _state.OnPositions(now, ask.Ticket, positions);
                });
                break;
            case UplinkAction.ReadRound read:
                await SendRoundAsync(read.Request);
                break;
            case UplinkAction.Locate locate:
                LocateResume(locate);
                break;
            case UplinkAction.Save save:
                await SaveAsync(save);
                break;
            case UplinkAction.Trim trim:
                Trim(trim.Offset);
                break;
            case UplinkAction.DropLink drop:
                DropLinks(drop.Reason);
                break;
        }
    }

    private void Happened(Action<TimeSpan> what)
    {
        _events.Enqueue(what);
        Wake();
    }

    private void Ask(long ticket, Func<CancellationToken, Task<Action<TimeSpan>>> question)
    {
        _asking = Task.Run(async () =>
        {
            try
            {
                Action<TimeSpan> answer = await question(_stopping.Token);
                _counters.Succeeded();
                Happened(answer);
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                _counters.Failed(e.Message);
                Happened(now => _state.OnAskFailed(now, ticket, e.Message));
            }
            catch (Exception e)
            {
                Happened(_ => throw new InvalidOperationException("a question to the cloud failed in an unforeseen way", e));
            }
        });
    }

    private async ValueTask SendRoundAsync(RoundRequest request)
    {
        Round round;
        try
        {
            round = _reader.Read(request);
        }
        catch (Exception e) when (e is IOException or OffsetOutOfRangeException)
        {
            _state.OnReadFailed(Now, e.Message);
            return;
        }
        _state.OnRound(Now, round);
        try
        {
            var byNode = new Dictionary<ICloudNode, List<RoundBatch>>();
            foreach (RoundBatch batch in round.Batches)
            {
                ICloudNode node = await _cloud.GetLeaderAsync(_partition.Topic, batch.Target, _stopping.Token);
                if (!byNode.TryGetValue(node, out List<RoundBatch>? batches))
                {
                    byNode.Add(node, batches = []);
                }
                batches.Add(batch);
            }
            foreach ((ICloudNode node, List<RoundBatch> batches) in byNode)
            {
                _inFlight[node] = _inFlight.GetValueOrDefault(node) + 1;
                _ = AnswerAsync(node, round, node.Produce(_partition.Topic, _incarnation, batches));
            }
        }
        catch (IOException e)
        {
            _counters.Failed(e.Message);
            _state.OnLinkLost(Now, e.Message);
        }
        finally
        {
            round.ReleaseBytes();
        }
    }

    private async Task AnswerAsync(ICloudNode node, Round round, Task<IReadOnlyList<ProduceAnswer>> answers)
    {
        try
        {
            IReadOnlyList<ProduceAnswer> all = await answers.ConfigureAwait(false);
            Happened(now =>
            {
                Finished(node);
                foreach (ProduceAnswer answer in all)
                {
                    if (answer.Error == Contracts.Kafka.ErrorCode.None)
                    {
                        _counters.Acked(_time.GetUtcNow(), answer.Batch.Records, answer.Batch.Dated);
                    }
                    _state.OnAnswer(now, round, answer.Batch, answer.Error, answer.BaseOffset);
                }
            });
        }
        catch (Exception e)
        {
            _counters.Failed(e.Message);
            Happened(now =>
            {
                Finished(node);
                if (!round.IsDropped)
                {
                    _state.OnLinkLost(now, e.Message);
                }
            });
        }
    }

    private void Finished(ICloudNode node)
    {
        if (--_inFlight[node] == 0)
        {
            _inFlight.Remove(node);
        }
    }

    private void LocateResume(UplinkAction.Locate locate)
    {
        try
        {
            (long[] resume, long[] held, ScanEnd end) = _reader.Locate(
                locate.From, locate.UpTo, locate.Numbering, locate.Ordinals, locate.Covered, locate.StopsWhenCovered);
            _state.OnLocated(Now, resume, held, end);
        }
        catch (Exception e) when (e is IOException or OffsetOutOfRangeException)
        {
            _state.OnReadFailed(Now, e.Message);
        }
    }

    private async ValueTask SaveAsync(UplinkAction.Save save)
    {
        if (await TrySaveAsync(save.Checkpoint) is { } reason)
        {
            _state.OnSaveFailed(Now, save.Ticket, reason);
        }
        else
        {
            _state.OnSaved(Now, save.Ticket, save.Checkpoint);
        }
    }

    /// <summary>A checkpoint that passes over a refused record is saved when that is among the dead letters.</summary>
    private async ValueTask<string?> TrySaveAsync(UplinkCheckpoint checkpoint)
    {
        try
        {
            Report();
            await _refused.KeepAsync(checkpoint.Refused);
            await StoreHappeningsAsync(); // before a checkpoint passes over what is missing
            _source.SaveBeside(() => _file.Save(checkpoint));
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.UplinkCheckpointNotSaved(_partition.Topic, _partition.Index, e);
            return e.Message;
        }
    }

    private void Trim(long offset)
    {
        try
        {
            _source.AdvanceStart(offset);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.UplinkNotTrimmed(_partition.Topic, _partition.Index, offset, e);
        }
    }

    private void DropLinks(string reason)
    {
        foreach (ICloudNode node in _inFlight.Keys)
        {
            node.Drop(reason);
        }
    }

    private void Report()
    {
        while (_state.TakeNotice() is { } notice)
        {
            if (notice.Kind == UplinkNoticeKind.Refused)
            {
                _refused.Explain(notice.Offset, notice.Message);
            }
            Tell(notice);
            _mayRepeat += notice.Kind == UplinkNoticeKind.MayRepeat ? 1 : 0;
            _notices.Log(notice, Now);
        }
        Retries = _state.Retries;
        ClusterId = ClusterOf(_state.ClusterId);
        _status = DescribeStatus();
    }

    private void Tell(UplinkNotice notice)
    {
        if (notice.ToEvent(_partition, _time.Stamp()) is { } what)
        {
            _happenings?.Add(what);
        }
    }

    private ValueTask StoreHappeningsAsync() => _happenings?.StoreAsync() ?? ValueTask.CompletedTask;

    private UplinkPartitionStatus DescribeStatus() => new(
        _partition.Topic, _partition.Index, _priority, Word(), _state.Held > 0 ? HeldReason : _state.Reason, _state.Acked, _state.ProducerId, _state.ProducerEpoch,
        _state.RefusedTotal, _state.GapTotal, _state.ConflictTotal, _mayRepeat, _state.Promise, _state.Held);

    private static string? ClusterOf(string id) => id.Length == 0 ? null : id;

    private string Word() => _state.Phase switch
    {
        UplinkPhase.Resolving => "resolving",
        UplinkPhase.Waiting => "backoff",
        UplinkPhase.Stopped => "stopped",
        _ => _state.Held > 0 ? "waitsForClock" : _state.IsIdle ? "idle" : "sending",
    };
}

/// <summary>The uplink of a partition can't begin without a decision of the user; the message says which.</summary>
internal sealed class UplinkStoppedException(string message) : Exception(message);
