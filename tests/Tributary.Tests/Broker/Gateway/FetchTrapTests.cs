using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>What clients of other brokers ran into when they fetched, in every version that is served and has it.</summary>
public sealed class FetchTrapTests : IAsyncLifetime
{
    private static readonly int BatchSize = Batches.Of().Length;
    private readonly TestBroker _broker = new();
    private readonly Guid _id = Guid.NewGuid();
    private TestClient _reader = null!;
    private TestClient _writer = null!;

    public async ValueTask InitializeAsync()
    {
        _reader = _broker.Connect();
        _writer = _broker.Connect();
        await LeadAsync(epoch: 1);
    }

    public async ValueTask DisposeAsync()
    {
        await _reader.DisposeAsync();
        await _writer.DisposeAsync();
        await _broker.DisposeAsync();
    }

    [Theory]
    [EveryVersion<FetchRequest>]
    public async Task An_offset_inside_a_batch_gets_the_whole_batch(short version)
    {
        await ProduceAsync(Batches.Of(3));
        await ProduceAsync(Batches.Of(5, codec: CompressionCodec.Zstd));
        Assert.Equal([(3, 5)], await FetchAsync(6, version));
    }

    [Theory]
    [EveryVersion<FetchRequest>]
    public async Task The_first_batch_comes_whole_above_both_limits_and_no_other_does(short version)
    {
        await ProduceAsync(Batches.Of(valueBytes: 1000));
        await ProduceAsync(Batches.Of(valueBytes: 1000));
        FetchRequest request = Fetch(0);
        (request.MaxBytes, request.Topics[0].Partitions[0].PartitionMaxBytes) = (1, 1);
        Assert.Equal([(0, 1)], Sent(await _reader.AskAsync(request, version)));
    }

    [Theory]
    [EveryVersion<FetchRequest>]
    public async Task A_fetch_waits_for_its_least_bytes_and_no_longer(short version)
    {
        await ProduceAsync(Batches.Of());
        int fetch = await _reader.SendAsync(Fetch(0, maxWaitMs: 60_000, minBytes: 2 * BatchSize), version);
        await ReadersAsync(1);
        Assert.False(_reader.HasResponse());
        await ProduceAsync(Batches.Of());
        Assert.Equal([(0, 1), (1, 1)], Sent(await _reader.ReceiveAsync<FetchResponse>(fetch, version)));
    }

    [Theory]
    [EveryVersion<FetchRequest>]
    public async Task A_fetch_at_the_end_is_not_answered_before_its_time_and_is_then(short version)
    {
        int fetch = await _reader.SendAsync(Fetch(0, maxWaitMs: 500), version);
        await ReadersAsync(1);
        _broker.Time.Advance(TimeSpan.FromMilliseconds(499));
        Assert.False(_reader.HasResponse());
        _broker.Time.Advance(TimeSpan.FromMilliseconds(1));
        FetchResponse empty = await _reader.ReceiveAsync<FetchResponse>(fetch, version);
        Assert.Equal((ErrorCode.None, 0, 0), (empty.Single().ErrorCode, empty.Single().Records.Size, empty.ThrottleTimeMs));
        await ReadersAsync(0);
    }

    [Theory]
    [EveryVersion<FetchRequest>]
    public async Task What_is_not_committed_is_neither_sent_nor_out_of_range(short version)
    {
        await ProduceAsync(Batches.Of());
        _broker.Storage.Close();
        int sent = await _writer.SendAsync(Ask.Produce("t", Batches.Of()), 9);
        await Eventually.HoldsAsync(() => _broker.Partition("t").Log.AppendedEnd == 2);
        Assert.Equal([(0, 1)], await FetchAsync(0, version));
        Assert.Equal([], await FetchAsync(1, version));
        Assert.Equal([], await FetchAsync(2, version));
        _broker.Storage.Open();
        await _writer.ReceiveAsync<ProduceResponse>(sent, 9);
        Assert.Equal([(1, 1)], await FetchAsync(1, version));
    }

    [Theory]
    [EveryVersion<FetchRequest>]
    public async Task An_offset_outside_of_the_log_is_told_at_once(short version)
    {
        await ProduceAsync(Batches.Of(4));
        _broker.Partition("t").Log.AdvanceStart(2);
        foreach (long offset in (long[])[-1, 1, 5, long.MaxValue])
        {
            Assert.Equal(ErrorCode.OffsetOutOfRange, (await _reader.AskAsync(Fetch(offset, maxWaitMs: int.MaxValue), version)).Single().ErrorCode);
        }
        Assert.Equal([(0, 4)], await FetchAsync(2, version)); // the start lies inside of the batch
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 9)]
    public async Task Another_leader_epoch_is_refused_at_once(short version)
    {
        await LeadAsync(epoch: 4);
        foreach ((int epoch, ErrorCode expected) in ((int, ErrorCode)[])
            [(3, ErrorCode.FencedLeaderEpoch), (4, ErrorCode.None), (5, ErrorCode.UnknownLeaderEpoch), (-1, ErrorCode.None)])
        {
            FetchRequest request = Fetch(0, maxWaitMs: expected == ErrorCode.None ? 0 : int.MaxValue);
            request.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch;
            Assert.Equal(expected, (await _reader.AskAsync(request, version)).Single().ErrorCode);
        }
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 12)]
    public async Task Who_has_records_of_an_epoch_that_the_log_has_not_is_told_where_it_departs(short version)
    {
        await ProduceAsync(Batches.Of(3));
        await LeadAsync(epoch: 4);
        await ProduceAsync(Batches.Of(3));
        FetchRequest request = Fetch(5, maxWaitMs: int.MaxValue);
        request.Topics[0].Partitions[0].LastFetchedEpoch = 2;
        FetchResponse.PartitionData departing = (await _reader.AskAsync(request, version)).Single();
        Assert.Equal((ErrorCode.None, 0), (departing.ErrorCode, departing.Records.Size));
        Assert.Equal((1, 3L), (departing.DivergingEpoch!.Epoch, departing.DivergingEpoch.EndOffset));
        request.Topics[0].Partitions[0].LastFetchedEpoch = 9;
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await _reader.AskAsync(request, version)).Single().ErrorCode);
    }

    [Theory]
    [EveryVersion<FetchRequest>]
    public async Task Batches_of_two_leader_epochs_carry_their_own(short version)
    {
        await ProduceAsync(Batches.Of());
        await LeadAsync(epoch: 4);
        await ProduceAsync(Batches.Of());
        await _broker.RestartAsync(); // from the disk too
        await using TestClient reader = _broker.Connect();
        var epochs = new List<int>();
        for (long next = 0; next < 2;)
        {
            ReadOnlySpan<byte> rest = (await reader.AskAsync(Fetch(next), version)).Single().Records.Span;
            Assert.False(rest.IsEmpty);
            while (RecordBatch.TryRead(rest, out RecordBatch batch) == BatchStatus.Ok)
            {
                epochs.Add(batch.LeaderEpoch);
                next = batch.NextOffset;
                rest = rest[batch.Size..];
            }
        }
        Assert.Equal([1, 4], epochs);
    }

    [Theory]
    [EveryVersion<FetchRequest>]
    public async Task Who_reads_committed_gets_a_list_of_aborted_transactions_and_others_none(short version)
    {
        await ProduceAsync(Batches.Of());
        foreach (sbyte isolation in (sbyte[])[0, 1])
        {
            FetchRequest request = Fetch(0);
            request.IsolationLevel = isolation;
            FetchResponse.PartitionData answer = (await _reader.AskAsync(request, version)).Single();
            Assert.Equal((isolation == 1, 1L, -1), (answer.AbortedTransactions is [], answer.LastStableOffset, answer.PreferredReadReplica));
        }
    }

    private Task LeadAsync(int epoch) => _broker.Control.SetAsync(TestControlPlane.Make("t", _id, 1, leaderEpoch: epoch));

    private async Task ProduceAsync(byte[] batch) =>
        Assert.Equal(ErrorCode.None, (await _writer.AskAsync(Ask.Produce("t", batch), 9)).Single().ErrorCode);

    private FetchRequest Fetch(long offset, int maxWaitMs = 0, int minBytes = 1) => Ask.Fetch("t", offset, maxWaitMs, minBytes, id: _id);

    private async Task<List<(long BaseOffset, int Count)>> FetchAsync(long offset, short version) =>
        Sent(await _reader.AskAsync(Fetch(offset), version));

    private static List<(long BaseOffset, int Count)> Sent(FetchResponse response)
    {
        FetchResponse.PartitionData answer = response.Single();
        Assert.Equal(ErrorCode.None, answer.ErrorCode);
        return Batches.Split(answer.Records.Span);
    }

    private Task ReadersAsync(int count) => Eventually.HoldsAsync(() => _broker.Partition("t").Waiters.Readers == count);
}
