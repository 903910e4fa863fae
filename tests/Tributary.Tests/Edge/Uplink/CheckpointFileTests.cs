using Tributary.Edge.Uplink;
using Tributary.Log.Storage;
using Xunit;

namespace Tributary.Tests.Edge.Uplink;

public sealed class CheckpointFileTests
{
    private static readonly UplinkCheckpoint Sample = new()
    {
        ClusterId = "clüster",
        TopicId = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"),
        ProducerId = 0x1122334455667788,
        ProducerEpoch = 513,
        EpochStart = 7,
        Acked = 1_000_000_007,
        UnresolvedEnd = 1_000_000_100,
        Counts = [new CountInForce(0, 4), new CountInForce(900, 6)],
        Targets = [new TargetCheckpoint(1, 2, 3, new ProducerPosition(4, 7)), new TargetCheckpoint(1L << 40, 5, 6, ProducerPosition.None)],
        Refused = [11, 12, 13],
        RefusedTotal = 99,
        GapTotal = 98,
        Starts = 97,
        ConflictTotal = 96,
    };

    [Fact]
    public void A_checkpoint_is_read_as_it_was_saved()
    {
        MemoryStorage storage = Storage();
        var file = new CheckpointFile(storage, "telemetry-0");
        file.Save(Sample);

        Assert.Equal(CheckpointStatus.Ok, file.Load(out UplinkCheckpoint read));
        Assert.Equal(Sample.Counts, read.Counts);
        Assert.Equal(Sample.Targets, read.Targets);
        Assert.Equal(Sample.Refused, read.Refused);
        Assert.Equal(Sample, read with { Counts = Sample.Counts, Targets = Sample.Targets, Refused = Sample.Refused });
    }

    [Fact]
    public void A_saved_checkpoint_survives_a_power_cut()
    {
        MemoryStorage storage = Storage();
        new CheckpointFile(storage, "telemetry-0").Save(Sample with { Acked = 1 });
        new CheckpointFile(storage, "telemetry-0").Save(Sample with { Acked = 2 });

        Assert.Equal(CheckpointStatus.Ok, new CheckpointFile(storage.Crash(), "telemetry-0").Load(out UplinkCheckpoint read));
        Assert.Equal(2, read.Acked);
    }

    [Fact]
    public void A_half_written_temporary_file_does_not_matter()
    {
        MemoryStorage storage = Storage();
        var file = new CheckpointFile(storage, "telemetry-0");
        file.Save(Sample);
        using (IStorageFile temporary = storage.Open(file.Path + ".tmp", create: true))
        {
            temporary.Write(0, new byte[5]);
        }

        Assert.Equal(CheckpointStatus.Ok, file.Load(out _));
        file.Save(Sample with { Acked = 3 });
        Assert.Equal(CheckpointStatus.Ok, file.Load(out UplinkCheckpoint read));
        Assert.Equal(3, read.Acked);
    }

    [Fact]
    public void No_file_is_missing() =>
        Assert.Equal(CheckpointStatus.Missing, new CheckpointFile(Storage(), "telemetry-0").Load(out _));

    [Fact]
    public void Every_flipped_bit_is_damage()
    {
        MemoryStorage storage = Storage();
        var file = new CheckpointFile(storage, "telemetry-0");
        file.Save(Sample);
        using IStorageFile raw = storage.Open(file.Path, create: false);
        byte[] bytes = new byte[raw.Length];
        raw.Read(0, bytes);
        for (int i = 0; i < bytes.Length * 8; i++)
        {
            byte[] flipped = [.. bytes];
            flipped[i / 8] ^= (byte)(1 << (i % 8));
            raw.Write(0, flipped);
            Assert.True(file.Load(out _) == CheckpointStatus.Damaged, $"bit {i}");
        }
    }

    [Fact]
    public void Every_shorter_file_is_damage()
    {
        MemoryStorage storage = Storage();
        var file = new CheckpointFile(storage, "telemetry-0");
        file.Save(Sample);
        using IStorageFile raw = storage.Open(file.Path, create: false);
        for (long length = raw.Length - 1; length >= 0; length--)
        {
            raw.SetLength(length);
            Assert.Equal(CheckpointStatus.Damaged, file.Load(out _));
        }
    }

    private static MemoryStorage Storage()
    {
        var storage = new MemoryStorage();
        storage.CreateDirectory("telemetry-0");
        storage.SyncDirectory("");
        return storage;
    }
}
