using Tributary.Broker.Gateway;
using Tributary.Broker.Gateway.Handlers;
using Tributary.Broker.Groups;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Log;

namespace Tributary.Broker.Transactions;

/// <summary>How a <see cref="TransactionalProducer"/> works. Immutable.</summary>
public sealed record TransactionalProducerOptions
{
    /// <summary>After how long an open transaction is aborted, if its producer has gone.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>A partition's records are sent when they have so many bytes, at the latest when the transaction commits.</summary>
    public int BatchBytes { get; init; } = 256 << 10;

    /// <summary>The records of all partitions are sent when together they have so many bytes.</summary>
    public int BufferBytes { get; init; } = 16 << 20;

    /// <summary>How long is waited for the transaction before, and for batches to be committed.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>
/// A producer in the broker's own process, for its own tasks: what it writes, to any number of partitions, and the offsets that it commits,
/// count together or not at all, as with a client's transactions (KIP-98), but without sockets.
/// </summary>
/// <remarks>
/// One task uses it at a time. Records wait in memory, <see cref="TransactionalProducerOptions.BatchBytes"/> for each partition and
/// <see cref="TransactionalProducerOptions.BufferBytes"/> in all, and are durable when <see cref="CommitAsync"/> returns. After an exception the transaction can only be aborted; after a
/// <see cref="ProducerFencedException"/> the producer is of no use, since another one has its transactional id. A crash leaves a transaction
/// that the coordinator aborts, when its time is over or when the next producer of the id comes.
/// </remarks>
public sealed class TransactionalProducer : IDisposable
{
    private const short OffsetVersion = 4;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    private readonly BrokerContext _broker;
    private readonly string _id;
    private readonly TransactionalProducerOptions _options;
    private readonly Dictionary<(string Topic, int Index), Target> _targets = [];
    private ProducerIdentity _producer;
    private long _buffered;
    private State _state;

    /// <summary>The coordinator may know of the transaction.</summary>
    private bool _mayHaveBegun;

    /// <summary>The coordinator may have committed it.</summary>
    private bool _mayBeCommitted;

    /// <summary>It was to be aborted, and was committed before.</summary>
    private bool _isTooLate;

    private TransactionalProducer(BrokerContext broker, string id, TransactionalProducerOptions options) =>
        (_broker, _id, _options) = (broker, id, options);

    private enum State
    {
        Ready,
        Open,
        Failed,
        Fenced,
    }

    /// <summary>Takes a transactional id over: whoever had it is fenced, and what was open is aborted.</summary>
    /// <exception cref="TransactionFailedException">It could not be had within <see cref="TransactionalProducerOptions.Patience"/>.</exception>
    public static async Task<TransactionalProducer> InitializeAsync(
        BrokerServer broker, string transactionalId, TransactionalProducerOptions options, CancellationToken cancellation)
    {
        var producer = new TransactionalProducer(broker.Context, transactionalId, options);
        await producer.RenewAsync(null, cancellation);
        return producer;
    }

    /// <summary>Begins a transaction.</summary>
    public void Begin()
    {
        Require(State.Ready);
        _state = State.Open;
    }

    /// <summary>Adds a record; sends its partition's records when there are enough.</summary>
    /// <param name="topic">An existing topic.</param>
    /// <param name="partition">Its partition.</param>
    /// <param name="timestampMs">Unix milliseconds.</param>
    /// <param name="key">The key; null for none.</param>
    /// <param name="value">The value; null for none.</param>
    /// <param name="headers">The headers.</param>
    /// <param name="cancellation">Gives up: the transaction must be aborted.</param>
    /// <exception cref="TransactionFailedException">What there was could not be sent.</exception>
    public ValueTask AddAsync(
        string topic, int partition, long timestampMs, ReadOnlyMemory<byte>? key, ReadOnlyMemory<byte>? value, EncodedHeaders headers,
        CancellationToken cancellation)
    {
        Require(State.Open);
        if (!_targets.TryGetValue((topic, partition), out Target? target))
        {
            _targets.Add((topic, partition), target = new Target(topic, partition));
        }
        int before = target.Builder.Size;
        target.Builder.Add(
            timestampMs, key.GetValueOrDefault().Span, key is not null, value.GetValueOrDefault().Span, value is not null, headers.Bytes.Span,
            headers.Count);
        _buffered += target.Builder.Size - before;
        target.Buffered += target.Builder.Size - before;
        return target.Builder.Size >= _options.BatchBytes ? new ValueTask(GuardAsync(() => SendAsync([target], cancellation)))
            : _buffered >= _options.BufferBytes ? new ValueTask(GuardAsync(() => SendAsync(Filled, cancellation)))
            : default;
    }

    /// <summary>Has the transaction commit how far a group has read.</summary>
    /// <param name="group">The group, as whose member nobody is named: it must be the caller's to say.</param>
    /// <param name="next">The next offset to read, by partition.</param>
    /// <param name="cancellation">Gives up: the transaction must be aborted.</param>
    public Task AddOffsetsAsync(string group, IReadOnlyDictionary<GroupPartition, long> next, CancellationToken cancellation)
    {
        Require(State.Open);
        return GuardAsync(async () =>
        {
            _mayHaveBegun = true;
            await AskAsync(() => _broker.Transactions.AddGroupAsync(_id, _producer, group, cancellation), cancellation);
            var request = new TxnOffsetCommitRequest
            {
                TransactionalId = _id,
                GroupId = group,
                ProducerId = _producer.ProducerId,
                ProducerEpoch = _producer.Epoch,
                Topics =
                [
                    .. next.GroupBy(one => one.Key.Topic, StringComparer.Ordinal).Select(topic => new TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic
                    {
                        Name = topic.Key,
                        Partitions =
                        [
                            .. topic.Select(one => new TxnOffsetCommitRequest.TxnOffsetCommitRequestPartition
                            {
                                PartitionIndex = one.Key.Partition,
                                CommittedOffset = one.Value,
                                CommittedMetadata = "",
                            }),
                        ],
                    }),
                ],
            };
            await AskAsync(
                async () => (await _broker.Groups.CommitAsync(request, new GroupCaller(_id, "", OffsetVersion), cancellation))
                    .Topics.SelectMany(topic => topic.Partitions).Select(partition => partition.ErrorCode)
                    .FirstOrDefault(error => error != ErrorCode.None),
                cancellation);
        });
    }

    /// <summary>Sends what is left and commits. When it returns, all of it counts, whatever crashes.</summary>
    /// <exception cref="TransactionFailedException">
    /// It isn't committed, or nobody knows: abort it, which says that it is too late if it was.
    /// </exception>
    public Task CommitAsync(CancellationToken cancellation)
    {
        Require(State.Open);
        return GuardAsync(async () =>
        {
            await SendAsync(Filled, cancellation);
            _mayBeCommitted = true;
            if (_mayHaveBegun)
            {
                await AskAsync(() => _broker.Transactions.EndAsync(_id, _producer, commit: true, cancellation), cancellation);
            }
            Close();
        });
    }

    /// <summary>Drops what was added. Afterwards the next transaction can begin.</summary>
    /// <exception cref="TransactionFailedException">
    /// It was committed already, or could not be aborted yet: then it may be tried again.
    /// </exception>
    public async Task AbortAsync(CancellationToken cancellation)
    {
        if (_state is not (State.Open or State.Failed))
        {
            throw new InvalidOperationException($"there is no transaction of '{_id}' to abort");
        }
        bool isInDoubt = _state == State.Failed;
        foreach (Target target in _targets.Values)
        {
            Empty(target);
        }
        if (_mayHaveBegun)
        {
            await AskAsync(
                async () =>
                {
                    ErrorCode error = await _broker.Transactions.EndAsync(_id, _producer, commit: false, cancellation);
                    _isTooLate = error == ErrorCode.InvalidTxnState && _mayBeCommitted;
                    return error == ErrorCode.InvalidTxnState ? ErrorCode.None : error; // it had not begun, or is committed
                },
                cancellation);
            _mayHaveBegun = false; // should the rest fail, and be tried again, the epoch may be another one by then
        }
        if (isInDoubt)
        {
            // Nobody knows which sequences the partitions have seen: under a new epoch they begin anew.
            await RenewAsync(_producer, cancellation);
        }
        bool isTooLate = _isTooLate;
        Close();
        if (isTooLate)
        {
            throw new TransactionFailedException($"the transaction of '{_id}' was committed, and can't be aborted any more");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Target target in _targets.Values)
        {
            target.Builder.Dispose();
        }
    }

    /// <summary>The partitions whose records wait.</summary>
    private Target[] Filled => [.. _targets.Values.Where(target => target.Builder.Count > 0)];

    /// <summary>A partition's records wait no longer; a batch that was built of them stays until the next are added.</summary>
    private void Empty(Target target)
    {
        target.Builder.Reset();
        _buffered -= target.Buffered;
        target.Buffered = 0;
    }

    /// <summary>The transaction is over.</summary>
    private void Close()
    {
        _state = State.Ready;
        _mayHaveBegun = _mayBeCommitted = _isTooLate = false;
        foreach (Target target in _targets.Values)
        {
            target.IsAdded = false;
        }
    }

    /// <summary>Appends a batch of each, and waits until all are committed.</summary>
    private async Task SendAsync(Target[] targets, CancellationToken cancellation)
    {
        if (targets.Length == 0)
        {
            return;
        }
        var partitions = new Partition[targets.Length];
        long[] numbers = new long[targets.Length];
        for (int i = 0; i < targets.Length; i++)
        {
            ErrorCode error = _broker.Partitions.Get(targets[i].Topic, targets[i].Index, out Partition? partition);
            partitions[i] = error == ErrorCode.None ? partition! : throw Failure(error, targets[i]);
            // The coordinator is asked after that, so what it says holds for the batch.
            numbers[i] = partition!.BeginVerification(_producer.ProducerId, _producer.Epoch);
        }
        TransactionPartition[] added =
        [
            .. targets.Zip(partitions).Where(pair => !pair.First.IsAdded)
                .Select(pair => new TransactionPartition(pair.First.Topic, pair.Second.TopicId, pair.First.Index)),
        ];
        if (added.Length > 0)
        {
            _mayHaveBegun = true;
            await AskAsync(() => _broker.Transactions.AddPartitionsAsync(_id, _producer, added, cancellation), cancellation);
        }
        var wait = new CommitWait(targets.Length);
        for (int i = 0; i < targets.Length; i++)
        {
            targets[i].IsAdded = true;
            Append(targets[i], partitions[i], numbers[i], wait, i);
        }
        await wait.WaitAsync(_options.Patience, _broker.Time, cancellation);
        for (int i = 0; i < targets.Length; i++)
        {
            if (wait.Outcome(i) is var error and not ErrorCode.None)
            {
                throw Failure(error, targets[i]);
            }
        }
    }

    private void Append(Target target, Partition partition, long number, CommitWait wait, int slot)
    {
        int count = target.Builder.Count;
        Memory<byte> built = target.Builder.Build(
            new BatchProducer(_producer.ProducerId, _producer.Epoch, target.NextSequence), attributes: BatchAttributes.Transactional);
        Empty(target);
        TopicSettings settings = partition.Settings;
        long nowMs = _broker.Time.GetUtcNow().ToUnixTimeMilliseconds();
        ErrorCode error = BatchCheck.Check(
            built.Span, ProduceRequest.Api.MaxVersion, settings, nowMs, _broker.Options.MaxDecompressedBytes, out _, out string? message, out _);
        if (error == ErrorCode.None)
        {
            if (settings.LogAppendTime)
            {
                BatchCheck.StampAppendTime(built.Span, nowMs);
            }
            var sender = new BatchSender(_producer.ProducerId, Guid.Empty, IsTransactional: true, _producer.Epoch, number);
            error = partition.Append(built.Span, sender, wait, slot, committed: true, out AppendResult result);
            if (error == ErrorCode.None && !result.IsDuplicate)
            {
                _broker.Metrics.Produced(built.Length, count);
            }
        }
        if (error != ErrorCode.None)
        {
            throw Failure(error, target, message);
        }
        target.NextSequence = Sequence.Add(target.NextSequence, count);
    }

    /// <summary>Gets a producer id and epoch.</summary>
    private async Task RenewAsync(ProducerIdentity? current, CancellationToken cancellation)
    {
        await AskAsync(
            async () =>
            {
                InitializedProducer given = await _broker.Transactions.InitializeAsync(
                    _id, (int)_options.Timeout.TotalMilliseconds, current, cancellation);
                _producer = given.Producer;
                return given.Error;
            },
            cancellation);
        foreach (Target target in _targets.Values)
        {
            target.NextSequence = 0;
        }
    }

    /// <summary>Asks until the answer is another one than to ask again. A failure is one: all that is asked may be asked twice.</summary>
    private async Task AskAsync(Func<Task<ErrorCode>> ask, CancellationToken cancellation)
    {
        long began = _broker.Time.GetTimestamp();
        while (true)
        {
            ErrorCode error;
            Exception? failure = null;
            try
            {
                error = await ask();
            }
            catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
            {
                _broker.Logger.TransactionRequestFailed(e, nameof(TransactionalProducer), _id);
                (error, failure) = (ErrorCode.CoordinatorNotAvailable, e);
            }
            if (error == ErrorCode.None)
            {
                return;
            }
            if (error is not (ErrorCode.ConcurrentTransactions or ErrorCode.CoordinatorLoadInProgress or ErrorCode.CoordinatorNotAvailable
                    or ErrorCode.NotCoordinator)
                || _broker.Time.GetElapsedTime(began) >= _options.Patience)
            {
                throw Failure(error, failure: failure);
            }
            await Task.Delay(Pause, _broker.Time, cancellation);
        }
    }

    private Exception Failure(ErrorCode error, Target? target = null, string? message = null, Exception? failure = null)
    {
        if (error is ErrorCode.ProducerFenced or ErrorCode.InvalidProducerEpoch)
        {
            _state = State.Fenced;
            return new ProducerFencedException(_id);
        }
        string where = target is null ? "" : $" at {target.Topic}-{target.Index}";
        return new TransactionFailedException(
            $"the transaction of '{_id}' failed{where} with {error}{(message is null ? "" : $": {message}")}", failure);
    }

    /// <summary>After an exception the transaction can only be aborted.</summary>
    private async Task GuardAsync(Func<Task> perform)
    {
        try
        {
            await perform();
        }
        catch
        {
            _state = _state == State.Fenced ? State.Fenced : State.Failed;
            throw;
        }
    }

    private void Require(State state)
    {
        if (_state == State.Fenced)
        {
            throw new ProducerFencedException(_id);
        }
        if (_state != state)
        {
            throw new InvalidOperationException($"the producer '{_id}' is {_state} and not {state}");
        }
    }

    /// <summary>A partition that is written to: the records that wait, and what the partition has seen.</summary>
    private sealed class Target(string topic, int index)
    {
        public string Topic { get; } = topic;

        public int Index { get; } = index;

        public RecordBatchBuilder Builder { get; } = new();

        public int NextSequence { get; set; }

        /// <summary>Bytes of records that wait.</summary>
        public int Buffered { get; set; }

        /// <summary>It belongs to the open transaction.</summary>
        public bool IsAdded { get; set; }
    }
}

/// <summary>A transaction can't go on; it is to be aborted.</summary>
public sealed class TransactionFailedException(string message, Exception? reason = null) : Exception(message, reason);

/// <summary>Another producer has the transactional id.</summary>
public sealed class ProducerFencedException(string transactionalId)
    : Exception($"another producer has the transactional id '{transactionalId}' now");
