using Tributary.Broker;
using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>What producers and administrators ask of the coordinator of transactions, by raw requests.</summary>
public sealed class TransactionTests : IAsyncLifetime
{
    private const string Id = "tx";
    private readonly TestBroker _broker = new(new BrokerOptions { Transactions = new() { CompletionWait = TimeSpan.Zero, MaxIdLength = 10 } });
    private TestClient _client = null!;

    public async ValueTask InitializeAsync()
    {
        await _broker.CreateTopicAsync("t", partitions: 2);
        _client = _broker.Connect();
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _broker.DisposeAsync();
    }

    [Theory]
    [EveryVersion<InitProducerIdRequest>]
    public async Task A_transactional_id_keeps_its_producer_id_and_each_producer_gets_the_next_epoch(short version)
    {
        InitProducerIdResponse first = await InitAsync(version);
        InitProducerIdResponse second = await InitAsync(version);
        InitProducerIdResponse other = await InitAsync(version, "ty");
        Assert.Equal((ErrorCode.None, ErrorCode.None, ErrorCode.None), (first.ErrorCode, second.ErrorCode, other.ErrorCode));
        Assert.Equal((first.ProducerId, (short)0, (short)1), (second.ProducerId, first.ProducerEpoch, second.ProducerEpoch));
        Assert.NotEqual(first.ProducerId, other.ProducerId);
    }

    [Theory]
    [EveryVersion<InitProducerIdRequest>(Since = 3)]
    public async Task A_producer_that_says_what_it_had_goes_on_and_one_that_was_fenced_is_told_so(short version)
    {
        InitProducerIdResponse first = await InitAsync(version);
        InitProducerIdResponse second = await InitAsync(version, had: first);
        InitProducerIdResponse again = await InitAsync(version, had: first);
        Assert.Equal((first.ProducerId, (short)1), (second.ProducerId, second.ProducerEpoch));
        Assert.Equal((first.ProducerId, (short)1), (again.ProducerId, again.ProducerEpoch));
        await InitAsync(version);
        InitProducerIdResponse fenced = await InitAsync(version, had: second);
        Assert.Equal(
            (version >= 4 ? ErrorCode.ProducerFenced : ErrorCode.InvalidProducerEpoch, -1L, (short)-1),
            (fenced.ErrorCode, fenced.ProducerId, fenced.ProducerEpoch));
        Assert.Equal(ErrorCode.InvalidRequest, (await InitAsync(version, had: new() { ProducerId = 5, ProducerEpoch = -1 })).ErrorCode);
    }

    [Theory]
    [EveryVersion<InitProducerIdRequest>]
    public async Task A_producer_id_is_not_given_for_an_id_or_a_timeout_that_cannot_be(short version)
    {
        Assert.Equal(ErrorCode.InvalidRequest, (await InitAsync(version, "")).ErrorCode);
        Assert.Equal(ErrorCode.InvalidRequest, (await InitAsync(version, "12345678901")).ErrorCode);
        Assert.Equal(ErrorCode.InvalidTransactionTimeout, (await InitAsync(version, timeoutMs: 900_001)).ErrorCode);
        Assert.Equal(ErrorCode.InvalidTransactionTimeout, (await InitAsync(version, timeoutMs: 0)).ErrorCode);
    }

    [Theory]
    [EveryVersion<InitProducerIdRequest>]
    public async Task What_the_producer_before_had_begun_is_aborted_first(short version)
    {
        TransactionalClient zombie = await BeginAsync();
        _broker.Transactions.Answer = () => ErrorCode.NotLeaderOrFollower;
        Assert.Equal(ErrorCode.ConcurrentTransactions, (await InitAsync(version)).ErrorCode);
        Assert.Equal(ErrorCode.ConcurrentTransactions, (await InitAsync(version)).ErrorCode);
        _broker.Transactions.Answer = null;
        InitProducerIdResponse given = new() { ErrorCode = ErrorCode.ConcurrentTransactions };
        await WaitAsync(async () => (given = await InitAsync(version)).ErrorCode == ErrorCode.None);
        Assert.Equal((zombie.Producer.ProducerId, (short)2), (given.ProducerId, given.ProducerEpoch));
        Assert.Equal(ErrorCode.ProducerFenced, await zombie.AddAsync("t", 0));
    }

    [Theory]
    [EveryVersion<AddPartitionsToTxnRequest>]
    public async Task Partitions_are_added_all_or_none(short version)
    {
        InitProducerIdResponse given = await InitAsync(5);
        AddPartitionsToTxnResponse response = await AddAsync(version, given, ("t", [0, 2]), ("nowhere", [0]));
        Assert.Equal(
            [("t", 0, ErrorCode.OperationNotAttempted), ("t", 2, ErrorCode.UnknownTopicOrPartition), ("nowhere", 0, ErrorCode.UnknownTopicOrPartition)],
            ResultsOf(response));
        Assert.Equal("Empty", (await DescribeAsync()).State);

        response = await AddAsync(version, given, ("t", [0, 1]));
        Assert.Equal([("t", 0, ErrorCode.None), ("t", 1, ErrorCode.None)], ResultsOf(response));
        Assert.Equal("Ongoing", (await DescribeAsync()).State);
        Assert.Empty(ResultsOf(await AddAsync(version, given)));
    }

    [Theory]
    [EveryVersion<AddPartitionsToTxnRequest>]
    public async Task Partitions_are_refused_to_who_may_not_write_in_the_words_of_the_version(short version)
    {
        InitProducerIdResponse given = await InitAsync(5);
        given.ProducerEpoch++;
        Assert.Equal(Fenced(version), ResultsOf(await AddAsync(version, given, ("t", [0]))).Single().Error);
        given.ProducerId++;
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, ResultsOf(await AddAsync(version, given, ("t", [0]))).Single().Error);
        _broker.Transactions.Failure = new IOException("the test fails it");
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, ResultsOf(await AddAsync(version, given, ("t", [0]))).Single().Error);
    }

    [Theory]
    [EveryVersion<AddOffsetsToTxnRequest>]
    public async Task Groups_are_added_or_refused_in_the_words_of_the_version(short version)
    {
        InitProducerIdResponse given = await InitAsync(5);
        Assert.Equal(ErrorCode.None, await AddGroupAsync(version, given, "g"));
        Assert.Equal("Ongoing", (await DescribeAsync()).State);
        Assert.Equal(ErrorCode.InvalidGroupId, await AddGroupAsync(version, given, ""));
        given.ProducerEpoch++;
        Assert.Equal(Fenced(version), await AddGroupAsync(version, given, "g"));
        given.ProducerId++;
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, await AddGroupAsync(version, given, "g"));
        _broker.Transactions.Failure = new IOException("the test fails it");
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, await AddGroupAsync(version, given, "g"));
    }

    [Theory]
    [EveryVersion<EndTxnRequest>(true)]
    [EveryVersion<EndTxnRequest>(false)]
    public async Task A_transaction_ends_in_every_partition_and_its_end_may_be_repeated(short version, bool commit)
    {
        TransactionalClient producer = await BeginAsync();
        Assert.Equal(ErrorCode.None, await EndAsync(version, producer.Producer, commit));
        string expected = commit ? "CompleteCommit" : "CompleteAbort";
        await WaitAsync(async () => (await DescribeAsync()).State == expected);
        Assert.Equal(ErrorCode.None, await EndAsync(version, producer.Producer, commit));
        Assert.Equal(ErrorCode.InvalidTxnState, await EndAsync(version, producer.Producer, !commit));
        Assert.Equal(["t-0", "t-1"], _broker.Transactions.Marked.Select(one => one.Where).Order());
        Assert.All(_broker.Transactions.Marked, one => Assert.Equal(commit, one.Marker.IsCommit));
        Assert.Equal(1, _broker.Partition("t").HighWatermark); // the marker
    }

    [Theory]
    [EveryVersion<EndTxnRequest>]
    public async Task An_end_is_refused_to_who_may_not_write_in_the_words_of_the_version(short version)
    {
        ProducerIdentity producer = (await BeginAsync()).Producer;
        Assert.Equal(Fenced(version), await EndAsync(version, producer with { Epoch = 1 }, true));
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, await EndAsync(version, producer with { ProducerId = 1 }, true));
        Assert.Equal(ErrorCode.InvalidRequest, await EndAsync(version, producer, true, ""));
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, await EndAsync(version, producer, true, "unknown"));
        _broker.Transactions.Failure = new IOException("the test fails it");
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, await EndAsync(version, producer, true));
    }

    [Fact]
    public async Task A_transaction_is_described_with_what_is_open_of_it()
    {
        TransactionalClient producer = await BeginAsync();
        DescribeTransactionsResponse response = await _client.AskAsync(
            new DescribeTransactionsRequest { TransactionalIds = [Id, "unknown", ""] }, 0);
        DescribeTransactionsResponse.TransactionState state = response.TransactionStates[0];
        Assert.Equal(
            (ErrorCode.None, Id, "Ongoing", 60_000, producer.Producer.ProducerId, producer.Producer.Epoch),
            (state.ErrorCode, state.TransactionalId, state.State, state.TransactionTimeoutMs, state.ProducerId, state.ProducerEpoch));
        Assert.Equal(_broker.Time.GetUtcNow().ToUnixTimeMilliseconds(), state.TransactionStartTimeMs);
        Assert.Equal(("t", "0 1"), (state.Topics.Single().Topic, string.Join(' ', state.Topics.Single().Partitions)));
        Assert.Equal(
            [("unknown", ErrorCode.TransactionalIdNotFound), ("", ErrorCode.InvalidRequest)],
            response.TransactionStates[1..].Select(one => (one.TransactionalId, one.ErrorCode)));

        _broker.Transactions.Answer = () => ErrorCode.NotLeaderOrFollower;
        await producer.EndAsync(commit: true);
        Assert.Equal(("PrepareCommit", 2), ((await DescribeAsync()).State, (await DescribeAsync()).Topics.Single().Partitions.Length));
        _broker.Transactions.Answer = null;
        await WaitAsync(async () => (await DescribeAsync()).State == "CompleteCommit");
        Assert.Empty((await DescribeAsync()).Topics);
        _broker.Transactions.Failure = new IOException("the test fails it");
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, (await DescribeAsync()).ErrorCode);
    }

    [Theory]
    [EveryVersion<ListTransactionsRequest>]
    public async Task Transactions_are_listed_by_state_producer_and_duration(short version)
    {
        await InitAsync(5, "empty");
        long open = (await BeginAsync()).Producer.ProducerId;
        Assert.Equal(["empty Empty", "tx Ongoing"], await ListAsync(version));
        Assert.Equal(["tx Ongoing"], await ListAsync(version, states: ["Ongoing", "PrepareCommit"]));
        Assert.Equal(["tx Ongoing"], await ListAsync(version, producers: [open, 99]));
        Assert.Empty(await ListAsync(version, states: ["Empty"], producers: [open]));
        Assert.Empty(await ListAsync(version, states: ["nonsense"], unknown: "nonsense"));
        if (version >= 1)
        {
            Assert.Empty(await ListAsync(version, duration: 0));
            _broker.Time.Advance(TimeSpan.FromMilliseconds(500));
            Assert.Equal(["tx Ongoing"], await ListAsync(version, duration: 499));
            Assert.Empty(await ListAsync(version, duration: 500));
        }
        _broker.Transactions.Failure = new IOException("the test fails it");
        Assert.Equal(
            ErrorCode.CoordinatorNotAvailable, (await _client.AskAsync(new ListTransactionsRequest(), version)).ErrorCode);
    }

    private static ErrorCode Fenced(short version) => version >= 2 ? ErrorCode.ProducerFenced : ErrorCode.InvalidProducerEpoch;

    private async Task WaitAsync(Func<Task<bool>> holds)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!await holds())
        {
            _broker.Time.Advance(TimeSpan.FromMilliseconds(20)); // a marker that failed is tried again after a while
            await Task.Delay(1, deadline.Token);
        }
    }

    private static IEnumerable<(string Topic, int Index, ErrorCode Error)> ResultsOf(AddPartitionsToTxnResponse response) =>
        response.ResultsByTopic.SelectMany(topic => topic.ResultsByPartition.Select(one => (topic.Name, one.PartitionIndex, one.PartitionErrorCode)));

    private async Task<TransactionalClient> BeginAsync()
    {
        var producer = new TransactionalClient(_client, Id);
        Assert.Equal(ErrorCode.None, await producer.InitializeAsync());
        Assert.Equal(ErrorCode.None, await producer.AddAsync("t", 0, 1));
        return producer;
    }

    private Task<InitProducerIdResponse> InitAsync(
        short version, string id = Id, InitProducerIdResponse? had = null, int timeoutMs = 60_000) => _client.AskAsync(
        new InitProducerIdRequest
        {
            TransactionalId = id,
            TransactionTimeoutMs = timeoutMs,
            ProducerId = had?.ProducerId ?? -1,
            ProducerEpoch = had?.ProducerEpoch ?? -1,
        },
        version);

    private Task<AddPartitionsToTxnResponse> AddAsync(
        short version, InitProducerIdResponse producer, params (string Topic, int[] Partitions)[] topics) => _client.AskAsync(
        new AddPartitionsToTxnRequest
        {
            TransactionalId = Id,
            ProducerId = producer.ProducerId,
            ProducerEpoch = producer.ProducerEpoch,
            Topics = [.. topics.Select(topic => new AddPartitionsToTxnRequest.AddPartitionsToTxnTopic { Name = topic.Topic, Partitions = topic.Partitions })],
        },
        version);

    private async Task<ErrorCode> AddGroupAsync(short version, InitProducerIdResponse producer, string group) => (await _client.AskAsync(
        new AddOffsetsToTxnRequest
        {
            TransactionalId = Id,
            ProducerId = producer.ProducerId,
            ProducerEpoch = producer.ProducerEpoch,
            GroupId = group,
        },
        version)).ErrorCode;

    private async Task<ErrorCode> EndAsync(short version, ProducerIdentity producer, bool commit, string id = Id) => (await _client.AskAsync(
        new EndTxnRequest { TransactionalId = id, ProducerId = producer.ProducerId, ProducerEpoch = producer.Epoch, Committed = commit },
        version)).ErrorCode;

    private async Task<DescribeTransactionsResponse.TransactionState> DescribeAsync() =>
        (await _client.AskAsync(new DescribeTransactionsRequest { TransactionalIds = [Id] }, 0)).TransactionStates.Single();

    private async Task<string[]> ListAsync(
        short version, string[]? states = null, long[]? producers = null, long duration = -1, string? unknown = null)
    {
        ListTransactionsResponse response = await _client.AskAsync(
            new ListTransactionsRequest { StateFilters = states ?? [], ProducerIdFilters = producers ?? [], DurationFilter = duration }, version);
        Assert.Equal(ErrorCode.None, response.ErrorCode);
        Assert.Equal(unknown is null ? [] : [unknown], response.UnknownStateFilters);
        return [.. response.TransactionStates.Select(one => $"{one.TransactionalId} {one.State}")];
    }
}
