using System.Text;
using Tributary.Edge.Mqtt;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>Getting in, staying in, and being put out.</summary>
public sealed class MqttConnectTests : MqttTest
{
    [Fact]
    public async Task A_client_of_3_1_1_gets_in_pings_and_leaves()
    {
        ScriptedClient client = await ConnectAsync(4, "a");
        await client.ExpectNothingAsync();
        Assert.Equal(1, Server.Metrics.Connections);
        await client.SendAsync(Packets.Disconnect(4));
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.Disconnected));
        Assert.Equal(0, Server.Metrics.Connections);
    }

    [Fact]
    public async Task A_client_of_5_is_told_the_limits()
    {
        Options = Options with { MaxInFlight = 7, MaxPacketBytes = 2048, MaxKeepAlive = TimeSpan.FromSeconds(100) };
        ScriptedClient client = ScriptedClient.Open(Server, 5);
        await client.SendAsync(Packets.Connect(5, "a", keepAlive: 0, properties: [0x11, 0, 0, 0, 60]));
        byte[] answer = await client.ReceiveAsync();
        Assert.Equal(
            Convert.FromHexString("201E" + "0000" + "1B" + "110000003C" + "210007" + "2501" + "2700000800" + "220020"
                + "2801" + "2901" + "2A01" + "130064"),
            answer);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_client_without_identifier_gets_one(int level)
    {
        ScriptedClient client = ScriptedClient.Open(Server, level);
        await client.SendAsync(Packets.Connect(level, ""), Packets.Publish(level, "t", "x", 1, 1));
        byte[] answer = await client.ReceiveAsync();
        await Wait.Until(() => Ingest.Messages.Count == 1);
        string id = Ingest.Messages[0].ClientId;
        Assert.StartsWith("auto-", id, StringComparison.Ordinal);
        if (level == 5)
        {
            Assert.Contains(id, Encoding.UTF8.GetString(answer), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_session_to_be_kept_needs_an_identifier_in_3_1_1()
    {
        ScriptedClient client = ScriptedClient.Open(Server, 4);
        await client.SendAsync(Packets.Connect(4, "", clean: false));
        await client.ExpectAsync(0x20, 2, 0, 2);
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.ClientId));
    }

    [Theory]
    [InlineData(4, "20020002")]
    [InlineData(5, "20..0085")]
    public async Task An_identifier_above_the_limit_is_refused(int level, string answer)
    {
        Options = Options with { MaxClientIdBytes = 23 };
        await ExpectRefusedAsync(Packets.Connect(level, new string('x', 24)), answer, MqttCloseReason.ClientId);
    }

    [Theory]
    [InlineData(4, "20020002")]
    [InlineData(5, "20..0085")]
    public async Task An_identifier_with_control_characters_is_refused(int level, string answer) =>
        await ExpectRefusedAsync(Packets.Connect(level, "a\nb"), answer, MqttCloseReason.ClientId);

    [Theory]
    [InlineData("100C 0004 4D514454 04 02 003C 0000", "", MqttCloseReason.UnsupportedProtocol)] // "MQDT"
    [InlineData("100E 0006 4D5149736470 03 02 003C 0000", "20020001", MqttCloseReason.UnsupportedProtocol)] // MQTT 3.1
    [InlineData("100C 0004 4D515454 03 02 003C 0000", "20020001", MqttCloseReason.UnsupportedProtocol)]
    [InlineData("100C 0004 4D515454 06 02 003C 0000", "20..0084", MqttCloseReason.UnsupportedProtocol)]
    [InlineData("100C 0004 4D515454 04 03 003C 0000", "", MqttCloseReason.Malformed)] // reserved flag
    [InlineData("100D 0004 4D515454 05 03 003C 00 0000", "20..0081", MqttCloseReason.Malformed)]
    [InlineData("1010 0004 4D515454 05 02 003C 03 21 0000 0000", "20..0082", MqttCloseReason.ProtocolError)] // receive maximum 0
    [InlineData("1011 0004 4D515454 05 02 003C 04 15 0001 61 0000", "20..008C", MqttCloseReason.ConnectRefused)] // authentication
    [InlineData("1018 0004 4D515454 05 06 003C 00 0001 61 00 0005 245359532F 0000", "20..0090", MqttCloseReason.TopicName)] // will to $SYS/
    [InlineData("1014 0004 4D515454 05 06 003C 00 0001 61 00 0001 2B 0000", "20..0090", MqttCloseReason.TopicName)] // will to a filter
    [InlineData("1200", "", MqttCloseReason.NotConnect)]
    [InlineData("C000", "", MqttCloseReason.NotConnect)]
    [InlineData("474554202F20", "", MqttCloseReason.NotConnect)] // "GET / "
    [InlineData("16030100C8", "", MqttCloseReason.NotConnect)] // TLS
    [InlineData("10FFFFFFFF01", "", MqttCloseReason.Malformed)]
    [InlineData("10FFFFFF7F", "", MqttCloseReason.PacketTooLarge)]
    public async Task A_bad_beginning_is_answered_as_its_version_can_be_and_closed(string hex, string answer, object reason) =>
        await ExpectRefusedAsync(Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal)), answer, (MqttCloseReason)reason);

    [Fact]
    public async Task Connect_has_to_come_in_time()
    {
        ScriptedClient client = ScriptedClient.Open(Server, 4);
        await client.SendAsync(Packets.Connect(4, "a")[..5]);
        await Wait.Until(() =>
        {
            Time.Advance(TimeSpan.FromSeconds(1));
            return client.Serving.IsCompleted;
        });
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.ConnectTimeout));
    }

    [Fact]
    public async Task One_connection_more_than_allowed_is_closed_and_the_next_gets_in_when_there_is_room()
    {
        Options = Options with { MaxConnections = 2 };
        ScriptedClient first = await ConnectAsync(4, "a");
        await ConnectAsync(4, "b");
        ScriptedClient third = ScriptedClient.Open(Server, 4);
        await third.ExpectClosedAsync();
        Assert.True(third.Pipes.IsAborted);
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.TooManyConnections));
        await first.HangUpAsync();
        await ConnectAsync(4, "c");
        Assert.Equal(2, Server.Metrics.Connections);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Silence_of_one_and_a_half_times_the_keep_alive_ends_the_connection(int level)
    {
        ScriptedClient client = await ConnectAsync(level, "a", keepAlive: 20);
        for (int i = 0; i < 5; i++)
        {
            Time.Advance(TimeSpan.FromSeconds(29));
            await client.ExpectNothingAsync();
        }
        Time.Advance(TimeSpan.FromSeconds(31));
        if (level == 5)
        {
            Assert.Equal(0x8D, (await client.ReceiveAsync())[2]);
        }
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.KeepAlive));
    }

    [Fact]
    public async Task A_client_of_5_has_to_keep_the_keep_alive_of_the_broker()
    {
        Options = Options with { MaxKeepAlive = TimeSpan.FromSeconds(10) };
        ScriptedClient client = await ConnectAsync(5, "a", keepAlive: 1000);
        Time.Advance(TimeSpan.FromSeconds(16));
        Assert.Equal(0x8D, (await client.ReceiveAsync())[2]);
        await client.ExpectClosedAsync();
    }

    [Fact]
    public async Task Without_keep_alive_a_client_of_3_1_1_may_be_silent_for_days()
    {
        ScriptedClient client = await ConnectAsync(4, "a", keepAlive: 0);
        Time.Advance(TimeSpan.FromDays(3));
        await client.ExpectNothingAsync();
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_second_connection_takes_over_the_identifier(int level)
    {
        ScriptedClient first = await ConnectAsync(level, "a");
        await first.SendAsync(Packets.Subscribe(level, 1, ("t", 1)), Packets.Publish(level, "x", "1", 1, 1));
        await first.ReceiveAsync();
        ScriptedClient second = await ConnectAsync(level, "a");
        if (level == 5)
        {
            Assert.Equal(0x8E, (await first.ReceiveAsync())[2]);
        }
        await first.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.TakenOver));
        Assert.Equal(0, Server.Metrics.Subscriptions);
        await second.ExpectNothingAsync();
        Assert.Equal(1, Server.Metrics.Connections);
    }

    [Fact]
    public async Task Many_connections_that_fight_for_an_identifier_leave_one()
    {
        ScriptedClient[] clients = [.. Enumerable.Range(0, 20).Select(_ => ScriptedClient.Open(Server, 5))];
        await Task.WhenAll(clients.Select(client => client.SendAsync(Packets.Connect(5, "same"))));
        await Wait.Until(() => Server.Metrics.Closed(MqttCloseReason.TakenOver) == 19 && Server.Metrics.Connections == 1);
        ScriptedClient last = Assert.Single(clients, client => !client.Serving.IsCompleted);
        Assert.Equal(0x20, (await last.ReceiveAsync())[0]);
        await last.ExpectNothingAsync();
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_second_connect_ends_the_connection(int level)
    {
        ScriptedClient client = await ConnectAsync(level, "a");
        await client.SendAsync(Packets.Connect(level, "a"));
        await ExpectDisconnectAsync(client, 0x82, MqttCloseReason.ProtocolError);
    }

    [Theory]
    [InlineData("0000", 0x82)] // type 0
    [InlineData("2000", 0x82)] // CONNACK
    [InlineData("90030001 00", 0x82)] // SUBACK
    [InlineData("D000", 0x82)] // PINGRESP
    [InlineData("F000", 0x82)] // AUTH
    [InlineData("C100", 0x81)] // PINGREQ with flags
    [InlineData("C00100", 0x81)] // PINGREQ with a body
    [InlineData("800600010001 61 00", 0x81)] // SUBSCRIBE without its flag
    [InlineData("820400010001", 0x81)] // half a filter
    [InlineData("40020000", 0x81)] // PUBACK of 0
    [InlineData("E1020000", 0x81)] // DISCONNECT with flags
    [InlineData("E007000511 0000000A", 0x82)] // DISCONNECT that wants the session kept
    [InlineData("36080001 61 0001 00 6161", 0x81)] // QoS 3
    [InlineData("82090001 00 0003 612F23 03", 0x81)] // QoS 3 subscribed to
    [InlineData("82110001 00 000B 2473686172652F672F6124 04", 0x82)] // shared, and without own messages
    [InlineData("300600022F2B 0061", 0x90)] // wildcard
    [InlineData("300700016103230000", 0x94)] // topic alias 0
    [InlineData("300700016103230021", 0x94)] // topic alias above the maximum
    [InlineData("300600000323000161", 0x94)] // topic alias of no topic
    [InlineData("30FFFFFF7F", 0x95)] // too large
    [InlineData("30FFFFFFFF01", 0x81)] // a length of five bytes
    public async Task A_client_of_5_that_breaks_the_rules_is_told_how(string hex, int code)
    {
        ScriptedClient client = await ConnectAsync(5, "a");
        await client.SendAsync(Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal)));
        byte[] answer = await client.ReceiveAsync();
        Assert.Equal((0xE0, (byte)code), (answer[0], answer[2]));
        await client.ExpectClosedAsync();
        Assert.Empty(Ingest.Messages);
    }

    [Theory]
    [InlineData("E000 C000", MqttCloseReason.Disconnected)] // what comes after DISCONNECT does not count
    [InlineData("F000", MqttCloseReason.ProtocolError)]
    [InlineData("C100", MqttCloseReason.Malformed)]
    [InlineData("300400022F2B", MqttCloseReason.TopicName)]
    [InlineData("30020000", MqttCloseReason.TopicName)]
    [InlineData("30FFFFFF7F", MqttCloseReason.PacketTooLarge)]
    [InlineData("820400010001", MqttCloseReason.Malformed)]
    public async Task A_client_of_3_1_1_that_breaks_the_rules_is_just_closed(string hex, object reason)
    {
        ScriptedClient client = await ConnectAsync(4, "a");
        await client.SendAsync(Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal)));
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed((MqttCloseReason)reason));
        Assert.Empty(Ingest.Messages);
    }

    [Fact]
    public async Task A_release_of_a_message_from_another_life_is_answered()
    {
        ScriptedClient old = await ConnectAsync(4, "a");
        await old.SendAsync([0x62, 2, 0, 9]);
        await old.ExpectAsync(0x70, 2, 0, 9);
        ScriptedClient young = await ConnectAsync(5, "b");
        await young.SendAsync([0x62, 2, 0, 9]);
        await young.ExpectAsync(0x70, 3, 0, 9, 0x92);
    }

    [Fact]
    public async Task A_receipt_of_a_message_from_another_life_is_answered_and_a_completion_let_pass()
    {
        ScriptedClient old = await ConnectAsync(4, "a");
        await old.SendAsync([0x50, 2, 0, 9], [0x70, 2, 0, 9]);
        await old.ExpectAsync(0x62, 2, 0, 9);
        ScriptedClient young = await ConnectAsync(5, "b");
        await young.SendAsync([0x50, 2, 0, 9], [0x70, 2, 0, 9]);
        await young.ExpectAsync(0x62, 3, 0, 9, 0x92);
        await young.ExpectNothingAsync();
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task At_shutdown_what_was_sent_is_acknowledged_and_clients_of_5_are_told(int level)
    {
        Options = Options with { ShutdownGrace = TimeSpan.FromSeconds(10) };
        ScriptedClient client = await ConnectAsync(level, "a");
        await client.SendAsync(Packets.Publish(level, "t", "x", 1, 7));
        await Wait.Until(() => Ingest.Messages.Count == 1);
        Task stopping = Server.DisposeAsync().AsTask();
        Ingest.Commit();
        await client.ExpectPubAcksAsync(7);
        if (level == 5)
        {
            Assert.Equal(0x8B, (await client.ReceiveAsync())[2]);
        }
        await client.ExpectClosedAsync();
        await stopping.WaitAsync(ScriptedClient.Deadline);
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.Shutdown));
    }

    [Fact]
    public async Task Shutdown_waits_only_so_long_for_commits()
    {
        Options = Options with { ShutdownGrace = TimeSpan.FromSeconds(10) };
        ScriptedClient client = await ConnectAsync(5, "a");
        await client.SendAsync(Packets.Publish(5, "t", "x", 1, 7));
        await Wait.Until(() => Ingest.Messages.Count == 1);
        Task stopping = Server.DisposeAsync().AsTask();
        await Wait.Until(() =>
        {
            Time.Advance(TimeSpan.FromSeconds(1));
            return stopping.IsCompleted;
        });
        Assert.Equal(0x8B, (await client.ReceiveAsync())[2]);
        await client.ExpectClosedAsync();
    }

    private async Task ExpectRefusedAsync(byte[] beginning, string answer, MqttCloseReason reason)
    {
        ScriptedClient client = ScriptedClient.Open(Server, 0);
        await client.SendAsync(beginning);
        if (answer.Length > 0)
        {
            string got = Convert.ToHexString(await client.ReceiveAsync());
            Assert.Equal(answer[..2], got[..2]);
            Assert.Equal(answer[4..8], got[4..8]);
        }
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(reason));
        Assert.Equal(0, Server.Metrics.ConnectionsAccepted);
    }

    private async Task ExpectDisconnectAsync(ScriptedClient client, byte code, MqttCloseReason reason)
    {
        if (client.Level == 5)
        {
            byte[] answer = await client.ReceiveAsync();
            Assert.Equal((0xE0, code), (answer[0], answer[2]));
        }
        await client.ExpectClosedAsync();
        Assert.Equal(1, Server.Metrics.Closed(reason));
    }
}
