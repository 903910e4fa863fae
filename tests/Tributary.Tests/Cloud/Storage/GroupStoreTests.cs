using System.Data.Common;
using Tributary.Broker.Groups;
using Tributary.Broker.Groups.Modern;
using Tributary.Cloud.Storage;
using Tributary.Tests.Cloud.Support;
using Xunit;

namespace Tributary.Tests.Cloud.Storage;

public sealed class GroupStoreTests : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly ControlDatabase _database;
    private readonly GroupStore _store;

    public GroupStoreTests()
    {
        _database = ControlDatabase.Open(_directory.File(ControlDatabase.FileName));
        _store = new GroupStore(_database, new GroupOptions { MaxGroups = 3 });
    }

    public async ValueTask DisposeAsync()
    {
        await _database.DisposeAsync();
        _directory.Dispose();
    }

    [Fact]
    public async Task What_is_written_is_read_back_equal()
    {
        var record = new GroupRecord
        {
            Generation = 7,
            ProtocolType = "consumer",
            Protocol = "range",
            Leader = "m",
            Since = 1234,
            Members =
            [
                new()
                {
                    Id = "m",
                    InstanceId = "i",
                    ClientId = "c",
                    ClientHost = "/h",
                    SessionTimeoutMs = 1,
                    RebalanceTimeoutMs = 2,
                    Protocols = [new GroupProtocol("range", [1, 2, 255])],
                    Assignment = [3, 4],
                },
            ],
        };
        var offset = new CommittedOffset(42, 5, "metadata", Guid.NewGuid(), 99, 100);
        long version = await _store.WriteAsync(new GroupWrite("g", 0) { Record = record, Offsets = [One("t", 0, offset), One("t", 1, At(43))] });
        StoredGroup stored = (await _store.LoadAsync("g"))!;
        Assert.Equal(version, stored.Version);
        Assert.Equivalent(record, stored.Record, strict: true);
        Assert.Equal([One("t", 0, offset), One("t", 1, At(43))], stored.Offsets.OrderBy(one => one.Key.Partition));
        Assert.Null(await _store.LoadAsync("G"));
    }

    [Fact]
    public async Task A_group_of_the_newer_protocol_is_read_back_equal_and_listed_as_one()
    {
        var id = Guid.NewGuid();
        var record = new GroupRecord
        {
            Generation = 7,
            ProtocolType = "consumer",
            Since = 1234,
            Modern = new ModernGroupRecord
            {
                Epoch = 7,
                TargetEpoch = 6,
                TopicsHash = long.MinValue,
                Members =
                [
                    new()
                    {
                        Id = "m",
                        InstanceId = "i",
                        RackId = "r",
                        ClientId = "c",
                        ClientHost = "/h",
                        Epoch = 5,
                        PreviousEpoch = 4,
                        State = MemberState.Revoking,
                        RebalanceTimeoutMs = 3,
                        Assignor = "range",
                        Topics = ["t", "u"],
                        Pattern = "v.*",
                        Assigned = [new PartitionsOfTopic(id, [0, 2])],
                        Revoking = [new PartitionsOfTopic(id, [1])],
                        Target = [new PartitionsOfTopic(id, [0])],
                        Classic = new ClassicMemberRecord { SessionTimeoutMs = 9, Protocols = [new GroupProtocol("range", [1, 255])] },
                    },
                    new() { Id = "n" },
                ],
            },
        };
        await _store.WriteAsync(new GroupWrite("g", 0) { Record = record });
        Assert.Equivalent(record, (await _store.LoadAsync("g"))!.Record, strict: true);
        Assert.Equal([new GroupListing("g", "consumer", GroupState.Stable, IsModern: true)], await _store.ListAsync(null, 10));
    }

    [Fact]
    public async Task A_write_on_another_version_changes_nothing()
    {
        long first = await WriteAsync(new GroupWrite("g", 0) { Record = new GroupRecord() });
        long second = await WriteAsync(new GroupWrite("g", first) { IsFirst = true, Offsets = [One("t", 0, At(1))] });
        Assert.NotEqual(first, second);
        foreach (GroupWrite late in new[]
        {
            new GroupWrite("g", first) { Offsets = [One("t", 0, At(2))] },
            new GroupWrite("g", first) { Record = new GroupRecord { Generation = 9 } },
            new GroupWrite("g", first) { Deletes = true },
            new GroupWrite("g", 0) { Record = new GroupRecord() },
            new GroupWrite("other", 5) { Offsets = [One("t", 0, At(2))] },
        })
        {
            await Assert.ThrowsAsync<GroupConflictException>(() => _store.WriteAsync(late));
        }
        Assert.Equal(second, await WriteAsync(new GroupWrite("g", second) { Offsets = [One("t", 0, At(3))] }));
        Assert.Equal(3, Assert.Single((await _store.LoadAsync("g"))!.Offsets).Value.Offset);
    }

    [Fact]
    public async Task A_deleted_group_is_gone_with_its_offsets_and_makes_room_and_its_versions_do_not_come_back()
    {
        long version = await WriteAsync(new GroupWrite("g", 0) { Record = new GroupRecord(), Offsets = [One("t", 0, At(1))] });
        await WriteAsync(new GroupWrite("h", 0) { Record = new GroupRecord() });
        await WriteAsync(new GroupWrite("i", 0) { Record = new GroupRecord() });
        GroupLimitException refusal = await Assert.ThrowsAsync<GroupLimitException>(
            () => _store.WriteAsync(new GroupWrite("j", 0) { Record = new GroupRecord() }));
        Assert.Contains("groups:maxGroups is 3", refusal.Message, StringComparison.Ordinal);
        await WriteAsync(new GroupWrite("g", version) { Deletes = true });
        long again = await WriteAsync(new GroupWrite("g", 0) { Record = new GroupRecord() });
        Assert.Empty((await _store.LoadAsync("g"))!.Offsets);
        Assert.NotEqual(version, again);
    }

    [Fact]
    public async Task Lists_go_on_where_they_ended_and_find_readers_and_what_is_old()
    {
        await WriteAsync(new GroupWrite("a", 0) { Record = new GroupRecord { ProtocolType = "consumer", Members = [new()] }, Offsets = [One("t", 0, At(1, 500))] });
        await WriteAsync(new GroupWrite("b", 0) { Record = new GroupRecord() });
        await WriteAsync(new GroupWrite("c", 0) { Record = new GroupRecord(), Offsets = [One("t", 0, At(1, 2000)), One("u", 0, At(1, 2000))] });
        IReadOnlyList<GroupListing> first = await _store.ListAsync(null, 2);
        Assert.Equal([new GroupListing("a", "consumer", GroupState.Stable), new GroupListing("b", "", GroupState.Empty)], first);
        Assert.Equal(["c"], (await _store.ListAsync("b", 2)).Select(group => group.Id));
        Assert.Equal(["a", "c"], await _store.ListReadersAsync("t", null, 10));
        Assert.Equal(["c"], await _store.ListReadersAsync("t", "a", 10));
        Assert.Equal(["a", "b"], await _store.ListAgedAsync(1000, null, 10));
    }

    [Fact]
    public async Task A_group_for_which_a_transaction_is_to_commit_an_offset_is_a_reader_too()
    {
        (GroupPartition partition, CommittedOffset offset) = One("t", 0, At(1));
        await WriteAsync(new GroupWrite("a", 0)
        {
            Record = new GroupRecord(),
            Pending = [KeyValuePair.Create(new PendingKey(7, partition), new PendingOffset(offset, 1))],
        });
        Assert.Equal(["a"], await _store.ListReadersAsync("t", null, 10));
        Assert.Empty(await _store.ListReadersAsync("u", null, 10));
    }

    [Fact]
    public async Task A_damaged_offset_is_told_from_a_good_one()
    {
        await WriteAsync(new GroupWrite("g", 0) { Record = new GroupRecord(), Offsets = [One("t", 0, At(1))] });
        await using (DbConnection connection = await _database.OpenConnectionAsync())
        {
            await using DbCommand command = connection.CreateCommand();
            command.CommandText = "UPDATE group_offset SET next_offset = 2";
            await command.ExecuteNonQueryAsync();
        }
        StoredRecordException damage = await Assert.ThrowsAsync<StoredRecordException>(() => _store.LoadAsync("g"));
        Assert.Contains("t-0", damage.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task One_write_that_cannot_be_does_not_fail_those_beside_it()
    {
        await WriteAsync(new GroupWrite("g", 0) { Record = new GroupRecord() });
        await using (DbConnection connection = await _database.OpenConnectionAsync())
        {
            await using DbCommand command = connection.CreateCommand();
            command.CommandText =
                "CREATE TRIGGER refuse BEFORE INSERT ON group_offset WHEN NEW.topic = 'bad' BEGIN SELECT RAISE(ABORT, 'the test refuses'); END";
            await command.ExecuteNonQueryAsync();
        }
        Task<long>[] writes =
        [
            .. Enumerable.Range(0, 2).Select(i => _store.WriteAsync(
                new GroupWrite($"w{i}", 0) { Record = new GroupRecord(), Offsets = [One(i == 0 ? "bad" : "good", 0, At(1))] })),
        ];
        await Assert.ThrowsAnyAsync<DbException>(() => writes[0]);
        await writes[1];
        Assert.Equal(["g", "w1"], (await _store.ListAsync(null, 10)).Select(group => group.Id));
    }

    private static KeyValuePair<GroupPartition, CommittedOffset> One(string topic, int partition, CommittedOffset offset) =>
        KeyValuePair.Create(new GroupPartition(topic, partition), offset);

    private static CommittedOffset At(long offset, long committed = 1) => new(offset, -1, "", Guid.Empty, committed, null);

    private Task<long> WriteAsync(GroupWrite write) => _store.WriteAsync(write);
}
