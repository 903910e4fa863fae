using System.Diagnostics;
using Confluent.Kafka;

namespace Tributary.Stage;

/// <summary>
/// One stage of a chain that reads, works and writes with Confluent.Kafka, exactly once: what it writes and how far it has read are one
/// transaction. It keeps nothing of its own, so it may be killed at any time and started again. A fatal error, such as being fenced, ends
/// it; whoever runs it starts it anew.
/// </summary>
/// <param name="kafka">Bootstrap servers.</param>
/// <param name="source">Topic to read.</param>
/// <param name="target">Topic to write, with as many partitions.</param>
/// <param name="name">Its transactional id, and its name in the group of those who read the source.</param>
internal sealed class ChainStage(string kafka, string source, string target, string name)
{
    private const int Fatal = 3;
    private const int MaxRecords = 200;
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    /// <summary>The client's own limit is not always kept: a commit of offsets can wait for a coordinator for ever (librdkafka #5456, #5511).</summary>
    private static readonly TimeSpan Stuck = 1.5 * Limit;
    private long _progress = Stopwatch.GetTimestamp();

    /// <summary>Works until it is asked to end, or can't go on.</summary>
    public int Run(CancellationToken stop)
    {
        using var watchdog = new Timer(_ => EndIfStuck(), null, Stuck / 10, Stuck / 10);
        using IProducer<string, string> producer = new ProducerBuilder<string, string>(new ProducerConfig
        {
            BootstrapServers = kafka,
            TransactionalId = name,
            TransactionTimeoutMs = 10_000,
            LingerMs = 1,
            ReconnectBackoffMs = 20,
            ReconnectBackoffMaxMs = 200,
        }).SetLogHandler((_, line) => Console.Error.WriteLine(line.Message)).Build();
        using IConsumer<string, string> consumer = new ConsumerBuilder<string, string>(new ConsumerConfig
        {
            BootstrapServers = kafka,
            GroupId = $"{source}-to-{target}",
            GroupInstanceId = name,
            SessionTimeoutMs = 45_000,
            HeartbeatIntervalMs = 300,
            EnableAutoCommit = false,
            AutoOffsetReset = AutoOffsetReset.Earliest,
            IsolationLevel = IsolationLevel.ReadCommitted,
            PartitionAssignmentStrategy = PartitionAssignmentStrategy.CooperativeSticky,
            FetchWaitMaxMs = 50,
            ReconnectBackoffMs = 20,
            ReconnectBackoffMaxMs = 200,
        }).SetLogHandler((_, line) => Console.Error.WriteLine(line.Message)).Build();
        try
        {
            Repeat(() => producer.InitTransactions(Limit));
            consumer.Subscribe(source);
            while (!stop.IsCancellationRequested)
            {
                Pass(producer, consumer);
                Volatile.Write(ref _progress, Stopwatch.GetTimestamp());
            }
            consumer.Close();
            return 0;
        }
        catch (KafkaException e)
        {
            Console.Error.WriteLine($"ends with {e.Error}");
            return Fatal;
        }
    }

    /// <summary>Passes on what there is, in one transaction; after an error that isn't fatal it is as if nothing had been read.</summary>
    private void Pass(IProducer<string, string> producer, IConsumer<string, string> consumer)
    {
        List<ConsumeResult<string, string>> read = Read(consumer);
        if (read.Count == 0)
        {
            return;
        }
        try
        {
            producer.BeginTransaction();
            foreach (ConsumeResult<string, string> record in read)
            {
                producer.Produce(
                    new TopicPartition(target, record.Partition),
                    new Message<string, string> { Key = record.Message.Key, Value = record.Message.Value });
            }
            TopicPartitionOffset[] next =
            [
                .. read.GroupBy(record => record.TopicPartition)
                    .Select(partition => new TopicPartitionOffset(partition.Key, partition.Max(record => record.Offset.Value) + 1)),
            ];
            producer.SendOffsetsToTransaction(next, consumer.ConsumerGroupMetadata, Limit);
            Repeat(() => producer.CommitTransaction(Limit));
        }
        catch (KafkaException e) when (!e.Error.IsFatal)
        {
            Console.Error.WriteLine($"aborts for {e.Error}");
            Repeat(() => producer.AbortTransaction(Limit));
            GoBack(consumer, read);
        }
    }

    private void EndIfStuck()
    {
        if (Stopwatch.GetElapsedTime(Volatile.Read(ref _progress)) > Stuck)
        {
            Console.Error.WriteLine($"ends: a call has not returned for {Stuck}");
            Process.GetCurrentProcess().Kill(); // it won't end otherwise
        }
    }

    /// <summary>A call that may be made again when it has run out of time.</summary>
    private void Repeat(Action call)
    {
        while (true)
        {
            Volatile.Write(ref _progress, Stopwatch.GetTimestamp());
            try
            {
                call();
                return;
            }
            catch (KafkaRetriableException)
            {
            }
        }
    }

    private static List<ConsumeResult<string, string>> Read(IConsumer<string, string> consumer)
    {
        var read = new List<ConsumeResult<string, string>>();
        while (read.Count < MaxRecords && consumer.Consume(read.Count == 0 ? Poll : TimeSpan.Zero) is { } record)
        {
            read.Add(record);
        }
        return read;
    }

    /// <summary>Reads again what it has read, of the partitions that it still has.</summary>
    private static void GoBack(IConsumer<string, string> consumer, List<ConsumeResult<string, string>> read)
    {
        HashSet<TopicPartition> assigned = [.. consumer.Assignment];
        foreach (IGrouping<TopicPartition, ConsumeResult<string, string>> partition in read.GroupBy(record => record.TopicPartition))
        {
            if (assigned.Contains(partition.Key))
            {
                consumer.Seek(new TopicPartitionOffset(partition.Key, partition.Min(record => record.Offset.Value)));
            }
        }
    }
}
