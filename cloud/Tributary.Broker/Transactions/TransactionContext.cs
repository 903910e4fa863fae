using Microsoft.Extensions.Logging;
using Tributary.Contracts.Limits;

namespace Tributary.Broker.Transactions;

/// <summary>What hosts of transactional ids share in a process.</summary>
/// <param name="Options">Limits and times; validated.</param>
/// <param name="Store">Where transactional ids are kept.</param>
/// <param name="Participants">Where transactions end.</param>
/// <param name="NextProducerId">Gives a producer id that nobody has had.</param>
/// <param name="Time">All time.</param>
/// <param name="Logger">Where hosts log.</param>
public sealed record TransactionContext(
    TransactionOptions Options, ITransactionStore Store, ITransactionParticipants Participants,
    Func<CancellationToken, ValueTask<long>> NextProducerId, TimeProvider Time, ILogger Logger) : IDisposable
{
    /// <summary>What is counted.</summary>
    public TransactionMetrics Metrics
    {
        get => field ??= new TransactionMetrics();
        init;
    }

    /// <summary>Who decides.</summary>
    internal TransactionMachine Machine { get; init; } = new(Options);

    /// <summary>Bounds what is logged of refusals.</summary>
    internal LineLimit<TransactionRefusal> Lines { get; } = new(Time);

    /// <inheritdoc/>
    public void Dispose() => Metrics.Dispose();

    /// <summary>Counts what is refused for a limit, and says so in the log now and then.</summary>
    internal void Refuse(TransactionRefusal reason, string sentence)
    {
        Metrics.Refuse(reason);
        if (Lines.TryPass(reason, out string note))
        {
            Logger.TransactionRefused(sentence + note);
        }
    }
}
