using Tributary.Edge.Mqtt;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>What a client can make the broker keep, and for how long.</summary>
public sealed class MqttLimitTests : MqttTest
{
    [Fact]
    public async Task One_connection_more_from_an_address_than_allowed_is_closed()
    {
        Options = Options with { MaxConnectionsPerAddress = 1 };
        ScriptedClient first = await ConnectAsync(4, "a");
        ScriptedClient second = ScriptedClient.Open(Server, 4);
        await second.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.TooManyFromAddress));
        await first.HangUpAsync();
        await ConnectAsync(4, "b");
    }

    [Fact]
    public async Task A_packet_that_comes_a_byte_a_second_has_its_time_and_no_more()
    {
        Options = Options with { PacketTimeout = TimeSpan.FromSeconds(20), MinPacketBytesPerSecond = 1000, ReadBufferBytes = 4096 };
        ScriptedClient client = await ConnectAsync(4, "slow", keepAlive: 10_000);
        byte[] packet = Packets.Publish(4, "t", new string('x', 10_000), 1, 1);
        int sent = 5000;
        await client.SendAsync(packet[..sent]);
        for (; sent < 5029; sent++)
        {
            await Wait.Until(() => Server.Metrics.ClientBytes == sent - 4096);
            Time.Advance(TimeSpan.FromSeconds(1));
            Assert.Equal(0, Server.Metrics.Closed(MqttCloseReason.PacketTimeout));
            await client.SendAsync([packet[sent]]);
        }
        await Wait.Until(() => Server.Metrics.ClientBytes == sent - 4096);
        Time.Advance(TimeSpan.FromSeconds(2));
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.PacketTimeout));
        Assert.Empty(Ingest.Messages);
    }

    [Fact]
    public async Task Large_packets_that_are_not_all_there_are_counted_and_beyond_the_limit_their_connection_is_closed()
    {
        Options = Options with { MaxClientBytes = 1 << 20, ReadBufferBytes = 4096, MaxPacketBytes = 4 << 20 };
        byte[] packet = Packets.Publish(5, "t", new string('x', 2 << 20), 1, 1);
        ScriptedClient first = await ConnectAsync(5, "first");
        ScriptedClient second = await ConnectAsync(5, "second");
        await first.SendAsync(packet[..600_000]);
        await Wait.Until(() => Server.Metrics.ClientBytes == 600_000 - 4096);
        await second.SendAsync(packet[..600_000]);
        byte[] farewell = await second.ReceiveAsync();
        Assert.Equal((0xE0, 0x97), (farewell[0], farewell[2]));
        await second.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.ClientMemory));
        Assert.Equal(600_000 - 4096, Server.Metrics.ClientBytes);
        await first.SendAsync(packet[600_000..1_000_000]);
        await Wait.Until(() => Server.Metrics.ClientBytes == 1_000_000 - 4096);
        await first.HangUpAsync();
        Assert.Equal(0, Server.Metrics.ClientBytes);
    }

    [Theory]
    [InlineData(4, "20020003")]
    [InlineData(5, "")]
    public async Task Wills_are_counted_and_beyond_the_limit_not_taken(int level, string answer)
    {
        Options = Options with { MaxClientBytes = 1 << 20 };
        string large = new('x', 60_000);
        for (int i = 0; i < 17; i++)
        {
            ScriptedClient client = ScriptedClient.Open(Server, level);
            await client.SendAsync(Packets.Connect(level, $"c{i}", will: ("w", large, 0, false)));
            Assert.Equal(0, (await client.ReceiveAsync())[3]);
        }
        Assert.Equal(17 * 60_001, Server.Metrics.ClientBytes);
        ScriptedClient last = ScriptedClient.Open(Server, level);
        await last.SendAsync(Packets.Connect(level, "last", will: ("w", large, 0, false)));
        byte[] refusal = await last.ReceiveAsync();
        if (level == 4)
        {
            Assert.Equal(answer, Convert.ToHexString(refusal));
        }
        else
        {
            Assert.Equal((0x20, 0x88), (refusal[0], refusal[3]));
        }
        await last.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.ClientMemory));
        await ConnectAsync(level, "without");
    }

    [Fact]
    public async Task Subscriptions_of_all_clients_have_a_limit_and_give_their_place_back()
    {
        Options = Options with { MaxSubscriptionBytes = 4 * SubscriptionTrie.CostOf("a/b/0"u8) };
        ScriptedClient first = await ConnectAsync(5, "first");
        await first.SendAsync(Packets.Subscribe(5, 1, ("a/b/0", 0), ("a/b/1", 0), ("a/b/2", 0)));
        await first.ExpectAsync(0x90, 6, 0, 1, 0, 0, 0, 0);
        ScriptedClient second = await ConnectAsync(5, "second");
        await second.SendAsync(Packets.Subscribe(5, 1, ("a/b/3", 0), ("a/b/4", 0), ("a/b/3", 1)));
        await second.ExpectAsync(0x90, 6, 0, 1, 0, 0, 0x97, 1);
        Assert.Equal(1, Server.Metrics.SubscriptionsRefused);
        await first.SendAsync(Packets.Unsubscribe(5, 2, "a/b/1"));
        await first.ExpectAsync(0xB0, 4, 0, 2, 0, 0);
        await second.SendAsync(Packets.Subscribe(5, 2, ("a/b/4", 0)));
        await second.ExpectAsync(0x90, 4, 0, 2, 0, 0);
        await first.HangUpAsync();
        await second.HangUpAsync();
        Assert.Equal((0, 0), (Server.Metrics.Subscriptions, Server.Metrics.SubscriptionBytes));
    }

    [Fact]
    public async Task A_client_without_keep_alive_that_says_nothing_is_closed_after_the_idle_timeout()
    {
        Options = Options with { IdleTimeout = TimeSpan.FromMinutes(1) };
        ScriptedClient client = await ConnectAsync(4, "silent", keepAlive: 0);
        Time.Advance(TimeSpan.FromSeconds(50));
        await client.ExpectNothingAsync();
        Time.Advance(TimeSpan.FromSeconds(59));
        await client.ExpectNothingAsync();
        Time.Advance(TimeSpan.FromSeconds(62));
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.Idle));
    }

    [Fact]
    public async Task Places_in_the_queues_of_subscribers_that_do_not_read_count_as_memory()
    {
        Options = Options with { MaxDeliveryBytes = 20_000 };
        var silent = new List<ScriptedClient>();
        for (int i = 0; i < 10; i++)
        {
            ScriptedClient subscriber = await ConnectAsync(5, $"s{i}", new MqttPipes(outputBytes: 64), properties: [0x21, 0, 1]);
            await subscriber.SendAsync(Packets.Subscribe(5, 1, ("t", 1)));
            await subscriber.ExpectAsync(0x90, 4, 0, 1, 0, 1);
            silent.Add(subscriber);
        }
        Ingest.CommitsAtOnce = true;
        ScriptedClient publisher = await ConnectAsync(5, "p");
        for (int i = 1; i <= 100; i++)
        {
            await publisher.SendAsync(Packets.Publish(5, "t", "x", 1, i));
            await publisher.ExpectPubAcksAsync(i);
            Assert.InRange(Server.Metrics.DeliveryBytes, 0, 20_000);
        }
        await Wait.Until(() => Server.Metrics.Closed(MqttCloseReason.SubscriberTooSlow) > 0);
    }
}
