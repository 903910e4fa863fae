using System.Diagnostics;
using System.Net;
using Tributary.Benchmarks.Harness;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Benchmarks.Load;

/// <summary>
/// Commits offsets on many connections, each in a group of its own without members, with some requests under way on each.
/// </summary>
internal static class CommitLoad
{
    private const short Version = 8;

    /// <returns>Commits per second, and the time that each took.</returns>
    public static async Task<(double PerSecond, Histogram Latencies)> RunAsync(
        IPEndPoint kafka, string topic, int partitions, int clients, int window, TimeSpan time)
    {
        long start = Stopwatch.GetTimestamp();
        Histogram[] each = await Task.WhenAll(Enumerable.Range(0, clients).Select(
            i => Task.Run(() => CommitAsync(kafka, $"commits-{i}", topic, i % partitions, window, start, time))));
        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        var all = new Histogram();
        Array.ForEach(each, all.Add);
        return (all.Total / elapsed.TotalSeconds, all);
    }

    private static async Task<Histogram> CommitAsync(
        IPEndPoint kafka, string group, string topic, int partition, int window, long start, TimeSpan time)
    {
        using KafkaSession session = await KafkaSession.OpenAsync(kafka);
        var latencies = new Histogram();
        var sent = new Queue<long>();
        long offset = 0;
        while (true)
        {
            bool isOver = Stopwatch.GetElapsedTime(start) > time;
            if (isOver && sent.Count == 0)
            {
                return latencies;
            }
            if (!isOver && sent.Count < window)
            {
                sent.Enqueue(Stopwatch.GetTimestamp());
                await session.SendAsync(Frame(group, topic, partition, offset++));
                continue;
            }
            OffsetCommitResponse answer = KafkaFrame.ReadResponse<OffsetCommitResponse>(await session.ReceiveAsync(), Version);
            latencies.Add(Stopwatch.GetTimestamp() - sent.Dequeue());
            if (answer.Topics[0].Partitions[0].ErrorCode is not ErrorCode.None and var error)
            {
                throw new InvalidOperationException($"a commit of {group} was answered with {error}");
            }
        }
    }

    private static ReadOnlyMemory<byte> Frame(string group, string topic, int partition, long offset) => KafkaWire.Frame(
        new OffsetCommitRequest
        {
            GroupId = group,
            Topics =
            [
                new()
                {
                    Name = topic,
                    Partitions = [new() { PartitionIndex = partition, CommittedOffset = offset, CommittedMetadata = "" }],
                },
            ],
        },
        Version, (int)offset);
}
