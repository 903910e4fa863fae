using Tributary.Broker.Transactions;

namespace Tributary.Tests.Broker.Transactions;

/// <summary>Durable records, as one silo sees them: each write takes time, may fail, and may have been made although it failed.</summary>
internal sealed class SimulatedTransactionStore(TransactionSimulation world, SimulatedTransactionStore.Disk disk, SimulatedSilo silo)
    : ITransactionStore
{
    private readonly Dictionary<string, long> _known = new(StringComparer.Ordinal);

    /// <summary>What survives everything.</summary>
    internal sealed class Disk
    {
        public Dictionary<string, StoredTransaction> Records { get; } = new(StringComparer.Ordinal);

        public long LastVersion { get; set; }
    }

    public async Task<StoredTransaction?> LoadAsync(string id)
    {
        await world.Clock.DelayAsync(world.Random.Next(1, 5));
        StoredTransaction? stored = disk.Records.GetValueOrDefault(id);
        _known[id] = stored?.Version ?? 0;
        return world.Bug == PlantedBug.AbortsWhatItLoads && stored?.Record.State == TransactionState.PrepareCommit
            ? stored with { Record = stored.Record with { State = TransactionState.PrepareAbort } }
            : stored;
    }

    public async Task<long> ReadVersionAsync(string id)
    {
        await world.Clock.DelayAsync(world.Random.Next(1, 5));
        return world.Bug == PlantedBug.TrustsItsMemory ? _known[id] : disk.Records.GetValueOrDefault(id)?.Version ?? 0;
    }

    public async Task<long> WriteAsync(string id, long version, TransactionRecord record)
    {
        if (world.Bug == PlantedBug.ActsBeforeStored && record.IsEnding)
        {
            return Promise(id, version, record);
        }
        silo.MayCrash();
        var done = new TaskCompletionSource<long>();
        world.Clock.After(world.Random.Next(1, 20), () => Write(id, version, record, done)); // also if the silo has died since
        return await done.Task;
    }

    public Task DeleteAsync(string id, long version) => throw new InvalidOperationException("nothing expires here");

    public Task<IReadOnlyList<TransactionListing>> ListAsync(string? after, int count) =>
        throw new InvalidOperationException("nobody lists here");

    public async Task<IReadOnlyList<string>> ListDueAsync(long until, string? after, int count)
    {
        await world.Clock.DelayAsync(1);
        return [.. disk.Records.Where(one => one.Value.Record.DueMs <= until).Select(one => one.Key).Order(StringComparer.Ordinal)];
    }

    public Task<IReadOnlyList<string>> ListIdleAsync(long since, string? after, int count) => Task.FromResult<IReadOnlyList<string>>([]);

    /// <summary>Writes later, if nothing comes in between.</summary>
    private long Promise(string id, long version, TransactionRecord record)
    {
        long next = ++disk.LastVersion;
        world.Clock.After(world.Random.Next(5, 60), () =>
        {
            if (!silo.IsDead && (disk.Records.GetValueOrDefault(id)?.Version ?? 0) == version)
            {
                Apply(id, version, next, record);
            }
        });
        return next;
    }

    private void Write(string id, long version, TransactionRecord record, TaskCompletionSource<long> done)
    {
        if (world.Happens(world.FailureRate))
        {
            done.SetException(new IOException("the simulation fails a write"));
            return;
        }
        try
        {
            long written = Apply(id, version, ++disk.LastVersion, record);
            _known[id] = written;
            silo.MayCrash();
            if (world.Happens(world.FailureRate))
            {
                done.SetException(new IOException("the simulation fails a write that was made"));
                return;
            }
            world.Clock.After(world.Random.Next(1, 5), () => done.SetResult(written));
        }
        catch (TransactionConflictException e)
        {
            done.SetException(e);
        }
    }

    private long Apply(string id, long version, long next, TransactionRecord record)
    {
        StoredTransaction? before = disk.Records.GetValueOrDefault(id);
        if ((before?.Version ?? 0) != version && world.Bug != PlantedBug.ComparesNoVersions)
        {
            throw new TransactionConflictException(id);
        }
        disk.Records[id] = new StoredTransaction(next, record);
        world.Tell($"{id} is {record.State} {record.Number} of {record.Producer}, last {record.LastProducerId}/{record.LastEpoch}, {record.PartitionCount} partitions");
        if (before?.Record is { } was && was.ProducerId == record.ProducerId)
        {
            world.Require(record.Epoch >= was.Epoch, $"the epoch of {id} goes back from {was.Epoch} to {record.Epoch}");
            world.Require(record.Number >= was.Number, $"the transactions of {id} are counted back from {was.Number} to {record.Number}");
        }
        return next;
    }
}
