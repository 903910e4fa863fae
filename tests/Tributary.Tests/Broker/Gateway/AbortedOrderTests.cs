using System.Globalization;
using Tributary.Broker.Gateway.Handlers;
using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Compaction;
using Tributary.Tests.Log.Support;
using Xunit;
using static Tributary.Tests.Log.Support.LogHarness;
using Record = Tributary.Contracts.Records.Record;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>Transactions that begin and end in any order, for a client that goes through the aborted ones as kafkajs does, by seed.</summary>
public sealed class AbortedOrderTests
{
    private const int Schedules = 40;
    private const int Steps = 60;
    private const int Producers = 5;

    [Fact]
    public async Task A_client_that_looks_at_the_next_transaction_of_the_list_only_shows_what_was_committed_and_nothing_else()
    {
        int mistakes = 0;
        for (int seed = 0; seed < Schedules; seed++)
        {
            await using var harness = new LogHarness
            {
                DirectoryOptions = new LogDirectoryOptions { TailCacheBytes = seed % 2 == 0 ? 0 : 1 << 20 },
                Options = new PartitionLogOptions
                {
                    SegmentBytes = 1024,
                    IndexIntervalBytes = 128,
                    RecoveryStepBytes = 1,
                    RecoveryStepTime = TimeSpan.Zero,
                    Compaction = new CompactionPolicy { DirtyRatio = 0 },
                },
            };
            PartitionLog log = harness.Open();
            HashSet<long> aborted = await RunAsync(log, new Random(seed));
            if (seed % 3 == 0)
            {
                new LogCompactor(new LogCompactorOptions(), harness.Time).Compact(log, log.FlushedEnd, CancellationToken.None);
            }
            foreach (int maxBytes in new[] { 1, 400, 1 << 20 })
            {
                for (long from = 0; from < log.FlushedEnd; from++)
                {
                    using LogRead read = log.Read(from, maxBytes, log.FlushedEnd);
                    IReadOnlyList<AbortedTransaction> byMarker = log.AbortedBetween(from, read.NextOffset);
                    long[] committed = [.. Messages(read, from).Where(one => !one.IsControl && !aborted.Contains(one.Offset)).Select(one => one.Offset)];
                    string where = string.Create(CultureInfo.InvariantCulture, $"seed {seed}, from {from}, {maxBytes} bytes: ");
                    Assert.Equal(where + string.Join(' ', committed), where + string.Join(' ', Shown(read, from, AbortedOrder.Of(byMarker, read))));
                    mistakes += committed.SequenceEqual(Shown(read, from, byMarker)) ? 0 : 1;
                }
            }
        }
        Assert.True(mistakes > 0, "the order makes no difference");
    }

    /// <returns>The offsets of records that were taken back.</returns>
    private static async Task<HashSet<long>> RunAsync(PartitionLog log, Random random)
    {
        var aborted = new HashSet<long>();
        var open = new List<long>[Producers];
        int[] sequences = new int[Producers];
        int[] numbers = new int[Producers];
        for (int step = 0; step < Steps || Array.Exists(open, records => records is not null); step++)
        {
            int id = random.Next(Producers);
            if (open[id] is null ? step < Steps : random.Next(3) > 0 && step < Steps)
            {
                int records = random.Next(1, 4);
                (string?, string?)[] values = [.. Enumerable.Range(0, records).Select(_ => ((string?)$"key {random.Next(20)}", (string?)"value"))];
                AppendResult result = await AppendAsync(
                    log, KeyedBatch.Of(values, new BatchProducer(id, 0, sequences[id]), CompressionCodec.None, isTransactional: true, 1_000));
                sequences[id] += records;
                (open[id] ??= []).AddRange(Enumerable.Range(0, records).Select(n => result.BaseOffset + n));
            }
            else if (open[id] is { } written)
            {
                bool commit = random.Next(3) == 0;
                await log.WaitFlushedAsync(log.AppendMarker(new TransactionMarker(id, 0, commit, ++numbers[id]), 0));
                aborted.UnionWith(commit ? [] : written);
                open[id] = null!;
            }
        }
        return aborted;
    }

    /// <summary>What kafkajs would show (filterAbortedMessages).</summary>
    private static IEnumerable<long> Shown(LogRead read, long from, IReadOnlyList<AbortedTransaction> aborted)
    {
        var left = new Queue<AbortedTransaction>(aborted);
        var current = new HashSet<long>();
        var shown = new List<long>();
        foreach (Message message in Messages(read, from))
        {
            if (left.TryPeek(out AbortedTransaction next) && message.Offset >= next.FirstOffset)
            {
                current.Add(left.Dequeue().ProducerId);
            }
            if (message.IsAbort)
            {
                current.Remove(message.ProducerId);
            }
            else if (!message.IsControl && !current.Contains(message.ProducerId))
            {
                shown.Add(message.Offset);
            }
        }
        return shown;
    }

    private static List<Message> Messages(LogRead read, long from)
    {
        var messages = new List<Message>();
        foreach (RecordBatchCopy copy in Batches(read))
        {
            RecordBatch.TryRead(copy.Bytes, out RecordBatch batch);
            bool isAbort = ControlBatch.TryRead(batch, out ControlBatch marker) && !marker.IsCommit;
            var reader = new RecordReader(batch.Payload, batch.RecordCount);
            while (reader.Read(out Record record))
            {
                messages.Add(new Message(batch.BaseOffset + record.OffsetDelta, batch.ProducerId, batch.IsControl, isAbort));
            }
        }
        messages.RemoveAll(message => message.Offset < from);
        return messages;
    }

    private readonly record struct Message(long Offset, long ProducerId, bool IsControl, bool IsAbort);
}
