using System.Text;
using System.Text.Json;
using Tributary.Contracts.Records;
using Tributary.Edge.Clock;
using Tributary.Edge.Uplink;
using Tributary.Tests.Crash;
using Tributary.Tests.Edge.Uplink;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Edge.Offline;

/// <summary>
/// A cloud in memory that never loses anything. Its topics have two partitions, but for those whose gaps are told exactly: with several, a
/// gap that ends among records in doubt is told at its most.
/// </summary>
internal sealed class OfflineCloud(params string[] withOnePartition)
{
    private readonly SortedDictionary<string, OfflineTopic> _topics = new(StringComparer.Ordinal);

    public OfflineTopic Of(string topic)
    {
        if (!_topics.TryGetValue(topic, out OfflineTopic? known))
        {
            _topics[topic] = known = new OfflineTopic(withOnePartition.Contains(topic) ? 1 : 2);
        }
        return known;
    }

    /// <summary>
    /// What events say is missing of a topic: so many records within a range of local offsets. An event may have been stored twice.
    /// </summary>
    public IReadOnlyCollection<(long From, long To, long Records)> ReportedGaps(string eventsTopic, string topic)
    {
        var gaps = new HashSet<(long, long, long)>();
        foreach (CloudRecord record in Of(eventsTopic).Records)
        {
            using var json = JsonDocument.Parse(record.Value);
            JsonElement what = json.RootElement;
            if (what.GetProperty("event").GetString() == "gap" && what.GetProperty("topic").GetString() == topic)
            {
                gaps.Add((what.GetProperty("from").GetInt64(), what.GetProperty("to").GetInt64(), what.GetProperty("records").GetInt64()));
            }
        }
        return gaps;
    }
}

/// <summary>A topic of it.</summary>
internal sealed class OfflineTopic : ISimulatedTopic
{
    private readonly int _partitions;
    private readonly SimulatedCloud _cloud = new();

    public OfflineTopic(int partitions)
    {
        _partitions = partitions;
        _cloud.SetPartitions(partitions);
    }

    /// <summary>All records, partition by partition, in their order there.</summary>
    public IEnumerable<CloudRecord> Records => Enumerable.Range(0, _partitions).SelectMany(_cloud.Committed);

    public void Describe(Action<TopicMetadata> answer) => answer(new TopicMetadata(_cloud.ClusterId, _cloud.TopicId, _partitions));

    public void MakeProducerId(Action<long> answer) => answer(_cloud.NewProducerId());

    public void Claim(long producerId, Guid incarnation, long start, int targets, Action<CloudPosition[]> answer) =>
        answer(_cloud.Describe(producerId, incarnation, start, targets));

    public void Produce(int target, Guid incarnation, byte[] batch, Action<ErrorCode, long> answer)
    {
        SimulatedCloud.SimulatedPartition partition = _cloud.Partitions[target];
        (ErrorCode error, long offset, long end) = partition.Append(batch, incarnation);
        partition.Commit(Math.Max(end, partition.CommittedEnd));
        answer(error, offset);
    }

    /// <summary>What a record says of how its time is known.</summary>
    public static (string? Mark, long? BoundMs) TimeOf(CloudRecord record)
    {
        (string? mark, long? bound) = (null, null);
        var reader = new HeaderReader(record.Headers.Bytes, record.Headers.Count);
        while (reader.Read(out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value, out _))
        {
            string name = Encoding.UTF8.GetString(key);
            if (name == RecordTime.MarkHeader)
            {
                mark = Encoding.UTF8.GetString(value);
            }
            else if (name == RecordTime.BoundHeader)
            {
                bound = long.Parse(value, System.Globalization.CultureInfo.InvariantCulture);
            }
        }
        return (mark, bound);
    }
}
