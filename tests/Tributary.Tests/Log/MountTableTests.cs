using Tributary.Log.Storage;
using Xunit;

namespace Tributary.Tests.Log;

public sealed class MountTableTests
{
    private const string Table = """
        22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw,data=ordered
        23 22 0:20 / /dev/shm rw,nosuid - tmpfs tmpfs rw
        24 22 0:21 / /var/lib/my\040data rw - ramfs ramfs rw
        25 22 0:30 / /box rw,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c,volatile
        26 22 0:31 / /kept rw,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c
        27 22 8:1 / /fast rw - ext4 /dev/sda1 rw,nobarrier
        28 22 8:2 / /faster rw - ext4 /dev/sda2 rw,barrier=0
        29 23 8:3 / /dev/shm/disk rw - xfs /dev/sdb1 rw
        30 22 8:4 / /twice rw - ext4 /dev/sdc1 rw
        31 30 0:40 / /twice rw - tmpfs tmpfs rw
        """;

    [Theory]
    [InlineData("/dev/shm/data", "tmpfs")]
    [InlineData("/var/lib/my data/edge", "ramfs")]
    [InlineData("/box/data", "volatile")]
    [InlineData("/fast/data", "barriers")]
    [InlineData("/faster", "barriers")]
    [InlineData("/twice/data", "tmpfs")]
    public void A_directory_that_cannot_keep_what_is_flushed_is_known(string path, string why) =>
        Assert.Contains(why, MountTable.WhyVolatile(Table, path), StringComparison.Ordinal);

    [Theory]
    [InlineData("/var/lib/data")]
    [InlineData("/kept/data")]
    [InlineData("/dev/shmem")]
    [InlineData("/dev/shm/disk/data")]
    public void Others_are_taken(string path) => Assert.Null(MountTable.WhyVolatile(Table, path));
}
