using Tributary.Broker.Transactions;
using Tributary.Log;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Transactions;

/// <summary>What stands in a target: a record of a transaction, or the marker that ends one.</summary>
/// <param name="Producer">Who wrote it.</param>
/// <param name="Tag">Number of the transaction in the simulation, −1 for a marker.</param>
/// <param name="Ends">Null for a record.</param>
internal readonly record struct SimulatedEntry(ProducerIdentity Producer, int Tag, TransactionMarker? Ends);

/// <summary>
/// Where transactions write: a partition, or the pending offsets of a group. It keeps to the rules of partitions: older epochs are refused, a
/// producer's records come in sequence and once, a transaction begins only after its coordinator was asked, with no marker in between.
/// </summary>
internal sealed class SimulatedTarget(int number, bool isGroup, PlantedBug bug)
{
    private readonly Dictionary<long, Producer> _producers = [];
    private long _lastVerification;

    public List<SimulatedEntry> Entries { get; } = [];

    public int Number => number;

    public bool IsGroup => isGroup;

    public string Group => $"group-{number}";

    public TransactionPartition Partition { get; } = new("topic", new Guid(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), number);

    /// <summary>Whether every transaction has ended here: the last stable offset is the end.</summary>
    public bool IsStable => _producers.Values.All(producer => !producer.IsOpen);

    /// <summary>Begins to ask the coordinator; 0 if there is no need.</summary>
    public long BeginVerification(long producerId)
    {
        Producer producer = Of(producerId);
        return producer.IsOpen || bug == PlantedBug.VerifiesNothing ? 0 : producer.Verification = ++_lastVerification;
    }

    public ErrorCode Append(ProducerIdentity by, int sequence, int tag, long verification)
    {
        Producer producer = Of(by.ProducerId);
        if (by.Epoch < producer.Epoch)
        {
            return ErrorCode.InvalidProducerEpoch;
        }
        int last = by.Epoch > producer.Epoch ? -1 : producer.LastSequence;
        if (sequence <= last)
        {
            return ErrorCode.None; // a duplicate
        }
        if (sequence != last + 1)
        {
            return ErrorCode.OutOfOrderSequenceNumber;
        }
        if (!producer.IsOpen && bug != PlantedBug.VerifiesNothing && (verification == 0 || verification != producer.Verification))
        {
            return ErrorCode.InvalidTxnState;
        }
        (producer.Epoch, producer.LastSequence, producer.IsOpen, producer.Verification) = (by.Epoch, sequence, true, 0);
        Entries.Add(new SimulatedEntry(by, tag, null));
        return ErrorCode.None;
    }

    public ErrorCode End(TransactionMarker marker)
    {
        Producer producer = Of(marker.ProducerId);
        if (bug != PlantedBug.TakesLateMarkers)
        {
            if (marker.ProducerEpoch < producer.Epoch || marker.CoordinatorEpoch < producer.LastNumber)
            {
                return ErrorCode.TransactionCoordinatorFenced;
            }
            if (marker.CoordinatorEpoch == producer.LastNumber)
            {
                return ErrorCode.None; // a repetition
            }
        }
        producer.LastSequence = marker.ProducerEpoch > producer.Epoch ? -1 : producer.LastSequence;
        (producer.Epoch, producer.IsOpen, producer.LastNumber, producer.Verification) = (marker.ProducerEpoch, false, marker.CoordinatorEpoch, 0);
        Entries.Add(new SimulatedEntry(new(marker.ProducerId, marker.ProducerEpoch), -1, marker));
        return ErrorCode.None;
    }

    private Producer Of(long id)
    {
        if (!_producers.TryGetValue(id, out Producer? producer))
        {
            _producers.Add(id, producer = new Producer());
        }
        return producer;
    }

    private sealed class Producer
    {
        public short Epoch { get; set; } = -1;

        public int LastSequence { get; set; } = -1;

        public bool IsOpen { get; set; }

        public int LastNumber { get; set; } = -1;

        public long Verification { get; set; }
    }
}
