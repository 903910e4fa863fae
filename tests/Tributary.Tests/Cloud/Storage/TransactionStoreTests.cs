using Tributary.Broker.Transactions;
using Tributary.Cloud.Storage;
using Tributary.Tests.Cloud.Support;
using Xunit;

namespace Tributary.Tests.Cloud.Storage;

public sealed class TransactionStoreTests : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly ControlDatabase _database;
    private readonly TransactionStore _store;

    public TransactionStoreTests()
    {
        _database = ControlDatabase.Open(_directory.File(ControlDatabase.FileName));
        _store = new TransactionStore(_database, new TransactionOptions { MaxIds = 3 });
    }

    public async ValueTask DisposeAsync()
    {
        await _database.DisposeAsync();
        _directory.Dispose();
    }

    [Fact]
    public async Task What_is_written_is_read_back_equal()
    {
        var record = new TransactionRecord
        {
            ProducerId = 7,
            Epoch = 3,
            LastProducerId = 6,
            LastEpoch = 32_766,
            TimeoutMs = 1000,
            State = TransactionState.PrepareCommit,
            Number = 12,
            Topics = [new TransactionTopic("t", Guid.NewGuid(), [0, 5]), new TransactionTopic("ü", Guid.Empty, [1])],
            Groups = ["g", "h"],
            StartMs = 5,
            UpdatedMs = 6,
        };
        long version = await _store.WriteAsync("tx", 0, record);
        StoredTransaction stored = (await _store.LoadAsync("tx"))!;
        Assert.Equal(version, stored.Version);
        Assert.Equal(version, await _store.ReadVersionAsync("tx"));
        Assert.Equivalent(record, stored.Record, strict: true);
        Assert.Null(await _store.LoadAsync("TX"));
        Assert.Equal(0, await _store.ReadVersionAsync("TX"));
    }

    [Fact]
    public async Task Of_those_who_have_read_the_same_only_the_first_one_writes()
    {
        long version = await _store.WriteAsync("tx", 0, Empty());
        await Assert.ThrowsAsync<TransactionConflictException>(() => _store.WriteAsync("tx", 0, Empty()));
        long next = await _store.WriteAsync("tx", version, Empty() with { Epoch = 1 });
        Assert.True(next > version);
        await Assert.ThrowsAsync<TransactionConflictException>(() => _store.WriteAsync("tx", version, Empty() with { Epoch = 2 }));
        await Assert.ThrowsAsync<TransactionConflictException>(() => _store.DeleteAsync("tx", version));
        await Assert.ThrowsAsync<TransactionConflictException>(() => _store.WriteAsync("other", 5, Empty()));
        Assert.Equal(1, (await _store.LoadAsync("tx"))!.Record.Epoch);

        await _store.DeleteAsync("tx", next);
        Assert.Null(await _store.LoadAsync("tx"));
        await _store.WriteAsync("tx", 0, Empty());
        await Assert.ThrowsAsync<TransactionConflictException>(() => _store.WriteAsync("tx", next, Empty()));
    }

    [Fact]
    public async Task More_ids_than_allowed_are_refused_until_one_is_forgotten()
    {
        long[] versions = await Task.WhenAll(new[] { "a", "b", "c" }.Select(id => _store.WriteAsync(id, 0, Empty())));
        TransactionLimitException e = await Assert.ThrowsAsync<TransactionLimitException>(() => _store.WriteAsync("d", 0, Empty()));
        Assert.Contains("transactions:maxIds is 3", e.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<TransactionConflictException>(() => _store.WriteAsync("a", 0, Empty()));
        versions[0] = await _store.WriteAsync("a", versions[0], Empty());
        await _store.DeleteAsync("a", versions[0]);
        await _store.WriteAsync("d", 0, Empty());
        await Assert.ThrowsAsync<TransactionLimitException>(() => _store.WriteAsync("e", 0, Empty()));
    }

    [Fact]
    public async Task Ids_are_listed_in_pages_by_what_is_due_and_by_what_is_idle()
    {
        await _store.WriteAsync("idle", 0, Empty() with { UpdatedMs = 10 });
        await _store.WriteAsync("open", 0, Empty() with { State = TransactionState.Ongoing, StartMs = 100, UpdatedMs = 100 });
        await _store.WriteAsync("ending", 0, Empty() with { State = TransactionState.PrepareAbort, StartMs = 100, UpdatedMs = 100 });
        Assert.Equal(
            [new("ending", TransactionState.PrepareAbort, 7, 100), new("idle", TransactionState.Empty, 7, -1)], await _store.ListAsync(null, 2));
        Assert.Equal([new("open", TransactionState.Ongoing, 7, 100)], await _store.ListAsync("idle", 2));
        Assert.Equal(["ending"], await _store.ListDueAsync(1099, null, 10));
        Assert.Equal(["ending", "open"], await _store.ListDueAsync(1100, null, 10));
        Assert.Equal(["open"], await _store.ListDueAsync(1100, "ending", 10));
        Assert.Equal(["ending"], await _store.ListDueAsync(1100, null, 1));
        Assert.Equal(["idle"], await _store.ListIdleAsync(10, null, 10));
        Assert.Empty(await _store.ListIdleAsync(9, null, 10));
        Assert.Empty(await _store.ListIdleAsync(10, "idle", 10));
    }

    [Fact]
    public async Task A_damaged_record_is_not_taken_for_a_decision()
    {
        await _store.WriteAsync("tx", 0, Empty());
        await using (System.Data.Common.DbConnection connection = await _database.OpenConnectionAsync())
        await using (System.Data.Common.DbCommand damage = connection.CreateCommand())
        {
            damage.CommandText = "UPDATE transactional_id SET payload = CAST(replace(CAST(payload AS TEXT), '\"epoch\":0', '\"epoch\":4') AS BLOB)";
            await damage.ExecuteNonQueryAsync();
        }
        await Assert.ThrowsAsync<StoredRecordException>(() => _store.LoadAsync("tx"));
    }

    private static TransactionRecord Empty() => new() { ProducerId = 7, Epoch = 0, TimeoutMs = 1000 };
}
