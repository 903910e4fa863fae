using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Broker.Transactions;
using Tributary.Log;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Transactions;

/// <summary>A process with hosts of transactional ids, which are loaded when they are asked for. It dies without a word.</summary>
internal sealed class SimulatedSilo : ITransactionParticipants
{
    private readonly TransactionSimulation _world;
    private readonly SimulatedTurns _turns;
    private readonly Dictionary<string, Task<TransactionHost>> _hosts = new(StringComparer.Ordinal);
    private readonly TransactionContext _context;
    private readonly ITransactionStore _store;

    public SimulatedSilo(TransactionSimulation world, SimulatedTransactionStore.Disk disk)
    {
        _world = world;
        _turns = new SimulatedTurns(world.Clock);
        _store = new SimulatedTransactionStore(world, disk, this);
        _context = new TransactionContext(
            TransactionSimulation.Options, _store, this, async _ =>
            {
                await world.Clock.DelayAsync(1);
                return world.NextProducerId++;
            },
            world.Clock, NullLogger.Instance)
        {
            Machine = new BuggyMachine(TransactionSimulation.Options, world.Bug),
            Metrics = Uncounted,
        };
        _ = _turns.StartAsync(UpkeepAsync);
    }

    /// <summary>One for all: thousands of meters would be found by everybody who listens in this process.</summary>
    private static readonly TransactionMetrics Uncounted = new();

    public bool IsDead => _turns.IsDead;

    /// <summary>Asks the host of a transactional id; no answer ever comes if the silo dies.</summary>
    public Task<T> AskAsync<T>(string id, Func<TransactionHost, Task<T>> ask) => _turns.StartAsync(async () => await ask(await HostAsync(id)));

    /// <summary>Dies if the schedule says so.</summary>
    public void MayCrash()
    {
        if (!IsDead && _world.Happens(_world.CrashRate))
        {
            Crash();
        }
    }

    public void Crash()
    {
        _turns.Die();
        _context.Dispose();
        _world.Crashed(this);
    }

    public ValueTask<ErrorCode> EndAsync(TransactionMarker marker, TransactionPartition partition, CancellationToken cancellation) =>
        new(MarkAsync(marker, _world.Targets[partition.Index]));

    public ValueTask<ErrorCode> EndAsync(TransactionMarker marker, string groupId, CancellationToken cancellation) =>
        new(MarkAsync(marker, _world.Targets.Single(target => target.IsGroup && target.Group == groupId)));

    /// <summary>A marker on its way: it may get lost, come late, come and its answer get lost. It arrives also if the silo dies.</summary>
    private async Task<ErrorCode> MarkAsync(TransactionMarker marker, SimulatedTarget target)
    {
        MayCrash();
        var done = new TaskCompletionSource<ErrorCode>();
        _world.Clock.After(_world.Random.Next(1, 20), () => Mark(marker, target, done));
        return await done.Task;
    }

    private void Mark(TransactionMarker marker, SimulatedTarget target, TaskCompletionSource<ErrorCode> done)
    {
        if (_world.Happens(_world.LossRate))
        {
            if (_world.Happens(0.5))
            {
                _world.Clock.After(_world.Random.Next(1, 5000), () => target.End(marker));
            }
            done.SetResult(_world.Bug == PlantedBug.GivesUpOnMarkers ? ErrorCode.None : ErrorCode.NotLeaderOrFollower);
            return;
        }
        ErrorCode error = target.End(marker);
        _world.Tell($"{marker} in {target.Number}: {error}");
        _world.Markers++;
        MayCrash();
        if (_world.Happens(_world.LossRate))
        {
            done.SetException(new IOException("the simulation loses an answer"));
            return;
        }
        _world.Clock.After(_world.Random.Next(1, 5), () => done.SetResult(error));
    }

    private Task<TransactionHost> HostAsync(string id)
    {
        if (!_hosts.TryGetValue(id, out Task<TransactionHost>? host))
        {
            _hosts.Add(id, host = LoadAsync(id));
        }
        return host;
    }

    private async Task<TransactionHost> LoadAsync(string id)
    {
        var host = new TransactionHost(id, _context, () => _hosts.Remove(id));
        await host.LoadAsync();
        return host;
    }

    private async Task<bool> UpkeepAsync()
    {
        while (true)
        {
            TimeSpan interval = TransactionSimulation.Options.UpkeepInterval;
            long until = (_world.Clock.GetUtcNow() + interval).ToUnixTimeMilliseconds();
            foreach (string id in await _store.ListDueAsync(until, null, int.MaxValue))
            {
                try
                {
                    await (await HostAsync(id)).TickAsync();
                }
                catch (Exception e) when (e is InvalidOperationException or OperationCanceledException or IOException or TransactionConflictException)
                {
                    // It is looked after the next time.
                }
            }
            await Task.Delay(interval, _world.Clock);
        }
    }
}
