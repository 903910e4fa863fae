using System.Diagnostics.Metrics;

namespace Tributary.Broker.Transactions;

/// <summary>How transactions end.</summary>
public enum TransactionOutcome
{
    /// <summary>Their producer has committed them.</summary>
    Committed,

    /// <summary>Their producer has aborted them.</summary>
    Aborted,

    /// <summary>They were open for longer than their timeout.</summary>
    TimedOut,

    /// <summary>Another producer has come with their transactional id.</summary>
    Fenced,
}

/// <summary>Why something is refused that a producer asks for: each is a limit of <see cref="TransactionOptions"/>.</summary>
public enum TransactionRefusal
{
    /// <summary><see cref="TransactionOptions.MaxIds"/>.</summary>
    TooManyIds,

    /// <summary><see cref="TransactionOptions.MaxPartitions"/>.</summary>
    TooManyPartitions,

    /// <summary><see cref="TransactionOptions.MaxGroups"/>.</summary>
    TooManyGroups,

    /// <summary><see cref="TransactionOptions.MaxTimeout"/>.</summary>
    TimeoutTooLong,

    /// <summary>More requests wait for one transactional id than <see cref="TransactionHost.MaxWaiting"/>.</summary>
    TooManyRequests,
}

/// <summary>
/// What is counted of transactions, as instruments of the meter <c>Tributary.Broker</c> and as numbers to read. Callable from any thread.
/// </summary>
public sealed class TransactionMetrics : IDisposable
{
    private readonly Meter _meter = new(BrokerMetrics.MeterName);
    private readonly Counter<long> _outcomeCounter;
    private readonly Counter<long> _refusalCounter;
    private readonly Counter<long> _markerFailureCounter;
    private readonly Counter<long> _expiredCounter;
    private readonly Histogram<double> _completionDurations;
    private readonly long[] _outcomes = new long[Enum.GetValues<TransactionOutcome>().Length];
    private readonly long[] _refused = new long[Enum.GetValues<TransactionRefusal>().Length];
    private long _markerFailures;
    private long _expired;
    private long _ending;

    internal TransactionMetrics()
    {
        _meter.CreateObservableGauge(
            "tributary.broker.transactions_ending", () => Ending, "{transaction}", "Transactions that are decided and whose markers are being written.");
        _outcomeCounter = _meter.CreateCounter<long>(
            "tributary.broker.transactions_decided", "{transaction}", "Transactions that were decided, by outcome.");
        _completionDurations = _meter.CreateHistogram<double>(
            "tributary.broker.transaction_completion_duration", "s", "Time from the decision on a transaction to its being known everywhere.");
        _markerFailureCounter = _meter.CreateCounter<long>(
            "tributary.broker.transaction_marker_failures", "{marker}", "Markers that could not be written and were tried again.");
        _refusalCounter = _meter.CreateCounter<long>(
            "tributary.broker.transaction_refusals", "{refusal}", "What was refused to transactional producers since it is beyond a limit, by reason.");
        _expiredCounter = _meter.CreateCounter<long>(
            "tributary.broker.transactional_ids_expired", "{id}", "Transactional ids that were forgotten.");
    }

    /// <summary>Transactions whose markers are being written.</summary>
    public long Ending => Interlocked.Read(ref _ending);

    /// <summary>Markers that could not be written at once.</summary>
    public long MarkerFailures => Interlocked.Read(ref _markerFailures);

    /// <summary>Transactional ids that were forgotten.</summary>
    public long ExpiredIds => Interlocked.Read(ref _expired);

    /// <summary>Transactions that were decided so.</summary>
    public long Decided(TransactionOutcome outcome) => Interlocked.Read(ref _outcomes[(int)outcome]);

    /// <summary>What was refused for this reason.</summary>
    public long Refused(TransactionRefusal reason) => Interlocked.Read(ref _refused[(int)reason]);

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    internal void Decide(TransactionOutcome outcome)
    {
        Interlocked.Increment(ref _outcomes[(int)outcome]);
        _outcomeCounter.Add(1, new KeyValuePair<string, object?>("outcome", outcome.ToString()));
    }

    internal void Refuse(TransactionRefusal reason)
    {
        Interlocked.Increment(ref _refused[(int)reason]);
        _refusalCounter.Add(1, new KeyValuePair<string, object?>("reason", reason.ToString()));
    }

    internal void EndingBegan() => Interlocked.Increment(ref _ending);

    internal void EndingEnded() => Interlocked.Decrement(ref _ending);

    internal void Completed(TimeSpan took) => _completionDurations.Record(took.TotalSeconds);

    internal void MarkerFailed()
    {
        Interlocked.Increment(ref _markerFailures);
        _markerFailureCounter.Add(1);
    }

    internal void Expired()
    {
        Interlocked.Increment(ref _expired);
        _expiredCounter.Add(1);
    }
}
