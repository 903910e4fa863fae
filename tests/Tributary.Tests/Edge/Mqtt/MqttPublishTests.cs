using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>Messages in: stored, acknowledged after their commit, refused, held up.</summary>
public sealed class MqttPublishTests : MqttTest
{
    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_message_is_acknowledged_after_its_commit_and_not_before(int level)
    {
        ScriptedClient client = await ConnectAsync(level, "dev");
        await client.SendAsync(Packets.Publish(level, "devices/dev/t", "21.5", 1, 258));
        await client.ExpectNothingAsync();
        Assert.Equal(("dev", "devices/dev/t", "21.5"), (Ingest.Messages[0].ClientId, Ingest.Messages[0].Topic, Ingest.Messages[0].Payload));
        Ingest.Commit();
        await client.ExpectPubAcksAsync(258);
        await Wait.Until(() => Server.Metrics.Acknowledged == 1);
        Assert.Equal(1, Server.Metrics.MessagesIn);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Acknowledgements_come_in_order_of_arrival_whichever_stream_commits_first(int level)
    {
        ScriptedClient client = await ConnectAsync(level, "dev");
        await client.SendAsync(
            Packets.Publish(level, "a", "1", 1, 1), Packets.Publish(level, "other", "2", 1, 2), Packets.Publish(level, "a", "3", 1, 3),
            Packets.Publish(level, "q", "4"), Packets.Publish(level, "other", "5", 1, 5));
        await Wait.Until(() => Ingest.Messages.Count == 5);
        Ingest.Commit("other");
        await client.ExpectNothingAsync();
        Ingest.Commit("a", 1);
        await client.ExpectPubAcksAsync(1, 2);
        await client.ExpectNothingAsync();
        Ingest.Commit("a");
        await client.ExpectPubAcksAsync(3, 5);
        Assert.Equal(["1", "2", "3", "4", "5"], Ingest.Messages.Select(m => m.Payload));
    }

    [Fact]
    public async Task A_message_that_is_committed_before_it_is_queued_for_its_acknowledgement_is_acknowledged()
    {
        Ingest.CommitsAtOnce = true;
        ScriptedClient client = await ConnectAsync(4, "dev");
        for (int i = 1; i <= 2000; i++)
        {
            await client.SendAsync(Packets.Publish(4, "a", "x", 1, i));
            await client.ExpectPubAcksAsync(i);
        }
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Qos_0_is_stored_and_never_acknowledged(int level)
    {
        ScriptedClient client = await ConnectAsync(level, "dev");
        await client.SendAsync(Packets.Publish(level, "a", "1"), Packets.Publish(level, "a", "2"));
        await Wait.Until(() => Ingest.Messages.Count == 2);
        Ingest.Commit();
        await client.ExpectNothingAsync();
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_loss_closes_the_connection_and_nothing_lost_is_ever_acknowledged(int level)
    {
        ScriptedClient client = await ConnectAsync(level, "dev");
        await client.SendAsync(Packets.Publish(level, "a", "1", 1, 1), Packets.Publish(level, "a", "2", 1, 2));
        await Wait.Until(() => Ingest.Messages.Count == 2);
        Ingest.Commit("a", 1);
        await client.ExpectPubAcksAsync(1);
        Ingest.Lose("no space");
        if (level == 5)
        {
            Assert.Equal(0x80, (await client.ReceiveAsync())[2]);
        }
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.MessagesLost));
        Assert.Equal(1, Server.Metrics.Acknowledged);
    }

    [Fact]
    public async Task A_loss_of_qos_0_closes_nothing()
    {
        ScriptedClient client = await ConnectAsync(5, "dev");
        await client.SendAsync(Packets.Publish(5, "a", "1"));
        await Wait.Until(() => Ingest.Messages.Count == 1);
        Ingest.Lose("no space");
        await client.ExpectNothingAsync();
    }

    [Theory]
    [InlineData(IngestRefusal.TooLarge, 0x83)]
    [InlineData(IngestRefusal.Full, 0x97)]
    [InlineData(IngestRefusal.Offline, 0x80)]
    public async Task A_client_of_5_is_told_of_a_refusal_in_its_turn_and_goes_on(object refusal, int code)
    {
        Ingest.Refusal = topic => topic == "bad" ? (IngestRefusal)refusal : IngestRefusal.None;
        ScriptedClient client = await ConnectAsync(5, "dev");
        await client.SendAsync(
            Packets.Publish(5, "a", "1", 1, 1), Packets.Publish(5, "bad", "2", 1, 2), Packets.Publish(5, "a", "3", 1, 3));
        await client.ExpectNothingAsync();
        Ingest.Commit();
        await client.ExpectPubAcksAsync(1);
        byte[] refused = await client.ReceiveAsync();
        Assert.Equal((0x40, 0, 2, (byte)code), (refused[0], refused[2], refused[3], refused[4]));
        Assert.Equal(0x1F, refused[6]);
        await client.ExpectPubAcksAsync(3);
        Assert.Equal(1, Server.Metrics.Refused);
    }

    [Fact]
    public async Task A_client_that_wants_no_words_gets_none()
    {
        Ingest.Refusal = _ => IngestRefusal.Full;
        ScriptedClient client = await ConnectAsync(5, "dev", properties: [0x17, 0]);
        await client.SendAsync(Packets.Publish(5, "a", "1", 1, 1));
        await client.ExpectAsync(0x40, 3, 0, 1, 0x97);
    }

    [Fact]
    public async Task A_refusal_closes_a_client_of_3_1_1_after_what_came_before_and_before_what_came_after()
    {
        Ingest.Refusal = topic => topic == "bad" ? IngestRefusal.Full : IngestRefusal.None;
        ScriptedClient client = await ConnectAsync(4, "dev");
        await client.SendAsync(
            Packets.Publish(4, "a", "1", 1, 1), Packets.Publish(4, "bad", "2", 1, 2), Packets.Publish(4, "a", "3", 1, 3));
        await Wait.Until(() => Ingest.Messages.Count == 1);
        Ingest.Commit();
        await client.ExpectPubAcksAsync(1);
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.MessageRefused));
        Assert.Equal(["1"], Ingest.Messages.Select(m => m.Payload));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Refused_qos_0_is_counted_and_closes_nothing(int level)
    {
        Ingest.Refusal = _ => IngestRefusal.Full;
        Options = Options with { MaxTopicLevels = 2 };
        ScriptedClient client = await ConnectAsync(level, "dev");
        await client.SendAsync(Packets.Publish(level, "a", "1"), Packets.Publish(level, "a/b/c", "1"));
        await client.ExpectNothingAsync();
        Assert.Equal(1, Server.Metrics.Dropped(MqttDropReason.Refused));
        Assert.Equal(1, Server.Metrics.Dropped(MqttDropReason.TopicName));
    }

    [Fact]
    public async Task A_topic_above_the_limits_is_refused_like_a_message_that_cannot_be_stored()
    {
        Options = Options with { MaxTopicBytes = 10, MaxTopicLevels = 3 };
        ScriptedClient young = await ConnectAsync(5, "a", properties: [0x17, 0]);
        await young.SendAsync(Packets.Publish(5, "a/b/c/d", "1", 1, 1), Packets.Publish(5, "12345678901", "1", 1, 2));
        await young.ExpectAsync(0x40, 3, 0, 1, 0x90);
        await young.ExpectAsync(0x40, 3, 0, 2, 0x90);
        ScriptedClient old = await ConnectAsync(4, "b");
        await old.SendAsync(Packets.Publish(4, "a/b/c/d", "1", 1, 1));
        await old.ExpectClosedAsync();
    }

    [Fact]
    public async Task A_client_of_5_beyond_its_receive_maximum_is_closed()
    {
        Options = Options with { MaxInFlight = 3 };
        ScriptedClient client = await ConnectAsync(5, "dev");
        await client.SendAsync([.. Enumerable.Range(1, 3).Select(i => Packets.Publish(5, "a", "x", 1, i))]);
        await client.ExpectNothingAsync();
        Ingest.Commit("a", 1);
        await client.ExpectPubAcksAsync(1);
        await client.SendAsync(Packets.Publish(5, "a", "x", 1, 4), Packets.Publish(5, "a", "q"));
        await client.ExpectNothingAsync();
        await client.SendAsync(Packets.Publish(5, "a", "x", 1, 5));
        Assert.Equal(0x93, (await client.ReceiveAsync())[2]);
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.ReceiveMaximum));
        Assert.Equal(5, Ingest.Messages.Count);
    }

    [Fact]
    public async Task A_client_of_3_1_1_beyond_it_is_not_read_until_there_is_room_and_not_blamed_for_silence()
    {
        Options = Options with { MaxInFlight = 3 };
        ScriptedClient client = await ConnectAsync(4, "dev", keepAlive: 10);
        await client.SendAsync([.. Enumerable.Range(1, 10).Select(i => Packets.Publish(4, "a", "x", 1, i)), Packets.PingReq]);
        await Wait.Until(() => Ingest.Messages.Count == 3);
        Time.Advance(TimeSpan.FromSeconds(40));
        Ingest.Commit("a", 2);
        await client.ExpectPubAcksAsync(1, 2);
        await Wait.Until(() => Ingest.Messages.Count == 5);
        Ingest.CommitsAtOnce = true;
        Ingest.Commit();
        List<byte> types = [];
        for (int i = 0; i < 9; i++)
        {
            types.Add((await client.ReceiveAsync())[0]);
        }
        Assert.Equal(8, types.Count(t => t == 0x40));
        Assert.Single(types, t => t == 0xD0);
        Assert.Equal(10, Ingest.Messages.Count);
        Assert.Equal(0, Server.Metrics.Closed(MqttCloseReason.KeepAlive));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task When_ingest_has_no_room_nothing_is_read_and_then_all(int level)
    {
        Ingest.HasRoom = false;
        ScriptedClient client = await ConnectAsync(level, "dev", keepAlive: 10);
        await client.SendAsync(Packets.PingReq, Packets.Publish(level, "a", "1", 1, 1), Packets.Publish(level, "a", "2", 1, 2));
        await client.ExpectAsync(Packets.PingResp);
        await Wait.Until(() => Ingest.Waiting == 1);
        Assert.Empty(Ingest.Messages);
        Time.Advance(TimeSpan.FromSeconds(60));
        Ingest.HasRoom = true;
        await Wait.Until(() => Ingest.Messages.Count == 2);
        Ingest.Commit();
        await client.ExpectPubAcksAsync(1, 2);
    }

    [Fact]
    public async Task A_client_that_hangs_up_while_ingest_has_no_room_is_gone_at_once()
    {
        Ingest.HasRoom = false;
        ScriptedClient client = await ConnectAsync(5, "dev");
        await client.SendAsync(Packets.Publish(5, "a", "1", 1, 1));
        await Wait.Until(() => Ingest.Waiting == 1);
        await ConnectAsync(5, "dev");
        Assert.Equal(0x8E, (await client.ReceiveAsync())[2]);
        await client.ExpectClosedAsync();
        Assert.Empty(Ingest.Messages);
    }

    [Fact]
    public async Task A_retained_message_of_3_1_1_is_stored_like_any_other()
    {
        ScriptedClient client = await ConnectAsync(4, "dev");
        await client.SendAsync(Packets.Publish(4, "a", "1", 1, 1, retain: true), Packets.Publish(4, "a", "2", 1, 2, dup: true));
        await Wait.Until(() => Ingest.Messages.Count == 2);
        Ingest.Commit();
        await client.ExpectPubAcksAsync(1, 2);
    }

    [Fact]
    public async Task A_client_that_does_not_read_its_acknowledgements_is_closed()
    {
        Ingest.CommitsAtOnce = true;
        ScriptedClient client = ScriptedClient.Open(Server, 4, new MqttPipes(outputBytes: 100), reads: false);
        await client.SendAsync(Packets.Connect(4, "dev"));
        await client.SendAsync([.. Enumerable.Range(1, 500).Select(i => Packets.Publish(4, "a", "x", 1, i))]);
        await Wait.Until(() =>
        {
            Time.Advance(TimeSpan.FromSeconds(1));
            return client.Serving.IsCompleted;
        });
        Assert.True(client.Pipes.IsAborted);
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.NotReading));
    }

    [Fact]
    public async Task A_fault_of_ingest_closes_the_connection_and_is_counted()
    {
        Ingest.Refusal = _ => throw new InvalidOperationException("the test's");
        ScriptedClient client = await ConnectAsync(5, "dev");
        await client.SendAsync(Packets.Publish(5, "a", "1", 1, 1));
        Assert.Equal(0x80, (await client.ReceiveAsync())[2]);
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.InternalError));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task It_does_not_matter_how_the_bytes_are_cut(int level)
    {
        Ingest.CommitsAtOnce = true;
        byte[] conversation =
        [
            .. Packets.Connect(level, "dev"), .. Packets.Publish(level, "a", "first", 1, 1), .. Packets.Subscribe(level, 2, ("s/#", 0)),
            .. Packets.Publish(level, "b", new string('x', 200), 1, 3), .. Packets.Publish(level, "c", ""), .. Packets.PingReq,
            .. Packets.Disconnect(level),
        ];
        for (int cut = 1; cut < conversation.Length; cut++)
        {
            await TalkAsync(new MqttPipes(), conversation[..cut], conversation[cut..]);
        }
        await TalkAsync(new MqttPipes(), [.. conversation.Select(b => (byte[])[b])]);
        foreach (int segment in (int[])[1, 2, 3, 7, 64])
        {
            await TalkAsync(new MqttPipes(segment), conversation);
            await TalkAsync(new MqttPipes(segment), [.. conversation.Chunk(5)]);
        }

        async Task TalkAsync(MqttPipes pipes, params byte[][] pieces)
        {
            int before = Ingest.Messages.Count;
            ScriptedClient client = ScriptedClient.Open(Server, level, pipes);
            foreach (byte[] piece in pieces)
            {
                await client.SendAsync(piece);
            }
            List<byte> types = [];
            for (int i = 0; i < 5; i++)
            {
                types.Add((await client.ReceiveAsync())[0]);
            }
            Assert.Equal([0x20, 0x40, 0x40, 0x90, 0xD0], types.Order().ToArray());
            Assert.Equal(0x20, types[0]);
            await client.ExpectClosedAsync();
            Assert.Equal(["first", new string('x', 200), ""], Ingest.Messages.Skip(before).Select(m => m.Payload));
        }
    }

    [Fact]
    public async Task A_packet_of_the_largest_size_gets_in_and_one_byte_more_does_not()
    {
        Options = Options with { MaxPacketBytes = 100_000 };
        ScriptedClient client = await ConnectAsync(5, "dev");
        byte[] empty = Packets.Publish(5, "a", new string('x', 50_000));
        string most = new('x', 100_000 - (empty.Length - 50_000));
        await client.SendAsync(Packets.Publish(5, "a", most));
        await Wait.Until(() => Ingest.Messages.Count == 1);
        Assert.Equal(most, Ingest.Messages[0].Payload);
        await client.SendAsync(Packets.Publish(5, "a", most + "x")[..5]);
        Assert.Equal(0x95, (await client.ReceiveAsync())[2]);
        await client.ExpectClosedAsync();
    }
}
