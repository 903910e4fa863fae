using Tributary.Broker.Transactions;
using Tributary.Log;
using Tributary.Tests.Support;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Support;

/// <summary>Decides on transactions in memory: each transactional id has a host, as in a grain, and all run one thing at a time.</summary>
internal sealed class TestTransactions : ITransactionCoordinator, ITransactionParticipants, IDisposable
{
    private readonly ConcurrentExclusiveSchedulerPair _schedulers = new();
    private readonly Dictionary<string, Task<TransactionHost>> _hosts = [];
    private readonly TransactionOptions _options;
    private readonly TimeProvider _time;
    private readonly Func<ITransactionParticipants>? _participants;
    private long _lastProducerId = 5000;

    /// <param name="options">Limits and times.</param>
    /// <param name="time">All time.</param>
    /// <param name="store">Where they are kept.</param>
    /// <param name="participants">Where transactions end; by default nowhere, and at once.</param>
    public TestTransactions(
        TransactionOptions? options = null, TimeProvider? time = null, MemoryTransactionStore? store = null,
        Func<ITransactionParticipants>? participants = null)
    {
        _options = options ?? new TransactionOptions();
        _time = time ?? TimeProvider.System;
        _participants = participants;
        Store = store ?? new MemoryTransactionStore();
        Context = NewContext();
    }

    public RecordingLogger Logger { get; } = new();

    public MemoryTransactionStore Store { get; }

    public TransactionContext Context { get; private set; }

    /// <summary>Markers that went out.</summary>
    public List<(TransactionMarker Marker, string Where)> Marked { get; } = [];

    /// <summary>What markers are answered with, instead of being handed on.</summary>
    public Func<ErrorCode>? Answer { get; set; }

    /// <summary>What every call fails with, if anything.</summary>
    public Exception? Failure { get; set; }

    public Task<InitializedProducer> InitializeAsync(
        string transactionalId, int timeoutMs, ProducerIdentity? current, CancellationToken cancellation) =>
        OnAsync(transactionalId, host => host.InitializeAsync(timeoutMs, current), cancellation);

    public Task<ErrorCode> AddPartitionsAsync(
        string transactionalId, ProducerIdentity producer, IReadOnlyCollection<TransactionPartition> partitions, CancellationToken cancellation) =>
        OnAsync(transactionalId, host => host.AddPartitionsAsync(producer, partitions), cancellation);

    public Task<ErrorCode> AddGroupAsync(
        string transactionalId, ProducerIdentity producer, string groupId, CancellationToken cancellation) =>
        OnAsync(transactionalId, host => host.AddGroupAsync(producer, groupId), cancellation);

    public Task<ErrorCode> EndAsync(string transactionalId, ProducerIdentity producer, bool commit, CancellationToken cancellation) =>
        OnAsync(transactionalId, host => host.EndAsync(producer, commit), cancellation);

    public ValueTask<ErrorCode> VerifyAsync(
        string transactionalId, ProducerIdentity producer, TransactionPartition partition, CancellationToken cancellation) =>
        new(OnAsync(transactionalId, host => host.VerifyAsync(producer, partition), cancellation));

    public ValueTask<VerifiedGroup> VerifyGroupAsync(
        string transactionalId, ProducerIdentity producer, string groupId, CancellationToken cancellation) =>
        new(OnAsync(transactionalId, host => host.VerifyGroupAsync(producer, groupId), cancellation));

    public Task<TransactionDescription?> DescribeAsync(string transactionalId, CancellationToken cancellation) =>
        OnAsync(transactionalId, host => Task.FromResult(host.Describe()), cancellation);

    public Task<IReadOnlyList<TransactionListing>> ListAsync(string? after, int count, CancellationToken cancellation) =>
        Failure is null ? Store.ListAsync(after, count) : Task.FromException<IReadOnlyList<TransactionListing>>(Failure);

    /// <summary>Has a transactional id do what is due.</summary>
    public Task WakeAsync(string id) => OnAsync(id, async host =>
    {
        await host.TickAsync();
        return true;
    }, CancellationToken.None);

    /// <summary>What is in memory is gone, as by a crash; markers that wait to be tried again aren't.</summary>
    public async Task CrashAsync()
    {
        await EndHostsAsync(_ => true);
        Context.Dispose();
        Context = NewContext();
    }

    /// <summary>Hosts end with it, or their timers would tick on; one that never got to its end of loading has none.</summary>
    public void Dispose()
    {
        EndHostsAsync(host => host.IsCompletedSuccessfully).GetAwaiter().GetResult();
        Context.Dispose();
    }

    async ValueTask<ErrorCode> ITransactionParticipants.EndAsync(
        TransactionMarker marker, TransactionPartition partition, CancellationToken cancellation)
    {
        Note(marker, $"{partition.Topic}-{partition.Index}");
        return Answer is not null ? Answer()
            : _participants is null ? ErrorCode.None : await _participants().EndAsync(marker, partition, cancellation);
    }

    async ValueTask<ErrorCode> ITransactionParticipants.EndAsync(TransactionMarker marker, string groupId, CancellationToken cancellation)
    {
        Note(marker, groupId);
        return Answer is not null ? Answer()
            : _participants is null ? ErrorCode.None : await _participants().EndAsync(marker, groupId, cancellation);
    }

    private void Note(TransactionMarker marker, string where)
    {
        lock (Marked)
        {
            Marked.Add((marker, where));
        }
    }

    private Task EndHostsAsync(Func<Task<TransactionHost>, bool> which) => Task.Factory.StartNew(
        async () =>
        {
            foreach (Task<TransactionHost> host in _hosts.Values.Where(which))
            {
                (await host).Dispose();
            }
            _hosts.Clear();
        },
        CancellationToken.None, TaskCreationOptions.DenyChildAttach, _schedulers.ExclusiveScheduler).Unwrap();

    private TransactionContext NewContext() => new(
        _options, Store, this, _ => new ValueTask<long>(Interlocked.Increment(ref _lastProducerId)), _time, Logger);

    private Task<T> OnAsync<T>(string id, Func<TransactionHost, Task<T>> ask, CancellationToken cancellation) => Task.Factory.StartNew(
        async () =>
        {
            if (Failure is not null)
            {
                throw Failure;
            }
            if (!_hosts.TryGetValue(id, out Task<TransactionHost>? host))
            {
                host = LoadAsync(id);
                _hosts.Add(id, host);
            }
            return await ask(await host);
        },
        CancellationToken.None, TaskCreationOptions.DenyChildAttach, _schedulers.ExclusiveScheduler).Unwrap().WaitAsync(cancellation);

    private async Task<TransactionHost> LoadAsync(string id)
    {
        var host = new TransactionHost(id, Context, () => _hosts.Remove(id));
        await host.LoadAsync();
        return host;
    }
}
