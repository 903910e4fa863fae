using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Edge.Status;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Status;

public sealed class SystemTopicsTests : MqttTest
{
    [Fact]
    public async Task What_could_not_be_read_is_told_the_next_time()
    {
        int reads = 0;
        var interval = TimeSpan.FromSeconds(10);
        using var topics = new SystemTopics(
            () => ++reads < 3 ? throw new IOException("the disk can't be asked") : EdgeStatusTests.Status, Server, interval, Time,
            NullLogger.Instance);
        Time.Advance(interval);
        Time.Advance(interval);
        Assert.Equal(3, reads);
        ScriptedClient client = await ConnectAsync(5, "a");
        await client.SendAsync(Packets.Subscribe(5, 1, ("$SYS/broker/version", 0)));
        await client.ReceiveAsync();
        await client.ExpectAsync(Packets.Publish(5, "$SYS/broker/version", "tributary-edge 0.1.0", retain: true));
    }
}
