using System.Text;
using Tributary.Edge.Uplink;
using Xunit;

namespace Tributary.Tests.Edge.Uplink;

public sealed class PartitionerTests
{
    /// <summary>The values of Kafka's own <c>UtilsTest.testMurmur2</c>.</summary>
    [Theory]
    [InlineData("21", -973932308)]
    [InlineData("foobar", -790332482)]
    [InlineData("a-little-bit-long-string", -985981536)]
    [InlineData("a-little-bit-longer-string", -1486304829)]
    [InlineData("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971)]
    [InlineData("abc", 479470107)]
    public void The_hash_is_the_one_of_the_Java_client(string key, int hash) =>
        Assert.Equal(hash, Partitioner.Murmur2(Encoding.UTF8.GetBytes(key)));

    [Fact]
    public void A_negative_hash_loses_its_sign_bit_and_not_its_sign() =>
        Assert.Equal((-973932308 & 0x7FFFFFFF) % 7, Partitioner.Target("21"u8, 7));
}
