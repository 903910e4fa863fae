using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Diagnostics;
using Confluent.Kafka;
using Tributary.Benchmarks.Harness;
using Tributary.Benchmarks.Peers;

namespace Tributary.Benchmarks.Load;

/// <summary>How long records took.</summary>
/// <param name="Rate">Records per second that were produced.</param>
/// <param name="Produced">From the call of Produce to its report.</param>
/// <param name="Arrived">From the call of Produce to the consumer.</param>
internal sealed record LatencyResult(double Rate, Histogram Produced, Histogram Arrived);

/// <summary>
/// A steady rate of records from Confluent.Kafka, and a consumer of them in the same process. Every millisecond whatever is due is produced;
/// each record carries the time of its call.
/// </summary>
internal sealed class LatencyLoad
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly string _servers;
    private readonly string _topic;
    private readonly int _partitions;
    private readonly RecordLoad _load;
    private readonly Histogram _produced = new();
    private readonly Histogram _arrived = new();

    /// <summary>Reports of a partition come in the order of the calls.</summary>
    private readonly ConcurrentQueue<long>[] _calls;

    private long _countFrom;
    private long _failed;
    private long _consumed;

    private LatencyLoad(string servers, string topic, int partitions, RecordLoad load)
    {
        (_servers, _topic, _partitions, _load) = (servers, topic, partitions, load);
        _calls = [.. Enumerable.Range(0, partitions).Select(_ => new ConcurrentQueue<long>())];
    }

    /// <param name="servers">Bootstrap servers.</param>
    /// <param name="topic">An empty topic.</param>
    /// <param name="partitions">Its partitions.</param>
    /// <param name="load">The records.</param>
    /// <param name="rate">How many a second.</param>
    /// <param name="lingerMs">How long the client gathers a batch.</param>
    /// <param name="warmUp">How long before it is counted.</param>
    /// <param name="time">How long it is counted.</param>
    /// <exception cref="InvalidOperationException">Records were refused or lost.</exception>
    public static LatencyResult Run(
        string servers, string topic, int partitions, RecordLoad load, int rate, double lingerMs, TimeSpan warmUp, TimeSpan time) =>
        new LatencyLoad(servers, topic, partitions, load).Run(rate, lingerMs, warmUp, time);

    private LatencyResult Run(int rate, double lingerMs, TimeSpan warmUp, TimeSpan time)
    {
        using IProducer<Null, byte[]> producer = ConfluentClient.Producer(_servers, _load, lingerMs);
        using IConsumer<Ignore, byte[]> consumer = ConfluentClient.Consumer(_servers);
        consumer.Assign(Enumerable.Range(0, _partitions).Select(partition => new TopicPartitionOffset(_topic, partition, 0)));
        _countFrom = Stopwatch.GetTimestamp() + (long)(warmUp.TotalSeconds * Stopwatch.Frequency);
        using var over = new CancellationTokenSource();
        var consuming = new Thread(() => Consume(consumer, over.Token));
        consuming.Start();
        long start = Stopwatch.GetTimestamp();
        long count = Produce(producer, rate, warmUp + time);
        double reached = count / Stopwatch.GetElapsedTime(start).TotalSeconds;
        producer.Flush(Patience);
        SpinWait.SpinUntil(() => Interlocked.Read(ref _consumed) >= count, Patience);
        over.Cancel();
        consuming.Join();
        return _failed == 0 && _consumed == count
            ? new LatencyResult(reached, _produced, _arrived)
            : throw new InvalidOperationException($"of {count} records {_failed} were refused and {_consumed} arrived");
    }

    private long Produce(IProducer<Null, byte[]> producer, int rate, TimeSpan time)
    {
        TopicPartition[] targets = [.. Enumerable.Range(0, _partitions).Select(partition => new TopicPartition(_topic, partition))];
        var message = new Message<Null, byte[]> { Value = _load.Value() };
        Action<DeliveryReport<Null, byte[]>> onReport = OnReport;
        long start = Stopwatch.GetTimestamp();
        long count = 0;
        for (TimeSpan passed; (passed = Stopwatch.GetElapsedTime(start)) < time;)
        {
            for (long due = (long)(passed.TotalSeconds * rate); count < due; count++)
            {
                long now = Stopwatch.GetTimestamp();
                int partition = (int)(count % _partitions);
                BinaryPrimitives.WriteInt64LittleEndian(message.Value, now);
                _calls[partition].Enqueue(now);
                producer.Produce(targets[partition], message, onReport); // it is copied before this returns
            }
            Thread.Sleep(Pace);
        }
        return count;
    }

    /// <summary>On the client's polling thread.</summary>
    private void OnReport(DeliveryReport<Null, byte[]> report)
    {
        _calls[report.Partition.Value].TryDequeue(out long called);
        if (report.Error.IsError)
        {
            Interlocked.Increment(ref _failed);
        }
        else if (called >= _countFrom)
        {
            _produced.Add(Stopwatch.GetTimestamp() - called);
        }
    }

    private void Consume(IConsumer<Ignore, byte[]> consumer, CancellationToken over)
    {
        try
        {
            while (true)
            {
                if (consumer.Consume(over) is not { IsPartitionEOF: false } result)
                {
                    continue;
                }
                long called = BinaryPrimitives.ReadInt64LittleEndian(result.Message.Value);
                if (called >= _countFrom)
                {
                    _arrived.Add(Stopwatch.GetTimestamp() - called);
                }
                Interlocked.Increment(ref _consumed);
            }
        }
        catch (OperationCanceledException)
        {
            // all has come
        }
    }
}
