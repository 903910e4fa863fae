using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Xunit;

namespace Tributary.Tests.Log;

public sealed class ProducerStateTests
{
    [Fact]
    public void Sequences_go_on_at_zero_after_the_greatest()
    {
        var state = new ProducerState();
        Apply(state, new BatchProducer(1, 0, int.MaxValue - 1), records: 2, baseOffset: 0);
        Assert.Equal(SequenceCheck.Accepted, Check(state, new BatchProducer(1, 0, 0)));
        Assert.Equal(SequenceCheck.OutOfOrder, Check(state, new BatchProducer(1, 0, 1)));
    }

    [Fact]
    public void The_last_five_batches_are_known_as_duplicates_and_older_ones_are_out_of_order()
    {
        var state = new ProducerState();
        for (int i = 0; i < 7; i++)
        {
            Apply(state, new BatchProducer(1, 0, i), records: 1, baseOffset: 10 * i);
        }
        for (int i = 0; i < 7; i++)
        {
            Assert.Equal(i < 2 ? SequenceCheck.OutOfOrder : SequenceCheck.Duplicate, Check(state, new BatchProducer(1, 0, i)));
        }
    }

    [Fact]
    public void A_new_epoch_begins_at_sequence_zero_and_fences_the_old_one()
    {
        var state = new ProducerState();
        Apply(state, new BatchProducer(1, 3, 0), records: 1, baseOffset: 0);
        Assert.Equal(SequenceCheck.OutOfOrder, Check(state, new BatchProducer(1, 4, 1)));
        Assert.Equal(SequenceCheck.Accepted, Check(state, new BatchProducer(1, 4, 0)));
        Apply(state, new BatchProducer(1, 4, 0), records: 1, baseOffset: 1);
        Assert.Equal(SequenceCheck.StaleEpoch, Check(state, new BatchProducer(1, 3, 1)));
        Assert.Equal(SequenceCheck.Duplicate, Check(state, new BatchProducer(1, 4, 0)));
    }

    [Fact]
    public void What_is_taken_back_or_saved_is_the_state_of_what_was_settled()
    {
        for (int seed = 1; seed <= 200; seed++)
        {
            var random = new Random(seed);
            var state = new ProducerState();
            var settled = new ProducerState(); // applies only what is settled
            var pending = new List<(BatchProducer Producer, int Records, long Offset)>();
            long offset = 0;
            for (int step = 0; step < 200; step++)
            {
                if (random.Next(10) == 0)
                {
                    int count = random.Next(pending.Count + 1);
                    long end = count == pending.Count ? offset : pending[count].Offset;
                    state.Settle(end);
                    pending.Take(count).ToList().ForEach(
                        batch => Apply(settled, batch.Producer, batch.Records, batch.Offset, isDurable: true));
                    pending.RemoveRange(0, count);
                    Assert.Equal(Saved(settled.Settled()), Saved(state.Settled()));
                }
                if (random.Next(30) == 0)
                {
                    state.Revert();
                    pending.Clear();
                    Assert.Equal(Saved([.. settled.All]), Saved([.. state.All]));
                }
                Producer? known = state.Find(random.Next(4));
                short epoch = (short)((known?.Epoch ?? 0) + (random.Next(6) == 0 ? 1 : 0));
                int next = known is { } same && same.Epoch == epoch && same.BatchCount > 0 ? same.LastSequence + 1 : 0;
                var producer = new BatchProducer(known?.Id ?? random.Next(4), epoch, next);
                int records = 1 + random.Next(3);
                Apply(state, producer, records, offset);
                pending.Add((producer, records, offset));
                offset += records;
            }
        }
    }

    [Fact]
    public void A_snapshot_gives_back_what_it_was_taken_of()
    {
        var state = new ProducerState();
        for (int i = 0; i < 100; i++)
        {
            Apply(state, new BatchProducer(i % 9, (short)(i % 9), i / 9), records: 1, baseOffset: i, isDurable: true);
        }
        var storage = new MemoryStorage();
        storage.CreateDirectory("d");
        StateFile.Replace(storage, "d", LogFiles.Producers(100), ProducerSnapshot.Encode(state.Settled(), 100));
        var restored = new ProducerState();
        Assert.Equal(StateStatus.Ok, ProducerSnapshot.Load(storage, "d", 100, restored));
        Assert.Equal(Saved([.. state.All]), Saved([.. restored.All]));
        Assert.Equal(SequenceCheck.Duplicate, Check(restored, new BatchProducer(3, 3, 10)));
    }

    private static void Apply(ProducerState state, BatchProducer producer, int records, long baseOffset, bool isDurable = false)
    {
        RecordBatch.TryRead(LogHarness.Batch(records, producer: producer), out RecordBatch batch);
        state.Apply(batch, baseOffset, nowMs: 5, isDurable);
    }

    private static SequenceCheck Check(ProducerState state, BatchProducer producer)
    {
        RecordBatch.TryRead(LogHarness.Batch(producer: producer), out RecordBatch batch);
        return state.Check(batch, out _, out _);
    }

    private static List<string> Saved(List<Producer> producers) =>
    [
        .. producers.OrderBy(producer => producer.Id).Select(producer => producer.Summary + ": "
            + string.Join(", ", Enumerable.Range(0, producer.BatchCount).Select(age => producer.At(age).ToString()))),
    ];
}
