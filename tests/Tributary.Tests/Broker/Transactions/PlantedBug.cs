using Tributary.Broker.Transactions;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Transactions;

/// <summary>Bugs that the simulation must find.</summary>
internal enum PlantedBug
{
    None,

    /// <summary>Markers go out for a decision that isn't stored yet.</summary>
    ActsBeforeStored,

    /// <summary>A commit is answered before its decision is stored.</summary>
    AnswersBeforeStored,

    /// <summary>A transaction that is aborted by its timeout leaves its producer as it was.</summary>
    TimesOutWithoutFencing,

    /// <summary>A partition takes a marker that comes late for one of the transaction that is open now.</summary>
    TakesLateMarkers,

    /// <summary>A partition takes records without asking whether it belongs to the transaction.</summary>
    VerifiesNothing,

    /// <summary>A producer of an earlier epoch may end the transaction of a later one.</summary>
    LetsFormerEpochsEnd,

    /// <summary>A new producer's epoch is handed out without an end to what the former one had begun.</summary>
    ForgetsWhatWasBegun,

    /// <summary>Whoever writes last decides.</summary>
    ComparesNoVersions,

    /// <summary>What needs no write is answered without a look whether somebody else has written.</summary>
    TrustsItsMemory,

    /// <summary>A marker that could not be written is taken for written.</summary>
    GivesUpOnMarkers,

    /// <summary>After a crash a decided transaction is aborted.</summary>
    AbortsWhatItLoads,

    /// <summary>A transaction's markers are numbered as those of the one before.</summary>
    NumbersNothing,
}

/// <summary>Decides with a bug.</summary>
internal sealed class BuggyMachine(TransactionOptions options, PlantedBug bug) : TransactionMachine(options)
{
    public override TransactionStep Initialize(
        TransactionRecord? record, int timeoutMs, ProducerIdentity? current, long? newProducerId, long now) =>
        bug == PlantedBug.ForgetsWhatWasBegun && record is { State: TransactionState.Ongoing }
            ? base.Initialize(Complete(record, now), timeoutMs, current, newProducerId, now)
            : base.Initialize(record, timeoutMs, current, newProducerId, now);

    public override TransactionStep End(TransactionRecord? record, ProducerIdentity producer, bool commit, long now)
    {
        bool isFormer = record is not null && producer.ProducerId == record.ProducerId && producer.Epoch < record.Epoch;
        TransactionStep step = base.End(
            record, bug == PlantedBug.LetsFormerEpochsEnd && isFormer ? record!.Producer : producer, commit, now);
        return bug == PlantedBug.NumbersNothing && step.Next is { } next && next.Number > 1 ? step with { Next = next with { Number = 1 } } : step;
    }

    public override TransactionRecord? TimeOut(TransactionRecord? record, long now) =>
        bug == PlantedBug.TimesOutWithoutFencing && base.TimeOut(record, now) is { } next
            ? next with { Epoch = record!.Epoch }
            : base.TimeOut(record, now);
}
