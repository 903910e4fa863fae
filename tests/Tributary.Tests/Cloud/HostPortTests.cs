using Tributary.Cloud;
using Xunit;

namespace Tributary.Tests.Cloud;

public sealed class HostPortTests
{
    [Theory]
    [InlineData("127.0.0.1:9092", "127.0.0.1", 9092)]
    [InlineData("cloud.example:0", "cloud.example", 0)]
    [InlineData("[::1]:65535", "::1", 65535)]
    public void A_host_and_a_port_are_read_and_written(string text, string host, int port)
    {
        Assert.True(HostPort.TryParse(text, out HostPort value));
        Assert.Equal(new HostPort(host, port), value);
        Assert.Equal(text, value.ToString());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("host")]
    [InlineData(":9092")]
    [InlineData("host:")]
    [InlineData("host:65536")]
    [InlineData("host:-1")]
    [InlineData("host: 1")]
    [InlineData("ho st:1")]
    [InlineData("::1:9092")]
    [InlineData("[]:9092")]
    public void Anything_else_is_refused(string? text) => Assert.False(HostPort.TryParse(text, out _));
}
