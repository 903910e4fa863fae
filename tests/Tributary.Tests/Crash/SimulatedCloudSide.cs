using System.Collections.Immutable;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Records;
using Tributary.Edge.Uplink;
using Tributary.Log;
using Tributary.Tests.Log.Support;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Crash;

/// <summary>A broker with the partitions of one topic: real partitions on real logs, without sockets around them.</summary>
internal sealed class SimulatedCloudSide : SimulatedSide, ISimulatedTopic
{
    private const int Node = 0;
    private static readonly Guid TopicId = Guid.Parse("00000000-0000-0000-0000-000000000001");
    private readonly Partition[] _partitions;
    private readonly List<(CommitWait Wait, Action Answer)> _waiting = [];

    // What a broker would believe that does not take the producers of a failed flush back.
    private readonly HashSet<(int Target, long Producer, short Epoch, int Sequence, int Count)> _believed = [];
    private int _leaderEpoch;
    private long _lastProducerId = 1000;

    public SimulatedCloudSide(SimulatedNetwork network, Random random, PlantedBug bug, int partitions, List<string> story)
        : base("cloud", network, random, bug, partitions, story) => _partitions = new Partition[partitions];

    /// <summary>Deletes records up to some offset, as users do.</summary>
    public void DeleteRecords()
    {
        int index = Random.Next(Logs.Length);
        long offset = Random.NextInt64(Logs[index].StartOffset, Logs[index].FlushedEnd + 1);
        Note($"deletes records of {index} up to {offset}");
        Models[index].AskedStart = Math.Max(Models[index].AskedStart, offset);
        Logs[index].AdvanceStart(offset);
        ScheduleRound();
    }

    void ISimulatedTopic.Describe(Action<TopicMetadata> answer)
    {
        if (IsUp)
        {
            answer(new TopicMetadata("cluster", TopicId, _partitions.Length));
        }
    }

    void ISimulatedTopic.MakeProducerId(Action<long> answer)
    {
        if (IsUp)
        {
            answer(++_lastProducerId);
        }
    }

    void ISimulatedTopic.Claim(long producerId, Guid incarnation, long start, int targets, Action<CloudPosition[]> answer)
    {
        if (!IsUp || IsDead)
        {
            return;
        }
        var wait = new CommitWait(targets);
        var found = new DescribedProducers[targets];
        for (int i = 0; i < targets; i++)
        {
            found[i] = _partitions[i].DescribeProducers([producerId], new Claimant(incarnation, start), wait, i);
        }
        if (Bug == PlantedBug.TellsUncommitted)
        {
            answer(Positions());
            return;
        }
        _waiting.Add((wait, AnswerIfCommitted));
        ScheduleRound();

        void AnswerIfCommitted()
        {
            if (Enumerable.Range(0, targets).All(slot => wait.Outcome(slot) == ErrorCode.None))
            {
                answer(Positions());
            }
        }

        CloudPosition[] Positions() => [.. found.Select((described, i) => new CloudPosition(
            described.Producers is [var producer] ? producer.Epoch : (short)-1, described.Producers is [var last] ? last.LastSequence : -1,
            Bug == PlantedBug.TellsUncommitted ? _partitions[i].Log.AppendedEnd : _partitions[i].HighWatermark,
            described.ClaimedBy == incarnation ? ClaimState.Ours : ClaimState.Others))];
    }

    void ISimulatedTopic.Produce(int target, Guid incarnation, byte[] batch, Action<ErrorCode, long> answer)
    {
        if (!IsUp || IsDead)
        {
            return;
        }
        RecordBatch.TryRead(batch, out RecordBatch read);
        var identity = (target, read.ProducerId, read.ProducerEpoch, read.BaseSequence, read.RecordCount);
        if (Bug == PlantedBug.KeepsLostProducers && _believed.Contains(identity))
        {
            answer(ErrorCode.None, -1);
            return;
        }
        var wait = new CommitWait(1);
        Partition partition = _partitions[target];
        ErrorCode error = partition.Append(batch, new BatchSender(read.ProducerId, incarnation), wait, slot: 0, committed: true, out AppendResult result);
        if (error != ErrorCode.None)
        {
            answer(error, -1);
            return;
        }
        Appended(target, result, batch, partition.LeaderEpoch);
        _believed.Add(identity);
        if (Bug == PlantedBug.AcknowledgesAppends)
        {
            answer(ErrorCode.None, result.BaseOffset);
            return;
        }
        _waiting.Add((wait, () => answer(wait.Outcome(0), wait.Outcome(0) == ErrorCode.None ? result.BaseOffset : -1)));
    }

    protected override int MaxLeaderEpoch => _leaderEpoch + 1;

    protected override void Started()
    {
        _leaderEpoch++;
        for (int i = 0; i < _partitions.Length; i++)
        {
            var assignment = new PartitionAssignment(i, Node, _leaderEpoch, [Node], [Node]);
            Models[i].LatestEpoch = _leaderEpoch;
            _partitions[i] = new Partition("topic", TopicId, Logs[i], TopicSettings.Default, assignment, Node);
            _partitions[i].Lead(assignment, TopicSettings.Default);
            Models[i].DurableEpoch = _leaderEpoch;
        }
    }

    protected override void Ended()
    {
        _waiting.Clear();
        _believed.Clear();
    }

    protected override void RoundEnded()
    {
        foreach ((_, Action answer) in _waiting.Where(waiting => waiting.Wait.IsOver).ToList())
        {
            answer();
        }
        _waiting.RemoveAll(waiting => waiting.Wait.IsOver);
    }
}
