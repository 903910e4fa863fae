using Tributary.Edge.Mqtt;
using Tributary.Log.Storage;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>What members of shared subscriptions leave behind, and who gets it.</summary>
public sealed class MqttSharedTests : MqttTest
{
    private static readonly byte[] OneInFlight = [0x21, 0, 1];
    private readonly MemoryStorage _memory = new();
    private readonly GatedStorage _gate;

    public MqttSharedTests()
    {
        _gate = new GatedStorage(_memory);
        Storage = _gate;
        Ingest.CommitsAtOnce = true;
    }

    public override ValueTask DisposeAsync()
    {
        _gate.Open();
        return base.DisposeAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_a_member_did_not_acknowledge_goes_to_another_one_in_order_when_its_connection_ends(bool isOtherKept)
    {
        ScriptedClient member = await ConnectAsync(5, "member", properties: OneInFlight);
        await JoinAsync(member);
        await PublishAsync(1, 3, qos: 1);
        await member.ExpectAsync(Packets.Publish(5, "t", "1", 1, 1));
        ScriptedClient other = isOtherKept ? await ScriptedClient.KeptAsync(Server, 5, "other", isPresent: false) : await ConnectAsync(5, "other");
        await JoinAsync(other);
        await member.HangUpAsync();
        for (int i = 1; i <= 3; i++)
        {
            await other.ExpectAsync(Packets.Publish(5, "t", $"{i}", 1, i));
            await other.SendAsync(Packets.PubAck(i));
        }
        await other.ExpectNothingAsync();
        await Wait.Until(() => Server.Metrics.DeliveryBytes == 0 && Server.Sessions.Count().QueuedMessages == 0);
    }

    [Fact]
    public async Task What_was_sent_to_a_member_with_qos_2_goes_to_nobody_else()
    {
        ScriptedClient member = await ConnectAsync(5, "member", properties: OneInFlight);
        await JoinAsync(member, qos: 2);
        await PublishAsync(1, 2, qos: 2);
        await member.ExpectAsync(Packets.Publish(5, "t", "1", 2, 1));
        ScriptedClient other = await ConnectAsync(5, "other");
        await JoinAsync(other, qos: 2);
        await member.HangUpAsync();
        await other.ExpectAsync(Packets.Publish(5, "t", "2", 2, 1));
        await other.ExpectNothingAsync();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_message_whose_member_has_gone_before_its_commit_goes_to_another_one(int qos)
    {
        Ingest.CommitsAtOnce = false;
        ScriptedClient member = await ConnectAsync(5, "member");
        await JoinAsync(member, (byte)qos);
        ScriptedClient pub = await ConnectAsync(5, "pub");
        await pub.SendAsync(Packets.Publish(5, "t", "1", 1, 1));
        await Wait.Until(() => Ingest.Messages.Count == 1);
        ScriptedClient other = await ScriptedClient.KeptAsync(Server, 5, "other", isPresent: false);
        await JoinAsync(other);
        await member.HangUpAsync();
        Ingest.Commit();
        await other.ExpectAsync(Packets.Publish(5, "t", "1", 1, 1));
        await pub.ExpectPubAcksAsync(1);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_a_kept_session_leaves_goes_to_another_one_even_if_it_is_not_durable_yet_but_not_before(bool isOtherKept)
    {
        ScriptedClient kept = await ScriptedClient.KeptAsync(Server, 5, "kept", isPresent: false);
        await JoinAsync(kept);
        await kept.HangUpAsync();
        await PublishAsync(1, 2500, qos: 1); // more than are passed on at once
        ScriptedClient other = isOtherKept ? await ScriptedClient.KeptAsync(Server, 5, "other", isPresent: false) : await ConnectAsync(5, "other");
        Assert.Equal(2500, Server.Sessions.Count().QueuedMessages);
        _gate.Close();
        ScriptedClient pub = await ConnectAsync(5, "last");
        await pub.SendAsync(Packets.Publish(5, "t", "2501", 1, 1));
        await Wait.Until(() => Server.Sessions.Count().QueuedMessages == 2501);
        Task joining = JoinAsync(other);
        ScriptedClient ending = ScriptedClient.Open(Server, 5);
        await Wait.Until(() => Server.Metrics.Subscriptions == 2);
        await ending.SendAsync(Packets.Connect(5, "kept")); // a clean start ends the session
        await Wait.Until(() => Server.Sessions.Count() is { Sessions: var sessions } && sessions == (isOtherKept ? 1 : 0));
        _gate.Open();
        await joining;
        for (int i = 1; i <= 2501; i++)
        {
            await other.ExpectAsync(Packets.Publish(5, "t", $"{i}", 1, i));
            await other.SendAsync(Packets.PubAck(i));
        }
        await other.ExpectNothingAsync();
        await Wait.Until(() => Server.Sessions.Count().QueuedMessages == 0);
    }

    [Fact]
    public async Task What_was_passed_on_is_where_it_went_after_a_crash()
    {
        ScriptedClient kept = await ScriptedClient.KeptAsync(Server, 5, "kept", isPresent: false);
        await JoinAsync(kept);
        await kept.HangUpAsync();
        await PublishAsync(1, 3, qos: 1);
        ScriptedClient other = await ScriptedClient.KeptAsync(Server, 5, "other", isPresent: false);
        await JoinAsync(other);
        await other.HangUpAsync();
        await ConnectAsync(5, "kept");
        await using var after = new TestSessions(Options, Time, _memory.Crash(static () => false, static _ => 0));
        Assert.Equal((1, 3L), (after.Store.Count().Sessions, after.Store.Count().QueuedMessages));
        await using var server = new MqttServer(
            Options, Ingest, after.Store, Time, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance);
        other = await ScriptedClient.KeptAsync(server, 5, "other", isPresent: true);
        for (int i = 1; i <= 3; i++)
        {
            await other.ExpectAsync(Packets.Publish(5, "t", $"{i}", 1, i, dup: true)); // it may have been sent before
        }
        await other.HangUpAsync();
    }

    [Fact]
    public async Task What_is_too_much_for_a_member_goes_to_another_one()
    {
        Options = Options with { MaxOutboundBytes = 2000 };
        ScriptedClient slow = await ConnectAsync(5, "slow", properties: OneInFlight);
        await JoinAsync(slow);
        ScriptedClient other = await ConnectAsync(5, "other");
        ScriptedClient pub = await ConnectAsync(5, "pub");
        var got = new HashSet<char>();
        for (char c = 'a'; c <= 'h'; c++)
        {
            if (c == 'd')
            {
                await JoinAsync(other); // the other one has its window and its queue full
            }
            await pub.SendAsync(Packets.Publish(5, "t", new string(c, 800), 1, c));
            await pub.ExpectPubAcksAsync(c);
            if (c >= 'd')
            {
                await TakeAsync();
            }
        }
        while (got.Count < 8)
        {
            await TakeAsync(); // and what was sent to it, or waited for it
        }
        await Wait.Until(() => Server.Metrics.Closed(MqttCloseReason.SubscriberTooSlow) == 1);

        async Task TakeAsync()
        {
            byte[] message = await other.ReceiveAsync();
            Assert.True(got.Add((char)message[^1]));
            await other.SendAsync(Packets.PubAck(got.Count));
        }
    }

    private async Task PublishAsync(int from, int to, int qos)
    {
        ScriptedClient pub = await ConnectAsync(5, "pub");
        for (int i = from; i <= to; i++)
        {
            await pub.SendAsync(Packets.Publish(5, "t", $"{i}", qos, i));
            await pub.ExpectAsync((byte)(qos == 1 ? 0x40 : 0x50), 2, (byte)(i >> 8), (byte)i);
        }
    }

    private static async Task JoinAsync(ScriptedClient member, byte qos = 1)
    {
        await member.SendAsync(Packets.Subscribe(5, 1, ("$share/g/t", qos)));
        Assert.Equal(0x90, (await member.ReceiveAsync())[0]);
    }
}
