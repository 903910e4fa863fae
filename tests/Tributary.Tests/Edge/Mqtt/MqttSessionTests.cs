using Tributary.Edge.Mqtt;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>Sessions that outlive their connections, QoS 2, retained messages, wills with delay and shared subscriptions on the wire.</summary>
public sealed class MqttSessionTests : MqttTest
{
    private static readonly byte[] Hour = [0x11, 0, 0, 0x0E, 0x10];

    public MqttSessionTests() => Ingest.CommitsAtOnce = true;

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task What_a_subscriber_missed_waits_for_it_in_order_and_what_it_did_not_acknowledge_comes_again(int level)
    {
        ScriptedClient sub = await KeptAsync(level, "sub", isPresent: false);
        await sub.SendAsync(Packets.Subscribe(level, 1, ("t/#", 2)));
        await sub.ReceiveAsync();
        ScriptedClient pub = await ConnectAsync(level, "pub");
        await pub.SendAsync(Packets.Publish(level, "t/a", "1", 1, 1));
        await pub.ExpectPubAcksAsync(1);
        await sub.ExpectAsync(Packets.Publish(level, "t/a", "1", 1, 1));
        await sub.HangUpAsync();
        await pub.SendAsync(
            Packets.Publish(level, "t/a", "zero"), Packets.Publish(level, "t/a", "2", 1, 2), Packets.Publish(level, "t/b", "3", 1, 3));
        await pub.ExpectPubAcksAsync(2, 3);
        sub = await KeptAsync(level, "sub", isPresent: true);
        await sub.ExpectAsync(Packets.Publish(level, "t/a", "1", 1, 1, dup: true));
        await sub.ExpectAsync(Packets.Publish(level, "t/a", "2", 1, 2));
        await sub.ExpectAsync(Packets.Publish(level, "t/b", "3", 1, 3));
        await sub.SendAsync(Packets.PubAck(1), Packets.PubAck(2), Packets.PubAck(3));
        await Wait.Until(() => Server.Sessions.Count().QueuedMessages == 0);
        await sub.ExpectNothingAsync();
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_clean_start_forgets_the_session(int level)
    {
        ScriptedClient first = await KeptAsync(level, "a", isPresent: false);
        await first.SendAsync(Packets.Subscribe(level, 1, ("t", 1)));
        await first.ReceiveAsync();
        await first.SendAsync(Packets.Disconnect(level));
        await first.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Subscriptions);
        ScriptedClient second = await ConnectAsync(level, "a");
        Assert.Equal(0, Server.Metrics.Subscriptions);
        Assert.Equal(0, Server.Sessions.Count().Sessions);
        await second.SendAsync(Packets.Disconnect(level));
        await second.ExpectClosedAsync();
        await KeptAsync(level, "a", isPresent: false);
    }

    [Fact]
    public async Task A_session_ends_when_its_time_is_over_and_not_before()
    {
        ScriptedClient client = await KeptAsync(5, "a", isPresent: false);
        await client.HangUpAsync();
        await Wait.Until(() => Server.Metrics.Connections == 0);
        Time.Advance(TimeSpan.FromMinutes(59));
        Assert.Equal(1, Server.Sessions.Count().Sessions);
        Time.Advance(TimeSpan.FromMinutes(2));
        await Wait.Until(() => Server.Sessions.Count().Sessions == 0);
    }

    [Fact]
    public async Task A_client_is_told_when_its_session_lives_shorter_than_it_wants_and_may_shorten_it_at_its_end()
    {
        Options = Options with { MaxSessionExpiry = TimeSpan.FromSeconds(100) };
        ScriptedClient client = ScriptedClient.Open(Server, 5);
        await client.SendAsync(Packets.Connect(5, "a", properties: Hour));
        byte[] answer = await client.ReceiveAsync();
        Assert.Equal("1100000064", Convert.ToHexString(answer.AsSpan(5, 5)));
        await client.SendAsync(Packets.Packet(0xE0, [0, 5, 0x11, 0, 0, 0, 0]));
        await client.ExpectClosedAsync();
        await Wait.Until(() => Server.Sessions.Count().Sessions == 0);
    }

    [Fact]
    public async Task One_session_more_than_allowed_is_refused()
    {
        Options = Options with { MaxSessions = 1 };
        await KeptAsync(5, "a", isPresent: false);
        ScriptedClient client = ScriptedClient.Open(Server, 5);
        await client.SendAsync(Packets.Connect(5, "b", properties: Hour));
        Assert.Equal(0x97, (await client.ReceiveAsync())[3]);
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.TooManySessions));
    }

    [Theory]
    [InlineData(4, true)]
    [InlineData(5, true)]
    [InlineData(4, false)]
    [InlineData(5, false)]
    public async Task A_message_of_qos_2_is_stored_once_however_often_it_comes(int level, bool isKept)
    {
        ScriptedClient client = isKept ? await KeptAsync(level, "dev", isPresent: false) : await ConnectAsync(level, "dev");
        byte[] publish = Packets.Publish(level, "t", "x", 2, 7);
        byte[] again = Packets.Publish(level, "t", "x", 2, 7, dup: true);
        await client.SendAsync(publish);
        await client.ExpectAsync(0x50, 2, 0, 7);
        await client.SendAsync(again);
        await client.ExpectAsync(0x50, 2, 0, 7);
        if (isKept)
        {
            await client.HangUpAsync();
            client = await KeptAsync(level, "dev", isPresent: true);
            await client.SendAsync(again);
            await client.ExpectAsync(0x50, 2, 0, 7);
        }
        await client.SendAsync([0x62, 2, 0, 7]);
        await client.ExpectAsync(0x70, 2, 0, 7);
        Assert.Single(Ingest.Messages);
        await client.SendAsync(publish);
        await client.ExpectAsync(0x50, 2, 0, 7);
        Assert.Equal(2, Ingest.Messages.Count);
    }

    [Theory]
    [InlineData(4, true)]
    [InlineData(5, true)]
    [InlineData(4, false)]
    [InlineData(5, false)]
    public async Task A_subscriber_with_qos_2_gets_a_message_once(int level, bool isKept)
    {
        ScriptedClient sub = isKept ? await KeptAsync(level, "sub", isPresent: false) : await ConnectAsync(level, "sub");
        await sub.SendAsync(Packets.Subscribe(level, 1, ("t", 2)));
        await sub.ReceiveAsync();
        ScriptedClient pub = await ConnectAsync(level, "pub");
        await pub.SendAsync(Packets.Publish(level, "t", "x", 2, 9));
        await sub.ExpectAsync(Packets.Publish(level, "t", "x", 2, 1));
        await sub.SendAsync([0x50, 2, 0, 1]);
        await sub.ExpectAsync(0x62, 2, 0, 1);
        if (isKept)
        {
            await sub.HangUpAsync();
            sub = await KeptAsync(level, "sub", isPresent: true);
            await sub.ExpectAsync(0x62, 2, 0, 1);
        }
        await sub.SendAsync([0x70, 2, 0, 1]);
        await sub.ExpectNothingAsync();
        Assert.Equal(0, Server.Sessions.Count().QueuedMessages);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_new_subscription_gets_the_last_retained_message_of_each_topic_and_an_empty_one_ends_it(int level)
    {
        ScriptedClient pub = await ConnectAsync(level, "pub");
        await pub.SendAsync(
            Packets.Publish(level, "a/1", "old", 1, 1, retain: true), Packets.Publish(level, "a/1", "new", 1, 2, retain: true),
            Packets.Publish(level, "a/2", "gone", 1, 3, retain: true), Packets.Publish(level, "a/2", "", 1, 4, retain: true),
            Packets.Publish(level, "b", "other", 1, 5, retain: true));
        await pub.ExpectPubAcksAsync(1, 2, 3, 4, 5);
        foreach (bool isKept in new[] { false, true })
        {
            ScriptedClient sub = isKept ? await KeptAsync(level, "kept", isPresent: false) : await ConnectAsync(level, "sub");
            await sub.SendAsync(Packets.Subscribe(level, 1, ("a/+", 1)));
            Assert.Equal(0x90, (await sub.ReceiveAsync())[0]);
            await sub.ExpectAsync(Packets.Publish(level, "a/1", "new", 1, 1, retain: true));
            await sub.SendAsync(Packets.PubAck(1));
            await pub.SendAsync(Packets.Publish(level, "a/1", "live", 0, retain: true));
            await sub.ExpectAsync(Packets.Publish(level, "a/1", "live")); // not retained as published
            await pub.SendAsync(Packets.Publish(level, "a/1", "new", 1, 6, retain: true));
            await pub.ExpectPubAcksAsync(6);
            await sub.ReceiveAsync();
        }
        Assert.Equal(2, Server.Sessions.Count().Retained);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_subscribe_packet_that_asks_for_many_retained_messages_gets_them_all_after_one_answer(int level)
    {
        const int Retained = 600;
        ScriptedClient pub = await ConnectAsync(level, "pub");
        for (int i = 0; i < Retained; i++)
        {
            await pub.SendAsync(Packets.Publish(level, $"r/{i}", "old", 1, i + 1, retain: true));
        }
        await pub.ExpectPubAcksAsync([.. Enumerable.Range(1, Retained)]);
        ScriptedClient sub = await ConnectAsync(level, "sub");
        await sub.SendAsync(Packets.Subscribe(level, 1, ("r/#", 0), ("+/#", 0), ("none", 1), ("r/+", 0), ("$share/g/r/#", 2)));
        byte[] answer = await sub.ReceiveAsync();
        Assert.Equal(0x90, answer[0]);
        Assert.Equal([0, 0, 1, 0, 2], answer[^5..]);
        byte[] live = Packets.Publish(level, "r/0", "live");
        await pub.SendAsync(live);
        var all = new Dictionary<string, int>();
        for (int i = 0; i < 3 * Retained; i++)
        {
            string message = Convert.ToHexString(await sub.ReceiveAsync());
            all[message] = all.GetValueOrDefault(message) + 1;
        }
        Assert.Equal(Retained, all.Count);
        Assert.All(all.Values, times => Assert.Equal(3, times));
        Assert.DoesNotContain(Convert.ToHexString(live), all.Keys);
        await sub.SendAsync(Packets.Subscribe(level, 2, ("none/2", 0)));
        byte[] next = await sub.ReceiveAsync();
        while (next[0] == 0x30)
        {
            Assert.Equal(live, next);
            next = await sub.ReceiveAsync();
        }
        Assert.Equal((0x90, 0), (next[0], next[^1]));
    }

    [Fact]
    public async Task Retained_messages_come_as_the_subscription_asks_for_them()
    {
        ScriptedClient pub = await ConnectAsync(5, "pub");
        await pub.SendAsync(Packets.Publish(5, "t", "x", 1, 1, retain: true));
        await pub.ExpectPubAcksAsync(1);
        ScriptedClient sub = await ConnectAsync(5, "sub");
        byte[] retained = Packets.Publish(5, "t", "x", retain: true);
        await sub.SendAsync(Packets.Subscribe(5, 1, ("t", 0x20)));
        await sub.ReceiveAsync();
        await sub.ExpectNothingAsync(); // 2: never
        await sub.SendAsync(Packets.Subscribe(5, 2, ("t", 0x10)));
        await sub.ReceiveAsync();
        await sub.ExpectNothingAsync(); // 1: it is not new
        await sub.SendAsync(Packets.Subscribe(5, 3, ("t", 0)));
        await sub.ReceiveAsync();
        await sub.ExpectAsync(retained);
        await sub.SendAsync(Packets.Unsubscribe(5, 4, "t"), Packets.Subscribe(5, 5, ("t", 0x10)));
        await sub.ReceiveAsync();
        await sub.ReceiveAsync();
        await sub.ExpectAsync(retained);
    }

    [Fact]
    public async Task More_retained_messages_than_allowed_are_refused_or_not_retained()
    {
        Options = Options with { MaxRetained = 1 };
        ScriptedClient young = await ConnectAsync(5, "a");
        await young.SendAsync(Packets.Publish(5, "a", "1", 1, 1, retain: true), Packets.Publish(5, "b", "2", 1, 2, retain: true));
        await young.ExpectPubAcksAsync(1);
        Assert.Equal(0x97, (await young.ReceiveAsync())[4]);
        ScriptedClient old = await ConnectAsync(4, "b");
        await old.SendAsync(Packets.Publish(4, "b", "2", 1, 1, retain: true), Packets.Publish(4, "a", "3", 1, 2, retain: true));
        await old.ExpectPubAcksAsync(1, 2);
        Assert.Equal(3, Ingest.Messages.Count);
        Assert.Equal(1, Server.Sessions.Count().Retained);
        Assert.Equal(2, Server.Metrics.Dropped(MqttDropReason.RetainedFull));
    }

    [Fact]
    public async Task A_will_waits_for_its_delay_and_not_if_its_client_comes_back()
    {
        ScriptedClient sub = await ConnectAsync(5, "sub");
        await sub.SendAsync(Packets.Subscribe(5, 1, ("w", 1)));
        await sub.ReceiveAsync();
        for (int round = 0; round < 2; round++)
        {
            ScriptedClient client = ScriptedClient.Open(Server, 5);
            await client.SendAsync(Packets.Connect(
                5, "dev", clean: false, properties: Hour, will: ("w", "gone", 1, false), willProperties: [0x18, 0, 0, 0, 10]));
            await client.ReceiveAsync();
            await client.HangUpAsync();
            Time.Advance(TimeSpan.FromSeconds(9));
            Assert.Empty(Ingest.Messages);
        }
        Time.Advance(TimeSpan.FromSeconds(2));
        await Wait.Until(() =>
        {
            Time.Advance(TimeSpan.FromSeconds(1));
            return Ingest.Messages.Count == 1;
        });
        Time.Advance(TimeSpan.FromSeconds(1));
        await sub.ExpectAsync(Packets.Publish(5, "w", "gone", 1, 1));
    }

    [Fact]
    public async Task A_shared_subscription_gives_each_message_to_one_of_those_who_are_there()
    {
        ScriptedClient[] members = [await ConnectAsync(5, "m1"), await KeptAsync(5, "m2", isPresent: false), await ConnectAsync(4, "m3")];
        foreach (ScriptedClient member in members)
        {
            await member.SendAsync(Packets.Subscribe(member.Level, 1, ("$share/g/t/+", 1)));
            await member.ReceiveAsync();
        }
        ScriptedClient pub = await ConnectAsync(5, "pub");
        await pub.SendAsync([.. Enumerable.Range(1, 9).Select(i => Packets.Publish(5, "t/x", $"{i}", 1, i))]);
        await pub.ExpectPubAcksAsync([.. Enumerable.Range(1, 9)]);
        var got = new List<byte>();
        foreach (ScriptedClient member in members)
        {
            for (int i = 0; i < 3; i++)
            {
                got.Add((await member.ReceiveAsync())[^1]);
            }
            await member.ExpectNothingAsync();
        }
        Assert.Equal("123456789", string.Concat(got.Order().Select(b => (char)b)));
    }

    [Fact]
    public async Task What_a_member_of_a_shared_subscription_leaves_behind_goes_to_another_one()
    {
        ScriptedClient kept = await KeptAsync(5, "kept", isPresent: false);
        await kept.SendAsync(Packets.Subscribe(5, 1, ("$share/g/t", 1)));
        await kept.ReceiveAsync();
        await kept.HangUpAsync();
        ScriptedClient pub = await ConnectAsync(5, "pub");
        await pub.SendAsync(Packets.Publish(5, "t", "x", 1, 1));
        await pub.ExpectPubAcksAsync(1);
        ScriptedClient other = await ConnectAsync(5, "other");
        await other.SendAsync(Packets.Subscribe(5, 1, ("$share/g/t", 1)));
        await other.ReceiveAsync();
        await other.ExpectNothingAsync();
        await ConnectAsync(5, "kept"); // a clean start ends the session
        await other.ExpectAsync(Packets.Publish(5, "t", "x", 1, 1));
    }

    [Fact]
    public async Task A_topic_alias_stands_for_the_topic_that_it_was_given_for()
    {
        ScriptedClient client = await ConnectAsync(5, "a");
        await client.SendAsync(Packets.Subscribe(5, 1, ("#", 0)));
        await client.ReceiveAsync();
        await client.SendAsync(
            Packets.Publish(5, "long/topic", "1", 1, 1, properties: [0x01, 1, 0x23, 0, 5, 0x26, 0, 1, (byte)'k', 0, 1, (byte)'v']),
            Packets.Publish(5, "", "2", 1, 2, properties: [0x23, 0, 5]), Packets.Publish(5, "other", "3", 1, 3, properties: [0x23, 0, 5]),
            Packets.Publish(5, "", "4", 1, 4, properties: [0x23, 0, 5]));
        await Wait.Until(() => Ingest.Messages.Count == 4);
        Assert.Equal(["long/topic", "long/topic", "other", "other"], Ingest.Messages.Select(message => message.Topic));
        byte[] first = Packets.Publish(5, "long/topic", "1", properties: [0x01, 1, 0x26, 0, 1, (byte)'k', 0, 1, (byte)'v']);
        var received = new List<string>();
        for (int i = 0; i < 8; i++)
        {
            received.Add(Convert.ToHexString(await client.ReceiveAsync()));
        }
        Assert.Contains(Convert.ToHexString(first), received);
        Assert.Contains(Convert.ToHexString(Packets.Publish(5, "other", "4")), received);
    }

    [Fact]
    public async Task Values_of_the_broker_are_retained_and_nobody_else_can_publish_them()
    {
        Server.PublishSystem("$SYS/broker/uptime", "7 seconds");
        ScriptedClient client = await ConnectAsync(5, "a");
        await client.SendAsync(Packets.Subscribe(5, 1, ("#", 0), ("$SYS/#", 0)));
        await client.ReceiveAsync();
        await client.ExpectAsync(Packets.Publish(5, "$SYS/broker/uptime", "7 seconds", retain: true));
        Server.PublishSystem("$SYS/broker/uptime", "8 seconds");
        await client.ExpectAsync(Packets.Publish(5, "$SYS/broker/uptime", "8 seconds"));
        await client.SendAsync(Packets.Publish(5, "$SYS/broker/uptime", "x", 1, 1));
        Assert.Equal(0x90, (await client.ReceiveAsync())[4]);
        Assert.Empty(Ingest.Messages);
    }

    [Fact]
    public async Task An_expired_message_of_qos_2_that_was_begun_is_ended_and_one_that_was_not_is_dropped()
    {
        Time.SetUtcNow(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero)); // the age of what is read back must be known
        ScriptedClient sub = await KeptAsync(5, "sub", isPresent: false);
        await sub.SendAsync(Packets.Subscribe(5, 1, ("t", 2)));
        await sub.ReceiveAsync();
        ScriptedClient pub = await ConnectAsync(5, "pub");
        await pub.SendAsync(Packets.Publish(5, "t", "x", 2, 1, properties: [0x02, 0, 0, 0, 10]));
        await pub.ExpectAsync(0x50, 2, 0, 1);
        await sub.ExpectAsync(Packets.Publish(5, "t", "x", 2, 1, properties: [0x02, 0, 0, 0, 10]));
        await sub.HangUpAsync();
        await pub.SendAsync(Packets.Publish(5, "t", "y", 2, 2, properties: [0x02, 0, 0, 0, 10]));
        await pub.ExpectAsync(0x50, 2, 0, 2);
        Time.Advance(TimeSpan.FromSeconds(20));
        sub = await KeptAsync(5, "sub", isPresent: true);
        await sub.ExpectAsync(Packets.Publish(5, "t", "x", 2, 1, dup: true, properties: [0x02, 0, 0, 0, 0]));
        await sub.ExpectNothingAsync();
        await sub.SendAsync([0x50, 2, 0, 1]);
        await sub.ExpectAsync(0x62, 2, 0, 1);
        Assert.Equal(1, Server.Metrics.Dropped(MqttDropReason.Expired));
    }

    [Fact]
    public async Task A_subscriber_that_takes_aliases_gets_them_anew_in_each_connection()
    {
        Options = Options with { MaxOutboundTopicAliases = 1 };
        ScriptedClient pub = await ConnectAsync(5, "pub");
        for (int i = 0; i < 2; i++)
        {
            ScriptedClient sub = await ConnectAsync(5, "sub", properties: [0x22, 0, 9]);
            await sub.SendAsync(Packets.Subscribe(5, 1, ("#", 0)));
            await sub.ReceiveAsync();
            await pub.SendAsync(Packets.Publish(5, "a/long/topic", "1"), Packets.Publish(5, "a/long/topic", "2"));
            await sub.ExpectAsync(Packets.Publish(5, "a/long/topic", "1", properties: [0x23, 0, 1]));
            await sub.ExpectAsync(Packets.Publish(5, "", "2", properties: [0x23, 0, 1]));
            await sub.HangUpAsync();
        }
    }

    [Fact]
    public async Task An_alias_does_not_stand_for_its_former_topic_after_one_that_is_too_long()
    {
        ScriptedClient client = await ConnectAsync(5, "a");
        byte[] alias = [0x23, 0, 5];
        await client.SendAsync(Packets.Publish(5, "t", "1", 1, 1, properties: alias));
        await client.ExpectPubAcksAsync(1);
        await client.SendAsync(Packets.Publish(5, new string('x', Options.MaxTopicBytes + 1), "2", 1, 2, properties: alias));
        Assert.Equal(0x90, (await client.ReceiveAsync())[4]);
        await client.SendAsync(Packets.Publish(5, "", "3", 1, 3, properties: alias));
        byte[] end = await client.ReceiveAsync();
        Assert.Equal((0xE0, 0x94), (end[0], end[2]));
        Assert.Single(Ingest.Messages);
    }

    [Fact]
    public async Task What_waits_for_an_absent_session_takes_no_memory_from_subscribers_who_are_here()
    {
        Options = Options with { MaxDeliveryBytes = 16 << 10 };
        ScriptedClient absent = await KeptAsync(5, "absent", isPresent: false);
        await absent.SendAsync(Packets.Subscribe(5, 1, ("t", 1)));
        await absent.ReceiveAsync();
        await absent.HangUpAsync();
        ScriptedClient pub = await ConnectAsync(5, "pub");
        for (int i = 1; i <= 500; i++)
        {
            await pub.SendAsync(Packets.Publish(5, "t", "x", 1, i));
            await pub.ExpectPubAcksAsync(i);
        }
        ScriptedClient here = await ConnectAsync(5, "here");
        await here.SendAsync(Packets.Subscribe(5, 1, ("t", 1)));
        await here.ReceiveAsync();
        await pub.SendAsync(Packets.Publish(5, "t", "y", 1, 501));
        await here.ExpectAsync(Packets.Publish(5, "t", "y", 1, 1));
        Assert.Equal(501, Server.Sessions.Count().QueuedMessages);
    }

    [Fact]
    public async Task A_retained_message_is_in_memory_once_for_all_to_whom_it_is_on_its_way()
    {
        const int Size = 100_000;
        ScriptedClient pub = await ConnectAsync(5, "pub");
        await pub.SendAsync(
            Packets.Publish(5, "a", new string('a', Size), 1, 1, retain: true), Packets.Publish(5, "b", new string('b', Size), 1, 2, retain: true));
        await pub.ExpectPubAcksAsync(1, 2);
        List<ScriptedClient> slow = [];
        for (int i = 0; i < 20; i++)
        {
            // Nobody reads, so one message stands in the pipe of each, and the other one waits.
            ScriptedClient client = ScriptedClient.Open(Server, 5, reads: false);
            await client.SendAsync(Packets.Connect(5, $"s{i}"), Packets.Subscribe(5, 1, ("+", 0)));
            slow.Add(client);
        }
        await Wait.Until(() => Server.Metrics.BytesOut > 20 * Size);
        Assert.InRange(Server.Metrics.DeliveryBytes, 1, (2 * Size) + (20 * OutboundQueue.EntryBytes) + 1000);
        foreach (ScriptedClient client in slow)
        {
            client.Read();
            byte[][] got = [await client.ReceiveAsync(), await client.ReceiveAsync(), await client.ReceiveAsync(), await client.ReceiveAsync()];
            Assert.Equal("ab", string.Concat(got[2..].Select(packet => (char)packet[^1]).Order()));
        }
        await Wait.Until(() => Server.Metrics.DeliveryBytes == 0);
    }

    private Task<ScriptedClient> KeptAsync(int level, string clientId, bool isPresent) =>
        ScriptedClient.KeptAsync(Server, level, clientId, isPresent);
}
