using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class IdempotenceTests
{
    private const long Id = 4711;

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task Each_of_the_last_five_batches_sent_again_is_answered_with_its_original_offset(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        for (int i = 0; i < 6; i++)
        {
            Assert.Equal((ErrorCode.None, 3 * i), await SendAsync(client, version, sequence: 3 * i, records: 3));
        }
        for (int i = 5; i >= 1; i--)
        {
            Assert.Equal((ErrorCode.None, 3 * i), await SendAsync(client, version, sequence: 3 * i, records: 3));
        }
        Assert.Equal((ErrorCode.OutOfOrderSequenceNumber, -1), await SendAsync(client, version, sequence: 0, records: 3));
        Assert.Equal(18, broker.Partition("t").Log.AppendedEnd);
        Assert.Equal(18, broker.Server.Metrics.ProducedRecords);
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task A_sequence_that_is_not_the_next_one_is_refused(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await SendAsync(client, version, sequence: 0, records: 2);
        Assert.Equal((ErrorCode.OutOfOrderSequenceNumber, -1), await SendAsync(client, version, sequence: 3, records: 1));
        Assert.Equal((ErrorCode.OutOfOrderSequenceNumber, -1), await SendAsync(client, version, sequence: 1, records: 1));
        Assert.Equal((ErrorCode.None, 2), await SendAsync(client, version, sequence: 2, records: 1));
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task A_producer_that_is_not_known_may_begin_anywhere(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        Assert.Equal((ErrorCode.None, 0), await SendAsync(client, version, sequence: 12345, records: 1));
        Assert.Equal((ErrorCode.None, 1), await SendAsync(client, version, sequence: 12346, records: 1));
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task A_sequence_wraps_to_0_within_a_batch_and_between_two(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t", partitions: 2);
        await using TestClient client = broker.Connect();
        await SendAsync(client, version, sequence: int.MaxValue - 1, records: 1);
        Assert.Equal((ErrorCode.None, 1), await SendAsync(client, version, sequence: int.MaxValue, records: 3));
        Assert.Equal((ErrorCode.None, 1), await SendAsync(client, version, sequence: int.MaxValue, records: 3));
        Assert.Equal((ErrorCode.None, 4), await SendAsync(client, version, sequence: 2, records: 1));
        await SendAsync(client, version, sequence: int.MaxValue, records: 1, partition: 1);
        Assert.Equal((ErrorCode.None, 1), await SendAsync(client, version, sequence: 0, records: 1, partition: 1));
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task A_new_epoch_begins_with_0_and_fences_the_one_before(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await SendAsync(client, version, sequence: 0, records: 5);
        Assert.Equal((ErrorCode.OutOfOrderSequenceNumber, -1), await SendAsync(client, version, sequence: 5, records: 1, epoch: 1));
        Assert.Equal((ErrorCode.None, 5), await SendAsync(client, version, sequence: 0, records: 1, epoch: 1));
        Assert.Equal((ErrorCode.InvalidProducerEpoch, -1), await SendAsync(client, version, sequence: 5, records: 1));
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task Five_in_flight_sent_again_on_another_connection_are_there_once(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient first = broker.Connect();
        await using TestClient second = broker.Connect();
        broker.Storage.Close();
        for (int i = 0; i < 5; i++)
        {
            await first.SendAsync(Request(sequence: i, records: 1), version);
        }
        await Eventually.HoldsAsync(() => broker.Partition("t").Log.AppendedEnd == 5);
        var again = new List<int>();
        for (int i = 0; i < 5; i++)
        {
            again.Add(await second.SendAsync(Request(sequence: i, records: 1), version));
        }
        await Eventually.HoldsAsync(() => broker.Partition("t").Waiters.Waiting == 10);
        Assert.False(second.HasResponse());
        broker.Storage.Open();
        for (int i = 0; i < 5; i++)
        {
            ProduceResponse.PartitionProduceResponse answer = (await second.ReceiveAsync<ProduceResponse>(again[i], version)).Single();
            Assert.Equal((ErrorCode.None, i), (answer.ErrorCode, answer.BaseOffset));
        }
        Assert.Equal(5, broker.Partition("t").Log.AppendedEnd);
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task A_duplicate_of_a_batch_whose_flush_fails_fails_too_and_may_be_sent_again(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient first = broker.Connect();
        await using TestClient second = broker.Connect();
        await SendAsync(first, version, sequence: 0, records: 1);
        broker.Storage.Close();
        int original = await first.SendAsync(Request(sequence: 1, records: 1), version);
        await Eventually.HoldsAsync(() => broker.Storage.HeldUp > 0);
        int duplicate = await second.SendAsync(Request(sequence: 1, records: 1), version);
        await Eventually.HoldsAsync(() => broker.Partition("t").Waiters.Waiting == 2);
        broker.Storage.FailNextFlush();
        broker.Storage.Open();
        Assert.Equal(StorageError(version), (await first.ReceiveAsync<ProduceResponse>(original, version)).Single().ErrorCode);
        Assert.Equal(StorageError(version), (await second.ReceiveAsync<ProduceResponse>(duplicate, version)).Single().ErrorCode);
        Assert.Equal((ErrorCode.None, 1), await SendAsync(second, version, sequence: 1, records: 1));
        Assert.Equal((ErrorCode.None, 1), await SendAsync(first, version, sequence: 1, records: 1));
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task What_follows_a_lost_first_batch_is_not_taken_for_the_first(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        broker.Storage.FailNextFlush();
        Assert.Equal((StorageError(version), -1), await SendAsync(client, version, sequence: 7, records: 2));
        Assert.Equal((ErrorCode.OutOfOrderSequenceNumber, -1), await SendAsync(client, version, sequence: 9, records: 1));
        Assert.Equal((ErrorCode.None, 0), await SendAsync(client, version, sequence: 7, records: 2));
        Assert.Equal((ErrorCode.None, 2), await SendAsync(client, version, sequence: 9, records: 1));
    }

    [Theory]
    [EveryVersion<ProduceRequest>]
    public async Task After_a_lost_first_batch_a_new_epoch_may_begin(short version)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        broker.Storage.FailNextFlush();
        await SendAsync(client, version, sequence: 7, records: 2);
        Assert.Equal((ErrorCode.OutOfOrderSequenceNumber, -1), await SendAsync(client, version, sequence: 9, records: 1, epoch: 1));
        Assert.Equal((ErrorCode.None, 0), await SendAsync(client, version, sequence: 0, records: 1, epoch: 1));
        Assert.Equal((ErrorCode.InvalidProducerEpoch, -1), await SendAsync(client, version, sequence: 7, records: 2));
    }

    [Theory]
    [EveryVersion<InitProducerIdRequest>]
    public async Task A_producer_id_is_handed_out_once(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        InitProducerIdResponse first = await client.AskAsync(new InitProducerIdRequest(), version);
        InitProducerIdResponse second = await client.AskAsync(new InitProducerIdRequest(), version);
        Assert.Equal((ErrorCode.None, ErrorCode.None), (first.ErrorCode, second.ErrorCode));
        Assert.Equal((0, 0), (first.ProducerEpoch, second.ProducerEpoch));
        Assert.NotEqual(first.ProducerId, second.ProducerId);
    }

    [Theory]
    [EveryVersion<InitProducerIdRequest>]
    public async Task A_producer_id_that_cannot_be_had_is_an_error_that_clients_try_again(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        broker.Control.Failure = new IOException("no store");
        InitProducerIdResponse refused = await client.AskAsync(new InitProducerIdRequest(), version);
        Assert.Equal((ErrorCode.CoordinatorLoadInProgress, -1L, (short)-1), (refused.ErrorCode, refused.ProducerId, refused.ProducerEpoch));
    }

    [Theory]
    [EveryVersion<InitProducerIdRequest>]
    public async Task A_transactional_producer_without_a_timeout_is_refused(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        InitProducerIdResponse refused = await client.AskAsync(new InitProducerIdRequest { TransactionalId = "tx" }, version);
        Assert.Equal(ErrorCode.InvalidTransactionTimeout, refused.ErrorCode);
    }

    private static ErrorCode StorageError(short version) => version >= 4 ? ErrorCode.KafkaStorageError : ErrorCode.NotLeaderOrFollower;

    private static ProduceRequest Request(int sequence, int records, short epoch = 0, int partition = 0) =>
        Ask.Produce("t", Batches.Of(records, new BatchProducer(Id, epoch, sequence)), partition: partition);

    private static async Task<(ErrorCode Error, long BaseOffset)> SendAsync(
        TestClient client, short version, int sequence, int records, short epoch = 0, int partition = 0)
    {
        ProduceResponse.PartitionProduceResponse answer =
            (await client.AskAsync(Request(sequence, records, epoch, partition), version)).Single();
        return (answer.ErrorCode, answer.BaseOffset);
    }
}
