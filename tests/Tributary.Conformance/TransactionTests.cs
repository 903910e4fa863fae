using System.Text.Json;
using System.Text.Json.Nodes;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>Transactions by clients that know nothing of Tributary (KIP-98): all or nothing, for those who read what is committed.</summary>
public sealed class TransactionTests(SharedCloud cloud) : IClassFixture<SharedCloud>
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);
    private readonly string _kafka = cloud.Kafka;

    [Theory]
    [InlineData("commits-1", 1)]
    [InlineData("commits-50", 50)]
    public async Task What_is_committed_is_read_and_what_is_aborted_is_not(string topic, int partitions)
    {
        await CreateAsync(topic, partitions);
        using IProducer<Null, string> producer = Producer(topic);
        producer.InitTransactions(Limit);
        for (int round = 0; round < 4; round++)
        {
            producer.BeginTransaction();
            string name = round % 2 == 0 ? "kept" : "dropped";
            for (int i = 0; i < 100; i++)
            {
                producer.Produce(new TopicPartition(topic, i % partitions), new Message<Null, string> { Value = $"{name} {round} {i}" });
            }
            if (round % 2 == 0)
            {
                producer.CommitTransaction(Limit);
            }
            else
            {
                producer.Flush(Limit); // so that what is aborted has been written
                producer.AbortTransaction(Limit);
            }
        }
        string[] wanted = [.. from round in new[] { 0, 2 } from i in Enumerable.Range(0, 100) select $"kept {round} {i}"];
        List<string> committed = await TransactionReader.ReadUntilAsync(
            _kafka, topic, IsolationLevel.ReadCommitted, values => values.Count >= wanted.Length, cloud.Process.Story);
        Assert.Equal(wanted.Order(), committed.Order());
        List<string> all = await TransactionReader.ReadAsync(_kafka, topic, IsolationLevel.ReadUncommitted);
        Assert.Equal(400, all.Count);
    }

    [Fact]
    public async Task Records_behind_an_open_transaction_wait_for_its_end_unless_uncommitted_ones_are_asked_for()
    {
        const string Topic = "open";
        await CreateAsync(Topic, 1);
        using IProducer<Null, string> producer = Producer(Topic);
        producer.InitTransactions(Limit);
        producer.BeginTransaction();
        producer.Produce(Topic, new Message<Null, string> { Value = "of the transaction" });
        producer.Flush(Limit);
        using (IProducer<Null, string> other = new ProducerBuilder<Null, string>(new ProducerConfig { BootstrapServers = _kafka }).Build())
        {
            await other.ProduceAsync(Topic, new Message<Null, string> { Value = "of nobody" });
        }
        Assert.Empty(await TransactionReader.ReadAsync(_kafka, Topic, IsolationLevel.ReadCommitted));
        Assert.Equal(
            ["of the transaction", "of nobody"], await TransactionReader.ReadAsync(_kafka, Topic, IsolationLevel.ReadUncommitted));
        producer.CommitTransaction(Limit);
        List<string> committed = await TransactionReader.ReadUntilAsync(
            _kafka, Topic, IsolationLevel.ReadCommitted, values => values.Count >= 2, cloud.Process.Story);
        Assert.Equal(["of the transaction", "of nobody"], committed);
    }

    [Fact]
    public async Task A_zombie_is_fenced_and_what_it_had_begun_is_aborted()
    {
        const string Topic = "zombie";
        await CreateAsync(Topic, 2);
        using IProducer<Null, string> zombie = Producer(Topic);
        zombie.InitTransactions(Limit);
        zombie.BeginTransaction();
        zombie.Produce(Topic, new Message<Null, string> { Value = "zombie" });
        zombie.Flush(Limit);
        using IProducer<Null, string> successor = Producer(Topic);
        successor.InitTransactions(Limit);
        successor.BeginTransaction();
        successor.Produce(Topic, new Message<Null, string> { Value = "successor" });
        successor.CommitTransaction(Limit);
        KafkaException fenced = Assert.ThrowsAny<KafkaException>(() => zombie.CommitTransaction(Limit));
        Assert.True(fenced.Error.IsFatal, fenced.Error.ToString());
        List<string> committed = await TransactionReader.ReadUntilAsync(
            _kafka, Topic, IsolationLevel.ReadCommitted, values => values.Count >= 1, cloud.Process.Story);
        Assert.Equal(["successor"], committed);
    }

    [Fact]
    public async Task A_transaction_that_is_open_for_too_long_is_aborted_and_its_producer_fenced()
    {
        const string Topic = "timeout";
        await CreateAsync(Topic, 1);
        using IProducer<Null, string> slow = Producer(Topic, timeoutMs: 1_000);
        slow.InitTransactions(Limit);
        slow.BeginTransaction();
        slow.Produce(Topic, new Message<Null, string> { Value = "too late" });
        slow.Flush(Limit);
        using (IProducer<Null, string> other = new ProducerBuilder<Null, string>(new ProducerConfig { BootstrapServers = _kafka }).Build())
        {
            await other.ProduceAsync(Topic, new Message<Null, string> { Value = "of nobody" });
        }
        List<string> committed = await TransactionReader.ReadUntilAsync(
            _kafka, Topic, IsolationLevel.ReadCommitted, values => values.Count > 0, cloud.Process.Story);
        Assert.Equal(["of nobody"], committed);
        Assert.ThrowsAny<KafkaException>(() => slow.CommitTransaction(Limit));
        Assert.Equal(["of nobody"], await TransactionReader.ReadAsync(_kafka, Topic, IsolationLevel.ReadCommitted));
    }

    [Fact]
    public async Task Offsets_are_committed_with_the_transaction_or_not_at_all()
    {
        const string Topic = "offsets";
        await CreateAsync(Topic, 1);
        using IProducer<Null, string> producer = Producer(Topic);
        producer.InitTransactions(Limit);
        producer.BeginTransaction();
        for (int i = 0; i < 10; i++)
        {
            producer.Produce(Topic, new Message<Null, string> { Value = $"{i}" });
        }
        producer.CommitTransaction(Limit);
        var config = new ConsumerConfig
        {
            BootstrapServers = _kafka,
            GroupId = "offsets-readers",
            EnableAutoCommit = false,
            AutoOffsetReset = AutoOffsetReset.Earliest,
            IsolationLevel = IsolationLevel.ReadCommitted,
        };
        using IConsumer<Null, string> consumer = new ConsumerBuilder<Null, string>(config).SetLogHandler((_, _) => { }).Build();
        consumer.Subscribe(Topic);
        ConsumeResult<Null, string> fourth = await ConsumeAsync(consumer, "4");
        var partition = new TopicPartition(Topic, 0);

        producer.BeginTransaction();
        producer.SendOffsetsToTransaction([new TopicPartitionOffset(partition, fourth.Offset)], consumer.ConsumerGroupMetadata, Limit);
        producer.AbortTransaction(Limit);
        Assert.Equal(Offset.Unset, consumer.Committed([partition], Limit).Single().Offset);

        producer.BeginTransaction();
        producer.SendOffsetsToTransaction([new TopicPartitionOffset(partition, fourth.Offset + 1)], consumer.ConsumerGroupMetadata, Limit);
        producer.CommitTransaction(Limit);
        Assert.Equal(fourth.Offset + 1, consumer.Committed([partition], Limit).Single().Offset);
        consumer.Close();
    }

    [Theory]
    [InlineData(NodeClientKind.Kafkajs)]
    [InlineData(NodeClientKind.Platformatic)]
    public async Task Clients_of_Node_js_commit_abort_and_hand_offsets_over(NodeClientKind client)
    {
        string topic = $"{client}-transactions".ToLowerInvariant();
        await CreateAsync(topic, 3);
        await CreateAsync(topic + "-out", 3);
        List<JsonElement> lines = await NodeClient.RunAsync(
            client, "transactions", _kafka, new JsonObject { ["topic"] = topic, ["out"] = topic + "-out", ["group"] = topic });
        JsonElement told = lines.Single(line => line.GetProperty("event").GetString() == "transactions");
        Assert.True(told.GetProperty("fenced").GetBoolean(), told.ToString());
        string[] kept = [.. Enumerable.Range(0, 30).Select(i => $"kept {i}")];
        List<string> committed = await TransactionReader.ReadUntilAsync(
            _kafka, topic, IsolationLevel.ReadCommitted, values => values.Count >= kept.Length, cloud.Process.Story);
        Assert.Equal(kept.Order(), committed.Order());
        Assert.Equal(60, (await TransactionReader.ReadAsync(_kafka, topic, IsolationLevel.ReadUncommitted)).Count);
        List<string> passed = await TransactionReader.ReadUntilAsync(
            _kafka, topic + "-out", IsolationLevel.ReadCommitted, values => values.Count >= kept.Length, cloud.Process.Story);
        Assert.Equal(kept.Select(value => $"passed {value}").Order(), passed.Order());
        Assert.Equal(kept.Order(), told.GetProperty("seen").EnumerateArray().Select(value => value.GetString()).Order());
    }

    private static Task<ConsumeResult<Null, string>> ConsumeAsync(IConsumer<Null, string> consumer, string value) =>
        Until.AnswerAsync(() => Task.FromResult(
            consumer.Consume(TimeSpan.FromMilliseconds(100)) is { } result && result.Message.Value == value ? result : null));

    private async Task CreateAsync(string topic, int partitions)
    {
        using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = _kafka }).SetLogHandler((_, _) => { }).Build();
        await admin.CreateTopicsAsync([new TopicSpecification { Name = topic, NumPartitions = partitions, ReplicationFactor = 1 }]);
    }

    private IProducer<Null, string> Producer(string id, int timeoutMs = 60_000) => new ProducerBuilder<Null, string>(new ProducerConfig
    {
        BootstrapServers = _kafka,
        TransactionalId = id,
        TransactionTimeoutMs = timeoutMs,
        LingerMs = 0,
    }).SetLogHandler((_, _) => { }).SetErrorHandler((_, _) => { }).Build();
}
