using Tributary.Edge.Status;
using Tributary.Log.Storage;
using Xunit;

namespace Tributary.Tests.Edge.Status;

public sealed class DeviceWritesTests
{
    private const string Io = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: {0}\ncancelled_write_bytes: 7\n";
    private readonly Dictionary<string, string> _files = new()
    {
        ["/proc/self/io"] = Io.Replace("{0}", "1000", StringComparison.Ordinal),
        ["/proc/diskstats"] = "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0\n 179       2 mmcblk0p2 1 2 3 4 5 6 100 8 9 10 11\n",
        ["/sys/dev/block/179:2/stat"] = "  1  2  3  4  5  6  100  8  9  10  11\n",
        ["/sys/class/block/mmcblk0p2/dev"] = "179:2\n",
    };

    [Theory]
    [InlineData("ext4", "179:2")]
    [InlineData("btrfs", "0:33")]
    public void Sectors_of_the_device_are_counted_from_the_start_on(string type, string number)
    {
        DeviceWrites writes = Of(type, number);
        _files["/sys/dev/block/179:2/stat"] = "  1  2  3  4  5  6  108  8  9  10  11\n";
        _files["/proc/self/io"] = Io.Replace("{0}", "3000", StringComparison.Ordinal);

        Assert.Equal(new WearStatus("mmcblk0p2", 8 * 512, 2000, 1024, 4, null), writes.Since(1024));
        Assert.Null(writes.Since(0).Amplification);
    }

    [Fact]
    public void Without_sysfs_they_come_from_the_table_of_all_disks()
    {
        _files.Remove("/sys/dev/block/179:2/stat");
        DeviceWrites writes = Of("ext4", "179:2");
        _files["/proc/diskstats"] = " 179       2 mmcblk0p2 1 2 3 4 5 6 101 8 9 10 11\n";
        Assert.Equal(512, writes.Since(1).DeviceBytes);
    }

    [Theory]
    [InlineData("tmpfs", "0:25", "tmpfs", "of type tmpfs, which has no block device of its own")]
    [InlineData("overlay", "0:51", "overlay", "of type overlay, which has no block device of its own")]
    [InlineData("ext4", "8:1", "/dev/sda1", "/dev/sda1 (8:1) of the data directory has no counters")]
    public void Where_no_device_counts_the_reason_is_told(string type, string number, string source, string reason)
    {
        WearStatus status = new DeviceWrites(new MountPoint("/", type, source, number, []), Read).Since(10);
        Assert.Equal((null, null, null), (status.Device, status.DeviceBytes, status.Amplification));
        Assert.Contains(reason, status.Reason, StringComparison.Ordinal);
        Assert.Equal(0, status.AgentBytes);
    }

    [Fact]
    public void On_another_system_nothing_is_known()
    {
        WearStatus status = new DeviceWrites(null, _ => null).Since(10);
        Assert.Equal(new WearStatus(null, null, null, 10, null, "this system does not tell which device the data directory is on"), status);
    }

    private DeviceWrites Of(string type, string number) => new(new MountPoint("/", type, "/dev/mmcblk0p2", number, []), Read);

    private string? Read(string path) => _files.GetValueOrDefault(path);
}
