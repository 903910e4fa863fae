using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>
/// Idempotent producers with five requests in flight, against flushes that fail and power cuts, from a seed. A producer sends again from
/// the first record that isn't acknowledged, as Kafka's clients do.
/// </summary>
public sealed class ExactlyOnceTests
{
    private const int Producers = 3;
    private const int InFlight = 5;
    private const int Rounds = 40;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Every_record_is_in_the_log_once_and_in_order_and_where_its_answer_said(int seed)
    {
        var random = new Random(seed);
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        Producer[] producers = [.. Enumerable.Range(0, Producers).Select(id => new Producer(id, broker.Connect()))];
        for (int round = 0; round < Rounds; round++)
        {
            switch (random.Next(4))
            {
                case 0:
                    await CrashAsync(broker, producers, random);
                    break;
                case 1:
                    broker.Storage.FailNextFlush();
                    goto default;
                default:
                    await SendAsync(producers, random);
                    await Task.WhenAll(producers.Select(producer => producer.ReceiveAsync()));
                    break;
            }
        }
        do
        {
            await SendAsync(producers, random); // a flush that was to fail may still be to come
            await Task.WhenAll(producers.Select(producer => producer.ReceiveAsync()));
        }
        while (producers.Any(producer => producer.HasUnacknowledged));
        await CheckAsync(broker, producers);
        Array.ForEach(producers, producer => producer.Client.Output.Complete());
    }

    private static async Task SendAsync(Producer[] producers, Random random)
    {
        foreach (Producer producer in producers)
        {
            await producer.SendAsync(random.Next(1, InFlight + 1));
        }
    }

    private static async Task CrashAsync(TestBroker broker, Producer[] producers, Random random)
    {
        long before = broker.Partition("t").Log.AppendedEnd;
        if (random.Next(2) == 0)
        {
            broker.Storage.Close();
        }
        await SendAsync(producers, random);
        await Eventually.HoldsAsync(
            () => broker.Partition("t").Log.AppendedEnd > before || producers.All(producer => producer.Client.HasResponse()));
        foreach (Producer producer in producers)
        {
            await producer.Client.DisposeAsync();
        }
        await broker.CrashAsync();
        foreach (Producer producer in producers)
        {
            producer.Reconnect(broker.Connect());
        }
    }

    private static async Task CheckAsync(TestBroker broker, Producer[] producers)
    {
        await using TestClient reader = broker.Connect();
        var next = new int[producers.Length];
        long offset = 0;
        long end = broker.Partition("t").HighWatermark;
        while (offset < end)
        {
            ReadOnlyMemory<byte> rest = (await reader.AskAsync(Ask.Fetch("t", offset), 11)).Single().Records.Memory;
            while (RecordBatch.TryRead(rest.Span, out RecordBatch batch) == BatchStatus.Ok)
            {
                Assert.Equal(offset, batch.BaseOffset);
                Assert.Equal(next[batch.ProducerId]++, batch.BaseSequence);
                Assert.Equal(offset, producers[batch.ProducerId].OffsetOf(batch.BaseSequence));
                offset = batch.NextOffset;
                rest = rest[batch.Size..];
            }
        }
        Assert.Equal(producers.Select(producer => producer.Count), next);
    }

    private sealed class Producer(int id, TestClient client)
    {
        private readonly SortedDictionary<int, long> _acknowledged = [];
        private readonly List<(int CorrelationId, int Sequence)> _inFlight = [];

        public TestClient Client { get; private set; } = client;

        /// <summary>Records that were ever sent.</summary>
        public int Count { get; private set; }

        public bool HasUnacknowledged => _acknowledged.Count < Count;

        public long OffsetOf(int sequence) => _acknowledged[sequence];

        public async Task SendAsync(int count)
        {
            int first = Enumerable.Range(0, Count + 1).First(sequence => !_acknowledged.ContainsKey(sequence));
            for (int sequence = first; sequence < first + count; sequence++)
            {
                byte[] batch = Batches.Of(1, new BatchProducer(id, 0, sequence));
                _inFlight.Add((await Client.SendAsync(Ask.Produce("t", batch), 9), sequence));
                Count = Math.Max(Count, sequence + 1);
            }
        }

        public async Task ReceiveAsync()
        {
            foreach ((int correlationId, int sequence) in _inFlight)
            {
                ProduceResponse.PartitionProduceResponse answer = (await Client.ReceiveAsync<ProduceResponse>(correlationId, 9)).Single();
                if (answer.ErrorCode == ErrorCode.None)
                {
                    Assert.True(_acknowledged.TryAdd(sequence, answer.BaseOffset) || _acknowledged[sequence] == answer.BaseOffset);
                }
                else
                {
                    Assert.Contains(answer.ErrorCode, (ErrorCode[])[ErrorCode.KafkaStorageError, ErrorCode.OutOfOrderSequenceNumber]);
                }
            }
            _inFlight.Clear();
        }

        public void Reconnect(TestClient client)
        {
            Client = client;
            _inFlight.Clear();
        }
    }
}
