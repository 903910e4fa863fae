using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Tells what partitions take on this broker's disk, everything counted (KIP-113). There is one log directory.</summary>
internal sealed class DescribeLogDirsHandler(BrokerContext broker) : ApiHandler<DescribeLogDirsRequest, DescribeLogDirsResponse>(broker)
{
    private const int PartitionBytes = 32;

    /// <summary>Names each topic once, and each of its partitions: a request that repeats one must not get it as often.</summary>
    protected override long Prepare(DescribeLogDirsRequest body)
    {
        if (body.Topics is not { } topics)
        {
            return PartitionBytes * (long)Broker.Control.Snapshot.Topics.Values.Sum(topic => topic.Partitions.Length);
        }
        body.Topics =
        [
            .. topics.GroupBy(topic => topic.Topic, StringComparer.Ordinal).Select(group => new DescribeLogDirsRequest.DescribableLogDirTopic
            {
                Topic = group.Key,
                Partitions = [.. group.SelectMany(topic => topic.Partitions).Distinct()],
            }),
        ];
        return 0;
    }

    /// <inheritdoc/>
    protected override ValueTask<DescribeLogDirsResponse> AnswerAsync(
        Request request, DescribeLogDirsRequest body, CancellationToken cancellation)
    {
        IEnumerable<(string Name, IEnumerable<int> Partitions)> asked = body.Topics is { } topics
            ? topics.Select(topic => (topic.Topic, (IEnumerable<int>)topic.Partitions))
            : Broker.Control.Snapshot.Topics.Values.OrderBy(topic => topic.Name, StringComparer.Ordinal)
                .Select(topic => (topic.Name, Enumerable.Range(0, topic.Partitions.Length)));
        var result = new DescribeLogDirsResponse.DescribeLogDirsResult
        {
            LogDir = Broker.Logs.Path,
            UsableBytes = Broker.Logs.FreeBytes,
            Topics =
            [
                .. asked.Select(topic => new DescribeLogDirsResponse.DescribeLogDirsTopic
                {
                    Name = topic.Name,
                    Partitions =
                    [
                        .. topic.Partitions.Select(index => Find(topic.Name, index)).OfType<Partition>().Select(partition =>
                            new DescribeLogDirsResponse.DescribeLogDirsPartition
                            {
                                PartitionIndex = partition.Index,
                                PartitionSize = partition.Log.SizeBytes,
                            }),
                    ],
                }).Where(topic => topic.Partitions.Length > 0),
            ],
        };
        return new(new DescribeLogDirsResponse { Results = [result] });
    }

    private Partition? Find(string topic, int index) =>
        Broker.Partitions.Get(topic, index, out Partition? partition) == ErrorCode.None ? partition : null;
}
