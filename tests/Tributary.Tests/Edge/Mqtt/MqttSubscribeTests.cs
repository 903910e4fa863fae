using System.Text;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>Messages out: subscriptions, local delivery, wills, slow subscribers.</summary>
public sealed class MqttSubscribeTests : MqttTest
{
    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_subscriber_gets_a_message_after_its_commit_with_the_lower_qos(int level)
    {
        ScriptedClient subscriber = await ConnectAsync(level, "sub");
        await subscriber.SendAsync(Packets.Subscribe(level, 1, ("zero/#", 0), ("one/+", 1), ("two/x", 2)));
        await subscriber.ExpectAsync(SubAck(level, 1, 0, 1, 2));
        ScriptedClient publisher = await ConnectAsync(level, "pub");
        await publisher.SendAsync(
            Packets.Publish(level, "zero/x", "a", 1, 1), Packets.Publish(level, "one/x", "b", 1, 2), Packets.Publish(level, "two/x", "c"),
            Packets.Publish(level, "nobody", "d", 1, 3));
        await Wait.Until(() => Ingest.Messages.Count == 4);
        await publisher.ExpectNothingAsync();
        await subscriber.ExpectNothingAsync();
        Ingest.Commit();
        await subscriber.ExpectAsync(Packets.Publish(level, "zero/x", "a"));
        await subscriber.ExpectAsync(Packets.Publish(level, "one/x", "b", 1, 1));
        await subscriber.ExpectAsync(Packets.Publish(level, "two/x", "c"));
        await publisher.ExpectPubAcksAsync(1, 2, 3);
        await Wait.Until(() => Server.Metrics.MessagesOut == 3);
        Assert.Equal(0, Server.Metrics.DeliveryBytes);
    }

    [Fact]
    public async Task Versions_mix_and_properties_go_only_to_those_who_know_them()
    {
        ScriptedClient old = await ConnectAsync(4, "old");
        await old.SendAsync(Packets.Subscribe(4, 1, ("t", 1)));
        await old.ReceiveAsync();
        ScriptedClient young = await ConnectAsync(5, "young");
        await young.SendAsync(Packets.Subscribe(5, 1, [0x0B, 5], ("t", 1)));
        await young.ReceiveAsync();
        byte[] properties = [0x01, 1, 0x26, .. Packets.Text("k"), .. Packets.Text("v"), 0x02, .. Packets.UInt32(1000)];
        ScriptedClient publisher = await ConnectAsync(5, "pub");
        await publisher.SendAsync(Packets.Publish(5, "t", "x", 1, 1, properties: properties));
        await Wait.Until(() => Ingest.Messages.Count == 1);
        Time.Advance(TimeSpan.FromSeconds(10));
        Ingest.Commit();
        await old.ExpectAsync(Packets.Publish(4, "t", "x", 1, 1));
        byte[] later = [0x0B, 5, .. properties[..^4], .. Packets.UInt32(990)];
        await young.ExpectAsync(Packets.Publish(5, "t", "x", 1, 1, properties: later));
        await old.SendAsync(Packets.Publish(4, "t", "y"));
        await Wait.Until(() => Ingest.Messages.Count == 2);
        Ingest.Commit();
        await young.ExpectAsync(Packets.Publish(5, "t", "y", properties: [0x0B, 5]));
        await old.ExpectAsync(Packets.Publish(4, "t", "y"));
    }

    [Fact]
    public async Task A_client_whose_subscriptions_overlap_gets_one_message_with_all_identifiers()
    {
        Ingest.CommitsAtOnce = true;
        ScriptedClient client = await ConnectAsync(5, "a");
        await client.SendAsync(
            Packets.Subscribe(5, 1, [0x0B, 1], ("a/+", 0)), Packets.Subscribe(5, 2, [0x0B, 2], ("a/#", 1)),
            Packets.Subscribe(5, 3, [0x0B, 3], ("a/b", 0x05)));
        for (int i = 0; i < 3; i++)
        {
            await client.ReceiveAsync();
        }
        ScriptedClient publisher = await ConnectAsync(4, "pub");
        await publisher.SendAsync(Packets.Publish(4, "a/b", "x", 1, 1));
        byte[] got = await client.ReceiveAsync();
        Assert.Equal(0x32, got[0]);
        Assert.Equal([1, 2, 3], IdentifiersOf(got).Order().ToArray());
        // Its own message: not by the third subscription, which is "no local".
        await client.SendAsync(Packets.Publish(5, "a/b", "y", 0));
        Assert.Equal([1, 2], IdentifiersOf(await client.ReceiveAsync()).Order().ToArray());
        await client.ExpectNothingAsync();

        static IEnumerable<byte> IdentifiersOf(byte[] publish)
        {
            int at = 7 + (publish[0] == 0x32 ? 2 : 0);
            for (int end = at + 1 + publish[at++]; at < end; at += 2)
            {
                Assert.Equal(0x0B, publish[at]);
                yield return publish[at + 1];
            }
        }
    }

    [Fact]
    public async Task Own_messages_come_back_unless_told_otherwise_and_the_retain_flag_stays_if_wanted()
    {
        Ingest.CommitsAtOnce = true;
        ScriptedClient client = await ConnectAsync(5, "a");
        await client.SendAsync(Packets.Subscribe(5, 1, ("mine", 0x04), ("all", 0x00)));
        await client.ExpectAsync(SubAck(5, 1, 0, 0));
        await client.SendAsync(Packets.Publish(5, "mine", "x"), Packets.Publish(5, "all", "y"));
        await client.ExpectAsync(Packets.Publish(5, "all", "y"));
        await client.SendAsync(Packets.Subscribe(5, 2, ("mine", 0x08)));
        await client.ExpectAsync(SubAck(5, 2, 0));
        ScriptedClient old = await ConnectAsync(4, "b");
        await old.SendAsync(Packets.Publish(4, "mine", "x", retain: true), Packets.Publish(4, "all", "y", retain: true));
        await client.ExpectAsync(Packets.Publish(5, "mine", "x", retain: true));
        await client.ExpectAsync(Packets.Publish(5, "all", "y"));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Filters_that_cannot_be_are_refused_one_by_one(int level)
    {
        Options = Options with { MaxSubscriptionsPerClient = 2, MaxTopicLevels = 3 };
        ScriptedClient client = await ConnectAsync(level, "a");
        await client.SendAsync(Packets.Subscribe(
            level, 9, ("a", 0), ("a#", 0), ("$share/g", 1), ("a/b/c/d", 0), ("b", 1), ("c", 0), ("a", 1)));
        byte no = 0x80;
        await client.ExpectAsync(level == 5 ? SubAck(5, 9, 0, 0x8F, 0x8F, 0x8F, 1, 0x97, 1) : SubAck(4, 9, 0, no, no, no, 1, no, 1));
        await client.SendAsync(Packets.Unsubscribe(level, 10, "a", "x"));
        await client.ExpectAsync(level == 5 ? [0xB0, 5, 0, 10, 0, 0, 0x11] : [0xB0, 2, 0, 10]);
        Assert.Equal(1, Server.Metrics.Subscriptions);
        await client.HangUpAsync();
        Assert.Equal(0, Server.Metrics.Subscriptions);
    }

    [Fact]
    public async Task After_an_unsubscribe_nothing_comes_any_more_not_even_what_was_published_before()
    {
        ScriptedClient client = await ConnectAsync(5, "a");
        await client.SendAsync(Packets.Subscribe(5, 1, ("t", 0)), Packets.Publish(5, "t", "x"), Packets.Unsubscribe(5, 2, "t"));
        await client.ReceiveAsync();
        await client.ReceiveAsync();
        Ingest.Commit();
        await client.ExpectNothingAsync();
    }

    [Theory]
    [InlineData(4, 3)]
    [InlineData(5, 2)]
    public async Task No_more_than_the_window_is_sent_without_acknowledgement(int level, int window)
    {
        Options = Options with { MaxOutboundInFlight = 3 };
        Ingest.CommitsAtOnce = true;
        ScriptedClient subscriber = await ConnectAsync(level, "sub", properties: [0x21, 0, 2]);
        await subscriber.SendAsync(Packets.Subscribe(level, 1, ("t", 1)));
        await subscriber.ReceiveAsync();
        ScriptedClient publisher = await ConnectAsync(level, "pub");
        await publisher.SendAsync([.. Enumerable.Range(1, 6).Select(i => Packets.Publish(level, "t", $"{i}", 1, i))]);
        await publisher.ExpectPubAcksAsync(1, 2, 3, 4, 5, 6);
        for (int i = 1; i <= window; i++)
        {
            await subscriber.ExpectAsync(Packets.Publish(level, "t", $"{i}", 1, i));
        }
        await subscriber.ExpectNothingAsync();
        await subscriber.SendAsync(Packets.PubAck(2), Packets.PubAck(77));
        await subscriber.ExpectAsync(Packets.Publish(level, "t", $"{window + 1}", 1, window + 1));
        await subscriber.ExpectNothingAsync();
    }

    [Fact]
    public async Task A_slow_subscriber_loses_qos_0_and_is_closed_when_qos_1_overflows()
    {
        Options = Options with { MaxOutboundBytes = 2000, MaxOutboundInFlight = 1 };
        Ingest.CommitsAtOnce = true;
        ScriptedClient subscriber = await ConnectAsync(5, "sub");
        await subscriber.SendAsync(Packets.Subscribe(5, 1, ("t", 1)));
        await subscriber.ReceiveAsync();
        ScriptedClient publisher = await ConnectAsync(5, "pub");
        // The first fills the window, the next two the queue.
        await publisher.SendAsync(Packets.Publish(5, "t", new string('x', 800), 1, 1));
        Assert.Equal(0x32, (await subscriber.ReceiveAsync())[0]);
        await publisher.SendAsync(
            Packets.Publish(5, "t", new string('x', 800), 1, 2), Packets.Publish(5, "t", new string('x', 800), 1, 3),
            Packets.Publish(5, "t", new string('y', 800)));
        await publisher.ExpectPubAcksAsync(1, 2, 3);
        await Wait.Until(() => Server.Metrics.Dropped(MqttDropReason.QueueFull) == 1);
        await subscriber.ExpectNothingAsync();
        await publisher.SendAsync(Packets.Publish(5, "t", new string('z', 800), 1, 4));
        await publisher.ExpectPubAcksAsync(4);
        Assert.Equal(0x97, (await subscriber.ReceiveAsync())[2]);
        await subscriber.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.SubscriberTooSlow));
        Assert.Equal(0, Server.Metrics.DeliveryBytes);
        await publisher.ExpectNothingAsync();
    }

    [Fact]
    public async Task When_the_memory_for_subscribers_is_used_up_publishers_are_not_slowed()
    {
        Options = Options with { MaxDeliveryBytes = 2000 };
        ScriptedClient zero = await ConnectAsync(5, "zero");
        await zero.SendAsync(Packets.Subscribe(5, 1, ("t", 0)));
        await zero.ReceiveAsync();
        ScriptedClient one = await ConnectAsync(5, "one");
        await one.SendAsync(Packets.Subscribe(5, 1, ("+", 0), ("t", 1)));
        await one.ReceiveAsync();
        ScriptedClient publisher = await ConnectAsync(5, "pub");
        await publisher.SendAsync(
            Packets.Publish(5, "t", new string('x', 1500), 1, 1), Packets.Publish(5, "t", new string('y', 1500), 1, 2));
        await Wait.Until(() => Ingest.Messages.Count == 2);
        Assert.Equal(0x97, (await one.ReceiveAsync())[2]);
        await one.ExpectClosedAsync();
        Ingest.Commit();
        await publisher.ExpectPubAcksAsync(1, 2);
        Assert.Contains("xxx", Encoding.UTF8.GetString(await zero.ReceiveAsync()), StringComparison.Ordinal);
        await zero.ExpectNothingAsync();
        Assert.Equal(1, Server.Metrics.Dropped(MqttDropReason.QueueFull));
        await Wait.Until(() => Server.Metrics.DeliveryBytes == 0);
    }

    [Fact]
    public async Task A_message_larger_than_the_subscriber_takes_is_left_out()
    {
        Ingest.CommitsAtOnce = true;
        Options = Options with { MaxOutboundInFlight = 1 };
        ScriptedClient subscriber = await ConnectAsync(5, "sub", properties: [0x27, 0, 0, 0, 100]);
        await subscriber.SendAsync(Packets.Subscribe(5, 1, ("t", 1)));
        await subscriber.ReceiveAsync();
        ScriptedClient publisher = await ConnectAsync(5, "pub");
        await publisher.SendAsync(Packets.Publish(5, "t", new string('x', 100), 1, 1), Packets.Publish(5, "t", "small", 1, 2));
        await subscriber.ExpectAsync(Packets.Publish(5, "t", "small", 1, 2));
        Assert.Equal(1, Server.Metrics.Dropped(MqttDropReason.TooLargeForSubscriber));
    }

    [Fact]
    public async Task A_client_that_takes_only_tiny_packets_is_closed()
    {
        ScriptedClient client = ScriptedClient.Open(Server, 5);
        await client.SendAsync(Packets.Connect(5, "a", properties: [0x27, 0, 0, 0, 10]));
        await client.ExpectAsync(0x20, 3, 0, 0x95, 0);
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.ClientPacketLimit));
    }

    [Fact]
    public async Task What_a_client_published_before_it_left_still_reaches_subscribers()
    {
        ScriptedClient subscriber = await ConnectAsync(4, "sub");
        await subscriber.SendAsync(Packets.Subscribe(4, 1, ("#", 1)));
        await subscriber.ReceiveAsync();
        ScriptedClient publisher = await ConnectAsync(4, "pub");
        await publisher.SendAsync(Packets.Publish(4, "a", "0"), Packets.Publish(4, "other", "1", 1, 1), Packets.Disconnect(4));
        await Wait.Until(() => Ingest.Messages.Count == 2);
        Ingest.Commit();
        await subscriber.ExpectAsync(Packets.Publish(4, "a", "0"));
        await subscriber.ExpectNothingAsync();
        Ingest.Commit("other");
        await subscriber.ExpectAsync(Packets.Publish(4, "other", "1", 1, 1));
        await publisher.ExpectClosedAsync();
        Assert.Equal(0, Server.Metrics.DeliveryBytes);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_will_is_stored_and_delivered_when_the_connection_breaks(int level)
    {
        ScriptedClient subscriber = await ConnectAsync(level, "sub");
        await subscriber.SendAsync(Packets.Subscribe(level, 1, ("last/#", 1)));
        await subscriber.ReceiveAsync();
        ScriptedClient dying = ScriptedClient.Open(Server, level);
        await dying.SendAsync(Packets.Connect(
            level, "dev", will: ("last/dev", "gone", level == 4 ? 2 : 1, level == 4),
            willProperties: [0x18, 0, 0, 0, 60, 0x01, 1]));
        await dying.ReceiveAsync();
        dying.Pipes.HangUp();
        await Wait.Until(() => Ingest.Messages.Count == 1);
        Assert.Equal(("dev", "last/dev", "gone"), (Ingest.Messages[0].ClientId, Ingest.Messages[0].Topic, Ingest.Messages[0].Payload));
        await subscriber.ExpectNothingAsync();
        Ingest.Commit();
        await subscriber.ExpectAsync(Packets.Publish(level, "last/dev", "gone", 1, 1, properties: [0x01, 1]));
        await dying.Serving.WaitAsync(ScriptedClient.Deadline);
    }

    [Theory]
    [InlineData(4, 0, 0)]
    [InlineData(5, 0, 0)]
    [InlineData(5, 4, 1)]
    public async Task A_client_that_says_good_bye_takes_its_will_along_unless_it_says_otherwise(int level, int code, int wills)
    {
        ScriptedClient client = ScriptedClient.Open(Server, level);
        await client.SendAsync(Packets.Connect(level, "dev", will: ("last/dev", "gone", 0, false)));
        await client.ReceiveAsync();
        await client.SendAsync(Packets.Disconnect(level, (byte)code));
        await client.ExpectClosedAsync();
        Assert.Equal(wills, Ingest.Messages.Count);
    }

    [Fact]
    public async Task A_will_comes_before_anything_of_the_connection_that_takes_over()
    {
        ScriptedClient first = ScriptedClient.Open(Server, 5);
        await first.SendAsync(Packets.Connect(5, "dev", will: ("last/dev", "gone", 1, false)));
        await first.ReceiveAsync();
        ScriptedClient second = ScriptedClient.Open(Server, 5);
        await second.SendAsync(Packets.Connect(5, "dev"), Packets.Publish(5, "t", "back", 1, 1));
        await Wait.Until(() => Ingest.Messages.Count == 2);
        Assert.Equal(["gone", "back"], Ingest.Messages.Select(m => m.Payload));
        await second.ReceiveAsync();
        Ingest.Commit();
        await second.ExpectPubAcksAsync(1);
    }

    [Fact]
    public async Task A_will_that_cannot_be_stored_is_counted()
    {
        ScriptedClient client = ScriptedClient.Open(Server, 4);
        await client.SendAsync(Packets.Connect(4, "dev", will: ("last/dev", "gone", 1, false)));
        await client.ReceiveAsync();
        Ingest.Refusal = _ => IngestRefusal.Full;
        await client.HangUpAsync();
        Assert.Equal(1, Server.Metrics.Dropped(MqttDropReason.Will));
    }

    private static byte[] SubAck(int level, int id, params byte[] codes) =>
        Packets.Packet(0x90, [.. Packets.UInt16(id), .. level == 5 ? (byte[])[0] : [], .. codes]);

    [Fact]
    public async Task More_retained_messages_than_a_queue_holds_leave_room_for_the_next_message()
    {
        Options = Options with { MaxOutboundBytes = 2000, MaxOutboundInFlight = 1 };
        Ingest.CommitsAtOnce = true;
        ScriptedClient publisher = await ConnectAsync(5, "pub");
        for (int i = 1; i <= 10; i++)
        {
            await publisher.SendAsync(Packets.Publish(5, $"t/{i}", new string('r', 800), 1, i, retain: true));
        }
        await publisher.ExpectPubAcksAsync([.. Enumerable.Range(1, 10)]);
        ScriptedClient subscriber = await ConnectAsync(5, "sub");
        await subscriber.SendAsync(Packets.Subscribe(5, 1, ("t/#", 1)));
        Assert.Equal(0x90, (await subscriber.ReceiveAsync())[0]);
        Assert.Equal(0x33, (await subscriber.ReceiveAsync())[0]);
        await publisher.SendAsync(Packets.Publish(5, "t/live", "live", 1, 11));
        await publisher.ExpectPubAcksAsync(11);
        for (int i = 1; i <= 10; i++)
        {
            await subscriber.SendAsync(Packets.PubAck(i));
            Assert.Equal(i < 10 ? 0x33 : 0x32, (await subscriber.ReceiveAsync())[0]);
        }
        await subscriber.SendAsync(Packets.PubAck(11));
        await Wait.Until(() => Server.Metrics.DeliveryBytes == 0);
    }

    [Fact]
    public async Task A_packet_that_repeats_a_filter_often_does_not_send_retained_messages_as_often()
    {
        Options = Options with { MaxSubscriptionsPerClient = 2 };
        Ingest.CommitsAtOnce = true;
        ScriptedClient publisher = await ConnectAsync(5, "pub");
        await publisher.SendAsync(Packets.Publish(5, "t", "x", 1, 1, retain: true));
        await publisher.ExpectPubAcksAsync(1);
        ScriptedClient subscriber = await ConnectAsync(5, "sub");
        await subscriber.SendAsync(Packets.Subscribe(5, 1, ("t", 0), ("t", 0), ("t", 0), ("t", 0), ("t", 0), ("t", 0)));
        Assert.Equal([0, 0, 0, 0, 0x97, 0x97], (await subscriber.ReceiveAsync())[^6..]);
        for (int i = 0; i < 4; i++)
        {
            await subscriber.ExpectAsync(Packets.Publish(5, "t", "x", retain: true));
        }
        await subscriber.ExpectNothingAsync();
    }
}
