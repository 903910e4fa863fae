using System.Globalization;
using System.Text;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Records;
using Tributary.Edge.Uplink;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>A record as the cloud has it.</summary>
internal sealed record CloudRecord(string Key, string Value, long Order)
{
    /// <summary>The number that its value begins with; -1 if there is none.</summary>
    public long Id { get; } = long.TryParse(Value.Split(' ')[0], NumberStyles.None, CultureInfo.InvariantCulture, out long id) ? id : -1;

    /// <summary>Unix milliseconds.</summary>
    public long Timestamp { get; init; }

    /// <summary>Number of its headers, and how they are encoded.</summary>
    public (int Count, byte[] Bytes) Headers { get; init; } = (0, []);
}

/// <summary>
/// A topic in memory that checks producers as Kafka does: the last five batches are remembered, a sequence must follow its predecessor,
/// a new epoch begins at 0, an unknown producer may begin anywhere. Batches are appended, and committed later; a failover loses what
/// was not committed. Positions are told from committed state, as Tributary does.
/// </summary>
internal sealed class SimulatedCloud
{
    private const int Remembered = 5;
    private long _order;
    private long _lastProducerId = 1000;

    public List<SimulatedPartition> Partitions { get; } = [];

    public string ClusterId { get; set; } = "cluster-a";

    public Guid TopicId { get; set; } = Guid.Parse("00000000-0000-0000-0000-000000000001");

    public int MaxBatchBytes { get; set; } = int.MaxValue;

    /// <summary>How often the leaders changed.</summary>
    public int Leaders { get; set; }

    /// <summary>Whether processes can claim producer ids, as at Tributary; not so at other clusters.</summary>
    public bool KnowsClaims { get; set; } = true;

    /// <summary>Whether it can say how far it has what a producer sent; not so at clusters without DescribeProducers.</summary>
    public bool TellsOfProducers { get; set; } = true;

    /// <summary>Partitions that metadata name at most: those of a node that lags behind.</summary>
    public int ToldPartitions { get; set; } = int.MaxValue;

    public long NewProducerId() => ++_lastProducerId;

    public void SetPartitions(int count)
    {
        while (Partitions.Count < count)
        {
            Partitions.Add(new SimulatedPartition(this));
        }
    }

    /// <summary>Deletes the topic and makes it again.</summary>
    public void Recreate()
    {
        TopicId = Guid.Parse("00000000-0000-0000-0000-000000000002");
        int count = Partitions.Count;
        Partitions.Clear();
        SetPartitions(count);
    }

    public CloudPosition[] Describe(long producerId, Guid incarnation, long start, int targets) =>
        [.. Enumerable.Range(0, targets).Select(target => Partitions[target].Describe(producerId, incarnation, start))];

    /// <summary>
    /// Whether what the partitions tell of the producer is all that they have taken from it. Tributary answers only then; others do not
    /// care.
    /// </summary>
    public bool IsCommitted(long producerId, int targets) =>
        !KnowsClaims || Partitions.Take(targets).All(partition => partition.IsCommitted(producerId));

    /// <summary>Whether committed records were lost: then a straggling batch may be taken behind the gap, and nobody can tell.</summary>
    public bool HasLost { get; private set; }

    /// <summary>Ids of all records that were ever committed.</summary>
    public HashSet<long> CommittedIds { get; } = [];

    public List<CloudRecord> Committed(int target) => Partitions[target].Committed;

    /// <summary>A batch with this word in a record's value is refused for good.</summary>
    public const string Poison = "poison";

    internal sealed class SimulatedPartition(SimulatedCloud cloud)
    {
        private readonly List<Stored> _batches = [];
        private readonly Dictionary<long, (Guid Incarnation, long Start)> _claims = [];

        public long AppendedEnd => _batches.Count == 0 ? 0 : _batches[^1].End;

        public long CommittedEnd { get; private set; }

        /// <summary>When this much is committed, somebody gets an answer.</summary>
        public List<(long End, Action Answer)> Waiting { get; } = [];

        public List<CloudRecord> Committed =>
            [.. _batches.Where(batch => batch.End <= CommittedEnd).SelectMany(batch => batch.Records)];

        public (ErrorCode Error, long BaseOffset, long End) Append(ReadOnlySpan<byte> bytes, Guid incarnation)
        {
            if (RecordBatch.TryRead(bytes, out RecordBatch batch) != BatchStatus.Ok || !batch.IsCrcValid())
            {
                return (ErrorCode.CorruptMessage, -1, 0);
            }
            if (bytes.Length > cloud.MaxBatchBytes)
            {
                return (ErrorCode.MessageTooLarge, -1, 0);
            }
            if (cloud.KnowsClaims && batch.ProducerId >= 0
                && (!_claims.TryGetValue(batch.ProducerId, out (Guid Incarnation, long Start) holder) || holder.Incarnation != incarnation))
            {
                return (ErrorCode.InvalidProducerEpoch, -1, 0);
            }
            List<CloudRecord>? records = Decode(batch);
            if (records is null)
            {
                return (ErrorCode.InvalidRecord, -1, 0);
            }
            return Check(batch, records);
        }

        public void Commit(long end)
        {
            long before = CommittedEnd;
            foreach (Stored batch in _batches.Where(batch => batch.End > before && batch.End <= end))
            {
                CommittedEnd = batch.End;
            }
            for (int i = _batches.Count - 1; i >= 0 && _batches[i].BaseOffset >= before; i--)
            {
                if (_batches[i].End <= CommittedEnd)
                {
                    cloud.CommittedIds.UnionWith(_batches[i].Records.Select(record => record.Id));
                }
            }
            foreach ((long waits, Action answer) in Waiting.Where(waiting => waiting.End <= CommittedEnd).ToList())
            {
                Waiting.Remove((waits, answer));
                answer();
            }
        }

        /// <summary>Another leader takes over: what was not committed is gone, and so are those who waited for it.</summary>
        public void FailOver()
        {
            _batches.RemoveAll(batch => batch.End > CommittedEnd);
            Waiting.Clear();
            _claims.Clear();
        }

        /// <summary>Loses committed records, as a real cluster must not.</summary>
        public void LoseFrom(long offset)
        {
            cloud.HasLost |= _batches.RemoveAll(batch => batch.End > offset) > 0;
            CommittedEnd = AppendedEnd;
            Waiting.Clear();
        }

        /// <summary>Forgets all producers, as Kafka does with those that were idle for a day.</summary>
        public void ForgetProducers()
        {
            for (int i = 0; i < _batches.Count; i++)
            {
                _batches[i] = _batches[i] with { ProducerId = -1 };
            }
        }

        /// <summary>Gives the last batch's producer another epoch, and last sequence if one is given.</summary>
        public void SetProducer(long producerId, short epoch, int? last)
        {
            if (_batches.Count > 0)
            {
                Stored batch = _batches[^1];
                _batches[^1] = batch with { ProducerId = producerId, Epoch = epoch, LastSequence = last ?? batch.LastSequence };
            }
        }

        /// <summary>Claims the producer id, and tells how far it came.</summary>
        public CloudPosition Describe(long producerId, Guid incarnation, long start)
        {
            if (!cloud.TellsOfProducers)
            {
                return CloudPosition.Untold with { LogEnd = CommittedEnd };
            }
            if (!cloud.KnowsClaims)
            {
                return Describe(producerId);
            }
            if (!_claims.TryGetValue(producerId, out (Guid Incarnation, long Start) holder) || start > holder.Start)
            {
                holder = _claims[producerId] = (incarnation, start);
            }
            return Describe(producerId) with { Claim = holder.Incarnation == incarnation ? ClaimState.Ours : ClaimState.Others };
        }

        public bool IsCommitted(long producerId) => !_batches.Exists(batch => batch.ProducerId == producerId && batch.End > CommittedEnd);

        public CloudPosition Describe(long producerId)
        {
            Stored? last = _batches.LastOrDefault(batch =>
                batch.ProducerId == producerId && batch.End <= CommittedEnd);
            return last is null ? new CloudPosition(-1, -1, CommittedEnd) : new CloudPosition(last.Epoch, last.LastSequence, CommittedEnd);
        }

        private (ErrorCode Error, long BaseOffset, long End) Check(in RecordBatch batch, List<CloudRecord> records)
        {
            long producerId = batch.ProducerId;
            var own = _batches.Where(stored => stored.ProducerId == producerId).TakeLast(Remembered).ToList();
            if (own.Count > 0)
            {
                Stored last = own[^1];
                if (batch.ProducerEpoch < last.Epoch)
                {
                    return (ErrorCode.InvalidProducerEpoch, -1, 0);
                }
                if (batch.ProducerEpoch > last.Epoch)
                {
                    if (batch.BaseSequence != 0)
                    {
                        return (ErrorCode.OutOfOrderSequenceNumber, -1, 0);
                    }
                }
                else
                {
                    foreach (Stored stored in own.Where(stored => stored.Epoch == last.Epoch))
                    {
                        if (stored.BaseSequence == batch.BaseSequence && stored.LastSequence == batch.LastSequence)
                        {
                            return (ErrorCode.None, stored.BaseOffset, stored.End);
                        }
                    }
                    if (batch.BaseSequence != Sequence.Add(last.LastSequence, 1))
                    {
                        return (ErrorCode.OutOfOrderSequenceNumber, -1, 0);
                    }
                }
            }
            long offset = AppendedEnd;
            _batches.Add(new Stored(producerId, batch.ProducerEpoch, batch.BaseSequence, batch.LastSequence, offset, records));
            return (ErrorCode.None, offset, offset + records.Count);
        }

        private List<CloudRecord>? Decode(in RecordBatch batch)
        {
            var records = new List<CloudRecord>();
            var reader = new RecordReader(batch.Payload, batch.RecordCount);
            while (reader.Read(out Record record))
            {
                string value = Encoding.UTF8.GetString(record.Value);
                if (value.Contains(Poison, StringComparison.Ordinal))
                {
                    return null;
                }
                records.Add(new CloudRecord(Encoding.UTF8.GetString(record.Key), value, ++cloud._order)
                {
                    Timestamp = batch.BaseTimestamp + record.TimestampDelta,
                    Headers = (record.HeaderCount, record.EncodedHeaders.ToArray()),
                });
            }
            return reader.IsMalformed ? null : records;
        }

        private sealed record Stored(
            long ProducerId, short Epoch, int BaseSequence, int LastSequence, long BaseOffset, List<CloudRecord> Records)
        {
            public long End => BaseOffset + Records.Count;
        }
    }
}
