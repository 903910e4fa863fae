using System.Globalization;
using System.Text;
using Tributary.Broker.Transactions;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Transactions;

/// <summary>
/// Transactions on simulated time, storage and network, from a seed: producers with different and the same transactional ids, silos that
/// crash before and after each write and each marker, and that work for one transactional id at the same time; requests, answers and markers
/// that get lost or come late. In the end everything is well, and then it is checked that each transaction has ended, everywhere in the same
/// way, as its producer was told.
/// </summary>
internal sealed class TransactionSimulation
{
    public static readonly TransactionOptions Options = new() { UpkeepInterval = TimeSpan.FromSeconds(2), CompletionWait = TimeSpan.FromMilliseconds(100) };
    private const int Ids = 2;
    private const int Producers = 4;
    private const long StormMs = 40_000;
    private const long CalmMs = 60_000;
    private const int PatienceMs = 300;
    private readonly SimulatedTransactionStore.Disk _disk = new();
    private readonly SimulatedTurns _clients;
    private readonly SimulatedSilo?[] _silos = new SimulatedSilo?[2];
    private readonly SimulatedTurns _targets;
    private readonly Dictionary<ProducerIdentity, SimulatedProducer> _given = [];
    private readonly List<SimulatedTransaction> _transactions = [];
    private readonly double _otherSiloRate;
    private string? _fault;
    private int _running;

    public TransactionSimulation(int seed, PlantedBug bug = PlantedBug.None)
    {
        Random = new Random(seed);
        Bug = bug;
        CrashRate = Pick(0, 0.005, 0.02, 0.05);
        LossRate = Pick(0, 0.02, 0.1, 0.3);
        FailureRate = Pick(0, 0, 0.02, 0.05);
        _otherSiloRate = Pick(0, 0, 0.05, 0.3);
        Targets = [.. Enumerable.Range(0, 4).Select(number => new SimulatedTarget(number, number == 3, bug))];
        _clients = new SimulatedTurns(Clock);
        _targets = new SimulatedTurns(Clock);
    }

    public Random Random { get; }

    public PlantedBug Bug { get; }

    public SimulatedClock Clock { get; } = new();

    public SimulatedTarget[] Targets { get; }

    /// <summary>How likely a silo dies at each step.</summary>
    public double CrashRate { get; private set; }

    /// <summary>How likely what is sent gets lost, or comes late.</summary>
    public double LossRate { get; private set; }

    /// <summary>How likely a write fails, made or not.</summary>
    public double FailureRate { get; private set; }

    public long NextProducerId { get; set; } = 1;

    /// <summary>What happened, if that is wanted.</summary>
    public StringBuilder? Story { get; init; }

    public int Crashes { get; private set; }

    public int Markers { get; set; }

    public int Committed => _transactions.Count(transaction => transaction.End == KnownEnd.Committed);

    public int Count => _transactions.Count;

    /// <summary>Plays it.</summary>
    /// <returns>What went wrong, null if nothing did.</returns>
    public string? Run()
    {
        for (int n = 0; n < _silos.Length; n++)
        {
            _silos[n] = new SimulatedSilo(this, _disk);
        }
        for (int n = 0; n < Producers; n++)
        {
            var producer = new SimulatedProducer(this, $"id-{n % Ids}");
            _running++;
            _clients.StartAsync(producer.RunAsync).ContinueWith(
                ended =>
                {
                    _running--;
                    _fault ??= ended.Exception?.GetBaseException().ToString();
                },
                CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, _clients);
        }
        Clock.RunUntil(StormMs, () => _fault is not null || _running == 0);
        _clients.Die();
        (CrashRate, LossRate, FailureRate) = (0, 0, 0);
        Clock.RunUntil(Clock.Now + CalmMs, () => _fault is not null);
        return _fault ?? FindFault();
    }

    public void Tell(string what) => Story?.AppendLine(CultureInfo.InvariantCulture, $"{Clock.Now,6} {what}");

    public bool Happens(double rate) => rate > 0 && Random.NextDouble() < rate;

    public void Require(bool holds, string what)
    {
        if (!holds)
        {
            _fault ??= what;
        }
    }

    public SimulatedTransaction NewTransaction()
    {
        var transaction = new SimulatedTransaction(_transactions.Count);
        _transactions.Add(transaction);
        return transaction;
    }

    /// <summary>A producer id and epoch belong to one process.</summary>
    public void Give(ProducerIdentity producer, SimulatedProducer to) =>
        Require(_given.TryAdd(producer, to) || _given[producer] == to, $"{producer} was given to two");

    public void Crashed(SimulatedSilo silo)
    {
        Crashes++;
        Tell("a silo dies");
        int n = Array.IndexOf(_silos, silo);
        _silos[n] = null;
        Clock.After(Random.Next(10, 3000), () => _silos[n] = new SimulatedSilo(this, _disk));
    }

    /// <summary>The silo that works for transactional ids, or sometimes another one, which does too.</summary>
    public SimulatedSilo? PickSilo() => _silos[Happens(_otherSiloRate) ? 1 : 0];

    public Task<ErrorCode> EndAsync(TransactionHost host, ProducerIdentity producer, bool commit)
    {
        Task<ErrorCode> ending = host.EndAsync(producer, commit);
        return Bug == PlantedBug.AnswersBeforeStored ? Task.FromResult(ErrorCode.None) : ending;
    }

    /// <summary>What a partition does with records, or a group with offsets.</summary>
    public Task<ErrorCode> AppendAsync(string id, SimulatedTarget target, ProducerIdentity by, int sequence, int tag) =>
        _targets.StartAsync(() => VerifyAndAppendAsync(id, target, by, sequence, tag));

    private async Task<ErrorCode> VerifyAndAppendAsync(string id, SimulatedTarget target, ProducerIdentity by, int sequence, int tag)
    {
        long verification = target.BeginVerification(by.ProducerId);
        if (verification != 0)
        {
            ErrorCode? verified = await SendAsync(
                () => PickSilo()?.AskAsync(id, async host => target.IsGroup
                    ? (await host.VerifyGroupAsync(by, target.Group)).Error
                    : await host.VerifyAsync(by, target.Partition)),
                () => true);
            if (verified != ErrorCode.None)
            {
                return verified ?? ErrorCode.NotEnoughReplicas;
            }
        }
        await Clock.DelayAsync(Random.Next(1, 5));
        return target.Append(by, sequence, tag, verification);
    }

    /// <summary>
    /// Sends a request, which may get lost, come late, come twice, or be without an answer.
    /// </summary>
    /// <param name="serve">Serves it; null if nobody is there.</param>
    /// <param name="isWanted">Whether it may still come.</param>
    /// <returns>Null if there is no answer in time.</returns>
    public Task<T?> SendAsync<T>(Func<Task<T>?> serve, Func<bool> isWanted)
        where T : struct
    {
        var answer = new TaskCompletionSource<T?>();
        void Deliver()
        {
            if (isWanted() && serve() is { } serving)
            {
                serving.ContinueWith(
                    served =>
                    {
                        if (served.IsCompletedSuccessfully && !Happens(LossRate))
                        {
                            Clock.After(Random.Next(1, 5), () => answer.TrySetResult(served.Result));
                        }
                    },
                    CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, _targets);
            }
        }

        if (!Happens(LossRate))
        {
            Clock.After(Random.Next(1, 10), Deliver);
        }
        if (Happens(LossRate))
        {
            Clock.After(Random.Next(10, 8000), Deliver);
        }
        Clock.After(PatienceMs, () => answer.TrySetResult(null));
        return answer.Task;
    }

    private double Pick(params double[] rates) => rates[Random.Next(rates.Length)];

    private string? FindFault()
    {
        if (_disk.Records.FirstOrDefault(one => one.Value.Record.DueMs is not null) is { Key: not null } open)
        {
            return $"{open.Key} has not ended: {open.Value.Record.State}";
        }
        if (Array.Find(Targets, target => !target.IsStable) is { } unstable)
        {
            return $"a transaction stays open in target {unstable.Number}";
        }
        Dictionary<(int Tag, int Target), (int Committed, int Aborted)> fates = [];
        foreach (SimulatedTarget target in Targets)
        {
            if (FindFates(target, fates) is { } fault)
            {
                return fault;
            }
        }
        return _transactions.Select(transaction => FindFault(transaction, fates)).FirstOrDefault(fault => fault is not null);
    }

    private static string? FindFates(SimulatedTarget target, Dictionary<(int Tag, int Target), (int Committed, int Aborted)> fates)
    {
        var open = new Dictionary<long, List<int>>();
        var epochs = new Dictionary<long, short>();
        foreach ((ProducerIdentity by, int tag, Tributary.Log.TransactionMarker? ends) in target.Entries)
        {
            if (by.Epoch < epochs.GetValueOrDefault(by.ProducerId, (short)-1))
            {
                return $"target {target.Number} took something of {by}, whose epoch was over";
            }
            epochs[by.ProducerId] = by.Epoch;
            List<int> tags = open.TryGetValue(by.ProducerId, out List<int>? found) ? found : open[by.ProducerId] = [];
            if (ends is not { } marker)
            {
                tags.Add(tag);
                continue;
            }
            foreach (int ended in tags)
            {
                (int committed, int aborted) = fates.GetValueOrDefault((ended, target.Number));
                fates[(ended, target.Number)] = marker.IsCommit ? (committed + 1, aborted) : (committed, aborted + 1);
            }
            tags.Clear();
        }
        return null;
    }

    private static string? FindFault(
        SimulatedTransaction transaction, Dictionary<(int Tag, int Target), (int Committed, int Aborted)> fates)
    {
        (int Target, int Committed, int Aborted)[] all =
            [.. fates.Where(one => one.Key.Tag == transaction.Tag).Select(one => (one.Key.Target, one.Value.Committed, one.Value.Aborted))];
        bool anyCommitted = all.Any(one => one.Committed > 0);
        if (anyCommitted && all.Any(one => one.Aborted > 0))
        {
            return $"transaction {transaction.Tag} was committed in part: {string.Join(", ", all)}";
        }
        if (anyCommitted && transaction.End == KnownEnd.Aborted)
        {
            return $"transaction {transaction.Tag} was aborted, and is committed";
        }
        bool mustBeThere = anyCommitted || transaction.End == KnownEnd.Committed;
        (int target, int records) = mustBeThere
            ? transaction.Acknowledged.FirstOrDefault(one => all.FirstOrDefault(fate => fate.Target == one.Key).Committed < one.Value)
            : default;
        return records > 0 ? $"transaction {transaction.Tag} was committed, and {records} records in target {target} are not all" : null;
    }
}
