using System.Buffers.Binary;
using System.Collections;
using System.Net;
using Confluent.Kafka;
using Tributary.Benchmarks.Load;
using Tributary.Contracts.Telemetry;

namespace Tributary.Benchmarks.Commands;

/// <summary>What of the messages of a load is in its topic.</summary>
internal sealed class ArrivalCheck
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(60);
    private readonly BitArray[] _seen;
    private readonly long[] _last;
    private long _arrived;
    private long _twice;
    private long _outOfOrder;
    private long _unknown;

    private ArrivalCheck(IReadOnlyList<long> acknowledged)
    {
        _seen = [.. acknowledged.Select(count => new BitArray(checked((int)count)))];
        _last = [.. acknowledged.Select(_ => -1L)];
    }

    /// <summary>Whether everything arrived once and in order.</summary>
    public bool IsGood => Missing == 0 && _twice == 0 && _outOfOrder == 0 && _unknown == 0;

    private long Missing => _seen.Sum(seen => (long)seen.Length) - (_arrived - _twice);

    /// <summary>Reads the topic to its end.</summary>
    /// <param name="kafka">Where the cloud listens.</param>
    /// <param name="acknowledged">Messages of each connection that were acknowledged.</param>
    public static ArrivalCheck Read(IPEndPoint kafka, IReadOnlyList<long> acknowledged)
    {
        var check = new ArrivalCheck(acknowledged);
        using IConsumer<Ignore, byte[]> consumer = new ConsumerBuilder<Ignore, byte[]>(new ConsumerConfig
        {
            BootstrapServers = kafka.ToString(),
            GroupId = "benchmark",
            EnableAutoCommit = false,
            EnablePartitionEof = true,
            AutoOffsetReset = AutoOffsetReset.Earliest,
        }).Build();
        int partitions = TopicPartitions(kafka);
        consumer.Assign(Enumerable.Range(0, partitions)
            .Select(partition => new TopicPartitionOffset(RouteTable.TelemetryTopic, partition, Offset.Beginning)));
        for (int ended = 0; ended < partitions;)
        {
            ConsumeResult<Ignore, byte[]> result = consumer.Consume(Timeout)
                ?? throw new TimeoutException($"the cloud sent nothing for {Timeout.TotalSeconds:0} s");
            if (result.IsPartitionEOF)
            {
                ended++;
            }
            else
            {
                check.Add(BinaryPrimitives.ReadInt64BigEndian(result.Message.Value));
            }
        }
        return check;
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"{_arrived - _twice:#,0} messages; {Missing} missing, {_twice} twice, {_outOfOrder} out of order, {_unknown} never acknowledged";

    private static int TopicPartitions(IPEndPoint kafka)
    {
        using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = kafka.ToString() }).Build();
        return admin.GetMetadata(RouteTable.TelemetryTopic, Timeout).Topics.Single().Partitions.Count;
    }

    private void Add(long number)
    {
        (int connection, long index) = PublishLoad.Split(number);
        if (connection >= _seen.Length || index >= _seen[connection].Length)
        {
            _unknown++;
            return;
        }
        _arrived++;
        if (_seen[connection][(int)index])
        {
            _twice++;
        }
        _seen[connection][(int)index] = true;
        if (index < _last[connection])
        {
            _outOfOrder++;
        }
        _last[connection] = index;
    }
}
