using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Broker.Transactions;
using Tributary.Cloud;
using Tributary.Cloud.Storage;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Cloud.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Cloud.Grains;

public sealed class TransactionGrainTests : IDisposable
{
    private const string Id = "tx";
    private const int TimeoutMs = 60_000;
    private static readonly TransactionPartition[] Two = [new("t", Guid.NewGuid(), 0), new("u", Guid.NewGuid(), 3)];
    private readonly TemporaryDirectory _directory = new();
    private readonly FakeTimeProvider _time = new();
    private readonly TestTransactions _participants = new();

    public void Dispose()
    {
        _participants.Dispose();
        _directory.Dispose();
    }

    [Fact]
    public async Task A_transaction_is_decided_on_and_described_by_a_grain()
    {
        await using TestSilo silo = await StartAsync();
        ProducerIdentity producer = await BeginAsync(silo);
        Assert.Equal(ErrorCode.None, await silo.Transactions.VerifyAsync(Id, producer, Two[1], default));
        Assert.Equal(ErrorCode.InvalidTxnState, await silo.Transactions.VerifyAsync(Id, producer, Two[1] with { Index = 4 }, default));
        Assert.Equal(new VerifiedGroup(ErrorCode.None, 0), await silo.Transactions.VerifyGroupAsync(Id, producer, "g", default));
        TransactionDescription described = (await silo.Transactions.DescribeAsync(Id, default))!;
        Assert.Equal((TransactionState.Ongoing, producer, TimeoutMs), (described.State, described.Producer, described.TimeoutMs));
        Assert.Equal(Two, described.Partitions);
        Assert.Equal(ErrorCode.None, await silo.Transactions.EndAsync(Id, producer, true, default));
        await HasStateAsync(silo, TransactionState.CompleteCommit);
        Assert.Equal(["g", "t-0", "u-3"], _participants.Marked.Select(one => one.Where).Order());
        Assert.Null(await silo.Transactions.DescribeAsync("unknown", default));
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, await silo.Transactions.EndAsync("unknown", producer, true, default));
        Assert.Equal([Id], (await silo.Transactions.ListAsync(null, 10, default)).Select(one => one.TransactionalId));
    }

    [Fact]
    public async Task After_a_crash_what_was_decided_is_told_everywhere_by_itself_and_producers_go_on()
    {
        TestSilo silo = await StartAsync();
        ProducerIdentity producer = await BeginAsync(silo);
        _participants.Answer = () => ErrorCode.NotLeaderOrFollower;
        Assert.Equal(ErrorCode.None, await silo.Transactions.EndAsync(Id, producer, true, default));
        await silo.KillAsync();
        _participants.Answer = null;

        await using TestSilo again = await StartAsync();
        using TransactionUpkeep upkeep = NewUpkeep(again);
        await upkeep.StartAsync(default);
        await HasStateAsync(again, TransactionState.CompleteCommit);
        Assert.Single(_participants.Marked.Select(one => one.Marker).Distinct());
        Assert.Equal(ErrorCode.None, await again.Transactions.AddPartitionsAsync(Id, producer, Two, default));
        await upkeep.StopAsync(default);
    }

    [Fact]
    public async Task After_a_crash_what_was_open_is_aborted_when_its_time_is_over()
    {
        TestSilo silo = await StartAsync();
        ProducerIdentity producer = await BeginAsync(silo);
        await silo.KillAsync();

        await using TestSilo again = await StartAsync();
        using TransactionUpkeep upkeep = NewUpkeep(again);
        await upkeep.StartAsync(default);
        Assert.Equal(ErrorCode.None, await again.Transactions.VerifyAsync(Id, producer, Two[0], default));
        _time.Advance(TimeSpan.FromMilliseconds(TimeoutMs));
        await HasStateAsync(again, TransactionState.CompleteAbort);
        Assert.Equal(ErrorCode.ProducerFenced, await again.Transactions.EndAsync(Id, producer, true, default));
        await upkeep.StopAsync(default);
    }

    [Fact]
    public async Task Ids_that_nobody_uses_are_forgotten()
    {
        await using TestSilo silo = await StartAsync();
        await Task.WhenAll(Enumerable.Range(0, 50).Select(n => silo.Transactions.InitializeAsync($"id-{n:D2}", TimeoutMs, null, default)));
        Assert.Equal(50, (await silo.Transactions.ListAsync(null, 100, default)).Count);
        _time.Advance(TimeSpan.FromDays(8));
        await silo.Transactions.ExpireAsync(_time.GetUtcNow().AddDays(-7).ToUnixTimeMilliseconds(), default);
        Assert.Empty(await silo.Transactions.ListAsync(null, 100, default));
    }

    private static async Task<ProducerIdentity> BeginAsync(TestSilo silo)
    {
        InitializedProducer given = await silo.Transactions.InitializeAsync(Id, TimeoutMs, null, default);
        Assert.Equal(ErrorCode.None, given.Error);
        Assert.Equal(ErrorCode.None, await silo.Transactions.AddPartitionsAsync(Id, given.Producer, Two, default));
        Assert.Equal(ErrorCode.None, await silo.Transactions.AddGroupAsync(Id, given.Producer, "g", default));
        return given.Producer;
    }

    private Task<TestSilo> StartAsync() =>
        TestSilo.StartAsync(_directory.File(ControlDatabase.FileName), groupTime: _time, participants: _participants);

    private TransactionUpkeep NewUpkeep(TestSilo silo) =>
        new(new TransactionOptions(), silo.Transactions, _time, NullLogger<TransactionUpkeep>.Instance);

    private async Task HasStateAsync(TestSilo silo, TransactionState expected)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while ((await silo.Transactions.DescribeAsync(Id, default))?.State != expected)
        {
            _time.Advance(TimeSpan.FromMilliseconds(10));
            await Task.Delay(1, deadline.Token);
        }
    }
}
