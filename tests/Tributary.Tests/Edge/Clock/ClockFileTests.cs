using Tributary.Edge.Clock;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Xunit;

namespace Tributary.Tests.Edge.Clock;

public sealed class ClockFileTests
{
    private static readonly Boot[] Boots =
    [
        new(1, Guid.Parse("11111111-2222-3333-4444-555555555555"), 7, null, null, -5),
        new(9, Guid.Parse("66666666-7777-8888-9999-aaaaaaaaaaaa"), 8, new ClockAnchor(1, 2, 3, true), new ClockAnchor(4, 5, 6, false), 9),
    ];

    [Fact]
    public void Boots_come_back_as_they_were()
    {
        var file = new ClockFile(Disk(), "data");
        Assert.Equal([], file.Load()!);
        file.Save(Boots);
        Assert.Equal(Boots, file.Load()!);
        file.Save([.. Enumerable.Repeat(Boots[1], ClockFile.MostBoots)]);
        Assert.Equal(ClockFile.MostBoots, file.Load()!.Count);
    }

    [Fact]
    public void Every_flipped_bit_is_found()
    {
        MemoryStorage disk = Disk();
        new ClockFile(disk, "data").Save(Boots);
        using IStorageFile file = disk.Open("data/clock", create: false);
        byte[] bytes = new byte[file.Length];
        file.Read(0, bytes);
        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            file.Write(bit / 8, [(byte)(bytes[bit / 8] ^ (1 << (bit % 8)))]);
            Assert.Null(new ClockFile(disk, "data").Load());
            file.Write(bit / 8, [bytes[bit / 8]]);
        }
        file.SetLength(bytes.Length - 1);
        Assert.Null(new ClockFile(disk, "data").Load());
    }

    [Fact]
    public void A_crash_at_any_point_leaves_the_old_boots_or_the_new_ones()
    {
        bool wasWritten = false;
        for (int changes = 0; !wasWritten; changes++)
        {
            MemoryStorage disk = Disk();
            new ClockFile(disk, "data").Save([Boots[0]]);
            var storage = new FaultyStorage(disk);
            storage.CrashAfter(changes, PowerCut.LosesAll);
            try
            {
                new ClockFile(storage, "data").Save(Boots);
            }
            catch (IOException)
            {
                Assert.NotNull(storage.Left);
            }
            wasWritten = storage.Left is null;
            storage.CrashNow(PowerCut.LosesAll);
            IReadOnlyList<Boot> left = new ClockFile(storage.Left!, "data").Load()!;
            Assert.Equal(wasWritten ? Boots : [Boots[0]], left);
        }
    }

    private static MemoryStorage Disk()
    {
        var disk = new MemoryStorage();
        disk.CreateDirectory("data");
        disk.SyncDirectory("");
        return disk;
    }
}
