using Tributary.Broker.Transactions;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Transactions;

/// <summary>How a transaction ended, as its producer knows it.</summary>
internal enum KnownEnd
{
    Unknown,
    Committed,
    Aborted,
}

/// <summary>A transaction as its producer remembers it.</summary>
internal sealed class SimulatedTransaction(int tag)
{
    public int Tag => tag;

    /// <summary>Records that were acknowledged, by target.</summary>
    public Dictionary<int, int> Acknowledged { get; } = [];

    public KnownEnd End { get; set; }
}

/// <summary>
/// A process that writes transactions under a transactional id, as clients do: it asks again when there is no answer, gives up when it is
/// fenced, and asks for another epoch after an abort when it doesn't know what became of its records. It may stall for long, and die.
/// </summary>
internal sealed class SimulatedProducer(TransactionSimulation world, string id)
{
    private const int Tries = 12;
    private readonly int _timeoutMs = world.Random.Next(2, 10) * 1000;
    private readonly Dictionary<int, int> _sequences = [];
    private ProducerIdentity? _identity;
    private bool _needsEpoch = true;
    private bool _isOver;
    private long _operation;

    public async Task<bool> RunAsync()
    {
        await world.Clock.DelayAsync(world.Random.Next(0, 8000));
        for (int n = world.Random.Next(1, 6); n > 0 && !_isOver; n--)
        {
            if (_needsEpoch)
            {
                await InitializeAsync();
            }
            if (!_isOver)
            {
                await WriteAsync(world.NewTransaction());
            }
        }
        return true;
    }

    private async Task InitializeAsync()
    {
        ProducerIdentity? current = _identity;
        for (int n = 0; n < Tries; n++)
        {
            InitializedProducer? given = await AskAsync(
                $"go on from {current}", host => host.InitializeAsync(_timeoutMs, current), mayComeLate: true);
            if (given is { Error: ErrorCode.None, Producer: var producer })
            {
                world.Give(producer, this);
                (_identity, _needsEpoch) = (producer, false);
                _sequences.Clear();
                return;
            }
            if (given is { Error: not ErrorCode.ConcurrentTransactions })
            {
                world.Require(given.Value.Error == ErrorCode.ProducerFenced, $"{id} can't be initialized: {given.Value.Error}");
                break;
            }
            await world.Clock.DelayAsync(world.Random.Next(20, 200));
        }
        _isOver = true;
    }

    private async Task WriteAsync(SimulatedTransaction transaction)
    {
        bool isWell = true;
        for (int rounds = world.Random.Next(1, 3); rounds > 0 && isWell && !_isOver; rounds--)
        {
            SimulatedTarget[] targets = [.. world.Targets.Where(_ => world.Random.Next(2) == 0)];
            targets = targets.Length > 0 ? targets : [world.Targets[0]];
            isWell = await AddAsync(targets);
            foreach (SimulatedTarget target in targets)
            {
                isWell = isWell && !_isOver && await ProduceAsync(target, transaction);
            }
        }
        switch (world.Random.Next(20))
        {
            case 0:
                await world.Clock.DelayAsync(_timeoutMs * 2); // it stalls, and then goes on as if nothing were
                break;
            case 1:
                _isOver = true; // it dies
                break;
        }
        if (isWell && !_isOver && world.Random.Next(3) == 0)
        {
            isWell = await AddAsync([world.Targets[0]]) && !_isOver && await ProduceAsync(world.Targets[0], transaction);
        }
        if (!_isOver)
        {
            await EndAsync(transaction, isWell && world.Random.Next(4) > 0);
            _needsEpoch = !isWell;
        }
    }

    private async Task<bool> AddAsync(SimulatedTarget[] targets)
    {
        foreach (SimulatedTarget group in targets.Where(target => target.IsGroup))
        {
            if (!await TryAddAsync(host => host.AddGroupAsync(_identity!.Value, group.Group)))
            {
                return false;
            }
        }
        TransactionPartition[] partitions = [.. targets.Where(target => !target.IsGroup).Select(target => target.Partition)];
        return partitions.Length == 0 || await TryAddAsync(host => host.AddPartitionsAsync(_identity!.Value, partitions));
    }

    private async Task<bool> TryAddAsync(Func<TransactionHost, Task<ErrorCode>> add)
    {
        for (int n = 0; n < Tries; n++)
        {
            ErrorCode? error = await AskAsync("add", add, mayComeLate: true);
            if (error == ErrorCode.None)
            {
                return true;
            }
            if (error is not (null or ErrorCode.ConcurrentTransactions))
            {
                world.Require(
                    error is ErrorCode.ProducerFenced or ErrorCode.InvalidProducerIdMapping, $"{id} can't add to its transaction: {error}");
                _isOver = true;
                return false;
            }
            await world.Clock.DelayAsync(world.Random.Next(20, 100));
        }
        return false;
    }

    private async Task<bool> ProduceAsync(SimulatedTarget target, SimulatedTransaction transaction)
    {
        int sequence = _sequences.GetValueOrDefault(target.Number);
        ProducerIdentity by = _identity!.Value;
        for (int n = 0; n < 4; n++)
        {
            ErrorCode? error = await world.SendAsync(() => world.AppendAsync(id, target, by, sequence, transaction.Tag), () => true);
            world.Tell($"{id} as {by} writes {sequence} to {target.Number}: {error?.ToString() ?? "no answer"}");
            if (error == ErrorCode.None)
            {
                _sequences[target.Number] = sequence + 1;
                transaction.Acknowledged[target.Number] = transaction.Acknowledged.GetValueOrDefault(target.Number) + 1;
                return true;
            }
            if (error is ErrorCode.InvalidProducerEpoch or ErrorCode.ProducerFenced or ErrorCode.InvalidProducerIdMapping)
            {
                _isOver = true;
                return false;
            }
            if (error is not (null or ErrorCode.NotEnoughReplicas))
            {
                return false;
            }
        }
        return false;
    }

    private async Task EndAsync(SimulatedTransaction transaction, bool commit)
    {
        for (int n = 0; n < Tries; n++)
        {
            // An end that comes late is the end of the next transaction, for all that this protocol tells: a connection must not let it.
            ErrorCode? error = await AskAsync(commit ? "commit" : "abort", host => world.EndAsync(host, _identity!.Value, commit), mayComeLate: false);
            if (error == ErrorCode.None)
            {
                transaction.End = commit ? KnownEnd.Committed : KnownEnd.Aborted;
                return;
            }
            if (error is not null)
            {
                world.Require(
                    error is ErrorCode.ProducerFenced or ErrorCode.InvalidProducerIdMapping || (!commit && error == ErrorCode.InvalidTxnState),
                    $"{id} can't end its transaction: {error}");
                _isOver = error != ErrorCode.InvalidTxnState; // nothing had been added
                return;
            }
            await world.Clock.DelayAsync(world.Random.Next(20, 200));
        }
        _isOver = true;
    }

    /// <returns>Null if there is no answer.</returns>
    private async Task<T?> AskAsync<T>(string what, Func<TransactionHost, Task<T>> ask, bool mayComeLate)
        where T : struct
    {
        long operation = ++_operation;
        T? answer = await world.SendAsync(() => world.PickSilo()?.AskAsync(id, ask), () => mayComeLate || operation == _operation);
        world.Tell($"{id} as {_identity} asks to {what}: {answer?.ToString() ?? "no answer"}");
        return answer;
    }
}
