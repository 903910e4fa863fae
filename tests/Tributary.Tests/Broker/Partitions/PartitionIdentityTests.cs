using Tributary.Broker.Partitions;
using Tributary.Log.Storage;
using Xunit;

namespace Tributary.Tests.Broker.Partitions;

public sealed class PartitionIdentityTests
{
    private readonly MemoryStorage _storage = new();

    public PartitionIdentityTests()
    {
        _storage.CreateDirectory("log");
        _storage.SyncDirectory("");
    }

    [Fact]
    public void A_directory_that_is_not_there_is_new() =>
        Assert.Equal(IdentityStatus.New, PartitionIdentity.Read(_storage, "log/t-0", out _));

    [Fact]
    public void What_was_written_is_read_after_a_power_cut()
    {
        var id = Guid.NewGuid();
        PartitionIdentity.Write(_storage, "log", "t-0", id);
        Assert.Equal(IdentityStatus.Known, PartitionIdentity.Read(_storage.Crash(), "log/t-0", out Guid found));
        Assert.Equal(id, found);
    }

    [Fact]
    public void Any_flipped_byte_makes_it_unreadable()
    {
        PartitionIdentity.Write(_storage, "log", "t-0", Guid.NewGuid());
        using IStorageFile file = _storage.Open("log/t-0/" + PartitionIdentity.FileName, create: false);
        for (int at = 0; at < file.Length; at++)
        {
            byte[] one = new byte[1];
            file.Read(at, one);
            file.Write(at, (byte[])[(byte)(one[0] ^ 1)]);
            Assert.Equal(IdentityStatus.Unreadable, PartitionIdentity.Read(_storage, "log/t-0", out _));
            file.Write(at, one);
        }
    }

    [Fact]
    public void A_directory_with_records_and_no_identity_is_unreadable()
    {
        _storage.CreateDirectory("log/t-0");
        _storage.Open("log/t-0/00000000000000000000.log", create: true).Dispose();
        Assert.Equal(IdentityStatus.Unreadable, PartitionIdentity.Read(_storage, "log/t-0", out _));
    }

    [Fact]
    public void A_directory_that_was_being_made_when_the_power_went_is_new()
    {
        _storage.CreateDirectory("log/t-0");
        _storage.Open("log/t-0/" + PartitionIdentity.FileName + ".tmp", create: true).Dispose();
        Assert.Equal(IdentityStatus.New, PartitionIdentity.Read(_storage, "log/t-0", out _));
    }
}
