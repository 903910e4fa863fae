using Tributary.Broker.Transactions;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Transactions;

public sealed class TransactionMachineTests
{
    private const int TimeoutMs = 1000;
    private static readonly ProducerIdentity First = new(7, 0);
    private static readonly TransactionPartition[] Two = [new("t", Guid.Empty, 0), new("t", Guid.Empty, 1)];
    private readonly TransactionMachine _machine = new(new TransactionOptions { MaxPartitions = 3, MaxGroups = 2 });
    private TransactionRecord? _record;
    private long _now = 100_000;

    [Fact]
    public void A_new_id_gets_a_producer_id_and_each_new_producer_the_next_epoch()
    {
        Assert.True(_machine.Initialize(null, TimeoutMs, null, null, _now).NeedsProducerId);
        Assert.Equal(First, Initialize());
        Assert.Equal(new ProducerIdentity(7, 1), Initialize());
        Assert.Equal(new ProducerIdentity(7, 2), Initialize());
        Assert.Equal((TransactionState.Empty, TimeoutMs, -1L), (_record!.State, _record.TimeoutMs, _record.StartMs));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(900_001)]
    public void A_timeout_that_cannot_be_is_refused(int timeoutMs) =>
        Assert.Equal(ErrorCode.InvalidTransactionTimeout, _machine.Initialize(null, timeoutMs, null, 7, _now).Error);

    [Fact]
    public void A_transaction_goes_through_its_states_and_the_next_one_begins()
    {
        Initialize();
        Assert.Equal(ErrorCode.None, Take(_machine.AddPartitions(_record, First, [Two[0]], _now)));
        (TransactionState state, long start) = (_record!.State, _record.StartMs);
        Assert.Equal((TransactionState.Ongoing, _now), (state, start));
        _now += 10;
        Assert.Equal(ErrorCode.None, Take(_machine.AddPartitions(_record, First, Two, _now)));
        Assert.Equal(ErrorCode.None, Take(_machine.AddGroup(_record, First, "g", _now)));
        Assert.Equal(start, _record.StartMs);
        Assert.Equal(Two, _record.Partitions);
        Assert.Equal(["g"], _record.Groups);
        Assert.Equal(start + TimeoutMs, _record.DueMs);

        Assert.Equal(ErrorCode.None, Take(_machine.End(_record, First, commit: true, _now)));
        Assert.Equal((TransactionState.PrepareCommit, 1, 0L), (_record.State, _record.Number, _record.DueMs));
        Assert.Equal(ErrorCode.ConcurrentTransactions, Take(_machine.AddPartitions(_record, First, Two, _now)));
        Assert.Equal(ErrorCode.ConcurrentTransactions, Take(_machine.AddGroup(_record, First, "g", _now)));
        Assert.Equal(ErrorCode.ConcurrentTransactions, _machine.Initialize(_record, TimeoutMs, null, 8, _now).Error);
        _record = _machine.Complete(_record, _now);
        Assert.Equal((TransactionState.CompleteCommit, null, -1L), (_record.State, _record.DueMs, _record.StartMs));
        Assert.Empty(_record.Partitions);
        Assert.Empty(_record.Groups);

        _now += 5;
        Assert.Equal(ErrorCode.None, Take(_machine.AddGroup(_record, First, "g", _now)));
        Assert.Equal((TransactionState.Ongoing, _now), (_record.State, _record.StartMs));
        Assert.Equal(ErrorCode.None, Take(_machine.End(_record, First, commit: false, _now)));
        Assert.Equal((TransactionState.PrepareAbort, 2), (_record.State, _record.Number));
        Assert.Equal(TransactionState.CompleteAbort, _machine.Complete(_record, _now).State);
    }

    [Fact]
    public void What_belongs_to_the_transaction_is_not_stored_again()
    {
        Initialize();
        Take(_machine.AddPartitions(_record, First, Two, _now));
        Take(_machine.AddGroup(_record, First, "g", _now));
        Assert.Equal(new TransactionStep(ErrorCode.None), _machine.AddPartitions(_record, First, [Two[1]], _now + 1));
        Assert.Equal(new TransactionStep(ErrorCode.None), _machine.AddGroup(_record, First, "g", _now + 1));
        Assert.NotNull(_machine.AddPartitions(_record, First, [Two[0] with { TopicId = Guid.NewGuid() }], _now).Next); // a topic made anew
    }

    [Fact]
    public void More_partitions_and_groups_than_allowed_are_refused()
    {
        Initialize();
        Take(_machine.AddPartitions(_record, First, Two, _now));
        Assert.Equal(ErrorCode.None, _machine.AddPartitions(_record, First, [new("u", Guid.Empty, 0)], _now).Error);
        Assert.Equal(
            new TransactionStep(ErrorCode.PolicyViolation), _machine.AddPartitions(_record, First, [new("u", Guid.Empty, 0), new("u", Guid.Empty, 1)], _now));
        Take(_machine.AddGroup(_record, First, "g", _now));
        Take(_machine.AddGroup(_record, First, "h", _now));
        Assert.Equal(new TransactionStep(ErrorCode.PolicyViolation), _machine.AddGroup(_record, First, "i", _now));
    }

    [Fact]
    public void An_end_may_be_repeated_and_not_turned_round()
    {
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, _machine.End(null, First, true, _now).Error);
        Initialize();
        Assert.Equal(ErrorCode.InvalidTxnState, _machine.End(_record, First, true, _now).Error);
        foreach (bool commit in new[] { true, false })
        {
            Take(_machine.AddPartitions(_record, First, Two, _now));
            Take(_machine.End(_record, First, commit, _now));
            Assert.Equal(new TransactionStep(ErrorCode.None), _machine.End(_record, First, commit, _now));
            Assert.Equal(ErrorCode.InvalidTxnState, _machine.End(_record, First, !commit, _now).Error);
            _record = _machine.Complete(_record!, _now);
            Assert.Equal(new TransactionStep(ErrorCode.None), _machine.End(_record, First, commit, _now));
            Assert.Equal(ErrorCode.InvalidTxnState, _machine.End(_record, First, !commit, _now).Error);
        }
    }

    [Fact]
    public void Another_producer_id_or_epoch_can_do_nothing()
    {
        Initialize();
        Take(_machine.AddPartitions(_record, First, Two, _now));
        foreach ((ProducerIdentity other, ErrorCode expected) in new[]
        {
            (new ProducerIdentity(8, 0), ErrorCode.InvalidProducerIdMapping), (new ProducerIdentity(7, 1), ErrorCode.ProducerFenced),
            (new ProducerIdentity(7, -1), ErrorCode.ProducerFenced),
        })
        {
            Assert.Equal(expected, _machine.AddPartitions(_record, other, Two, _now).Error);
            Assert.Equal(expected, _machine.AddGroup(_record, other, "g", _now).Error);
            Assert.Equal(expected, _machine.End(_record, other, true, _now).Error);
            Assert.Equal(expected, _machine.Verify(_record, other, Two[0]));
            Assert.Equal(expected, _machine.VerifyGroup(_record, other, "g").Error);
            Assert.Equal(ErrorCode.ProducerFenced, _machine.Initialize(_record, TimeoutMs, other, 9, _now).Error);
        }
    }

    [Fact]
    public void Only_what_belongs_to_the_open_transaction_is_verified()
    {
        Initialize();
        Assert.Equal(ErrorCode.InvalidTxnState, _machine.Verify(_record, First, Two[0]));
        Take(_machine.AddPartitions(_record, First, [Two[0]], _now));
        Take(_machine.AddGroup(_record, First, "g", _now));
        Assert.Equal(ErrorCode.None, _machine.Verify(_record, First, Two[0]));
        Assert.Equal(ErrorCode.InvalidTxnState, _machine.Verify(_record, First, Two[1]));
        Assert.Equal(ErrorCode.InvalidTxnState, _machine.Verify(_record, First, Two[0] with { TopicId = Guid.NewGuid() }));
        Assert.Equal(new VerifiedGroup(ErrorCode.None, 0), _machine.VerifyGroup(_record, First, "g"));
        Assert.Equal(ErrorCode.InvalidTxnState, _machine.VerifyGroup(_record, First, "h").Error);
        Take(_machine.End(_record, First, true, _now));
        Assert.Equal(ErrorCode.InvalidTxnState, _machine.Verify(_record, First, Two[0]));
        _record = _machine.Complete(_record!, _now);
        Assert.Equal(ErrorCode.InvalidTxnState, _machine.Verify(_record, First, Two[0]));
        Take(_machine.AddGroup(_record, First, "g", _now));
        Assert.Equal(new VerifiedGroup(ErrorCode.None, 1), _machine.VerifyGroup(_record, First, "g"));
    }

    [Fact]
    public void A_new_producer_has_what_was_begun_aborted_under_the_next_epoch_and_gets_the_one_after()
    {
        Initialize();
        Take(_machine.AddPartitions(_record, First, Two, _now));
        Assert.Equal(ErrorCode.ConcurrentTransactions, Take(_machine.Initialize(_record, TimeoutMs, null, null, _now)));
        Assert.Equal(
            (TransactionState.PrepareAbort, 1, 1, 2), (_record!.State, _record.Epoch, _record.Number, _record.PartitionCount));
        Assert.Equal(ErrorCode.ProducerFenced, _machine.End(_record, First, true, _now).Error);
        _record = _machine.Complete(_record, _now);
        Assert.Equal(new ProducerIdentity(7, 2), Initialize());
    }

    [Fact]
    public void A_producer_that_says_what_it_had_gets_the_next_epoch_once_however_often_it_asks()
    {
        Initialize();
        Assert.Equal(new ProducerIdentity(7, 1), Initialize(First));
        Assert.Equal(new TransactionStep(ErrorCode.None), _machine.Initialize(_record, TimeoutMs, First, null, _now));
        Assert.Equal(new ProducerIdentity(7, 1), Initialize(First));
        Assert.Equal(new ProducerIdentity(7, 2), Initialize(new(7, 1)));
        Assert.Equal(ErrorCode.ProducerFenced, _machine.Initialize(_record, TimeoutMs, First, 8, _now).Error);
        Assert.Equal(new ProducerIdentity(7, 3), Initialize()); // another one, which says nothing
        Assert.Equal(ErrorCode.ProducerFenced, _machine.Initialize(_record, TimeoutMs, new(7, 1), 8, _now).Error);
        Assert.Equal(ErrorCode.ProducerFenced, _machine.Initialize(_record, TimeoutMs, new(7, 2), 8, _now).Error);
    }

    [Fact]
    public void A_producer_whose_open_transaction_is_aborted_for_it_goes_on()
    {
        Initialize();
        Take(_machine.AddPartitions(_record, First, Two, _now));
        Assert.Equal(ErrorCode.ConcurrentTransactions, Take(_machine.Initialize(_record, TimeoutMs, First, null, _now)));
        Assert.Equal(ErrorCode.ConcurrentTransactions, _machine.Initialize(_record, TimeoutMs, First, null, _now).Error);
        _record = _machine.Complete(_record!, _now);
        Assert.Equal(new ProducerIdentity(7, 1), Initialize(First));
    }

    [Fact]
    public void A_late_repetition_changes_nothing_of_what_came_since()
    {
        Initialize();
        Assert.Equal(new ProducerIdentity(7, 1), Initialize(First));
        Take(_machine.AddPartitions(_record, new(7, 1), Two, _now));
        Assert.Equal(new TransactionStep(ErrorCode.ProducerFenced), _machine.Initialize(_record, TimeoutMs, First, null, _now));
        Take(_machine.End(_record, new(7, 1), true, _now));
        _record = _machine.Complete(_record!, _now);
        Assert.Equal(new TransactionStep(ErrorCode.None), _machine.Initialize(_record, TimeoutMs, First, null, _now));
        Assert.Equal(new TransactionStep(ErrorCode.None), _machine.End(_record, new(7, 1), true, _now));
    }

    [Fact]
    public void After_its_timeout_a_transaction_is_aborted_and_its_producer_fenced()
    {
        Initialize();
        Assert.Null(_machine.TimeOut(_record, long.MaxValue));
        Take(_machine.AddPartitions(_record, First, Two, _now));
        Assert.Null(_machine.TimeOut(_record, _now + TimeoutMs - 1));
        _record = _machine.TimeOut(_record, _now + TimeoutMs)!;
        Assert.Equal((TransactionState.PrepareAbort, 1, 1), (_record.State, _record.Epoch, _record.Number));
        Assert.Null(_machine.TimeOut(_record, long.MaxValue));
        _record = _machine.Complete(_record, _now);
        Assert.Equal(ErrorCode.ProducerFenced, _machine.Initialize(_record, TimeoutMs, First, 8, _now).Error);
        Assert.Equal(ErrorCode.ProducerFenced, _machine.AddPartitions(_record, First, Two, _now).Error);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void When_epochs_run_out_there_is_a_new_producer_id(bool says)
    {
        Initialize();
        _record = _record! with { Epoch = TransactionMachine.LastEpoch, Number = 12 };
        ProducerIdentity last = _record.Producer;
        ProducerIdentity? current = says ? last : null;
        Assert.True(_machine.Initialize(_record, TimeoutMs, current, null, _now).NeedsProducerId);
        Assert.Equal(new ProducerIdentity(8, 0), Initialize(current, 8));
        Assert.Equal(0, _record.Number);
        Assert.Equal(
            says ? new TransactionStep(ErrorCode.None) : new TransactionStep(ErrorCode.ProducerFenced),
            _machine.Initialize(_record, TimeoutMs, last, 9, _now));
    }

    [Fact]
    public void The_very_last_epoch_aborts_and_is_given_to_nobody()
    {
        Initialize();
        ProducerIdentity last = new(7, TransactionMachine.LastEpoch);
        _record = _record! with { Epoch = last.Epoch };
        Take(_machine.AddPartitions(_record, last, Two, _now));
        Take(_machine.Initialize(_record, TimeoutMs, last, null, _now));
        Assert.Equal(short.MaxValue, _record!.Epoch);
        _record = _machine.Complete(_record, _now);
        Assert.True(_machine.Initialize(_record, TimeoutMs, last, null, _now).NeedsProducerId);
        Assert.Equal(new ProducerIdentity(8, 0), Initialize(last, 8));
        Assert.Equal(new ProducerIdentity(8, 0), Initialize(last, 9));
    }

    [Fact]
    public void When_numbers_of_transactions_run_out_the_producer_must_come_anew_and_gets_a_new_id()
    {
        Initialize();
        _record = _record! with { Number = int.MaxValue - 1 };
        Take(_machine.AddPartitions(_record, First, Two, _now));
        Take(_machine.End(_record, First, true, _now));
        _record = _machine.Complete(_record!, _now);
        Assert.Equal(ErrorCode.ProducerFenced, _machine.AddPartitions(_record, First, Two, _now).Error);
        Assert.Equal(new ProducerIdentity(8, 0), Initialize(null, 8));
        Assert.Equal(ErrorCode.None, _machine.AddPartitions(_record, new(8, 0), Two, _now).Error);
    }

    [Fact]
    public void Only_what_is_idle_for_long_expires()
    {
        Initialize();
        long expires = _now + (long)TimeSpan.FromDays(7).TotalMilliseconds;
        Assert.False(_machine.HasExpired(_record!, expires - 1));
        Assert.True(_machine.HasExpired(_record!, expires));
        Take(_machine.AddPartitions(_record, First, Two, _now));
        Assert.False(_machine.HasExpired(_record!, expires));
    }

    private ProducerIdentity Initialize(ProducerIdentity? current = null, long newProducerId = 7)
    {
        Assert.Equal(ErrorCode.None, Take(_machine.Initialize(_record, TimeoutMs, current, newProducerId, _now)));
        return _record!.Producer;
    }

    private ErrorCode Take(TransactionStep step)
    {
        _record = step.Next ?? _record;
        return step.Error;
    }
}
