using Tributary.Edge.Access;
using Tributary.Edge.Ingest;
using Tributary.Log.Storage;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>What comes between a durable session's message and the flush that makes it durable.</summary>
public sealed class MqttFlushTests : MqttTest
{
    private readonly GatedStorage _gate = new(new MemoryStorage());

    public MqttFlushTests() => Storage = _gate;

    public override ValueTask DisposeAsync()
    {
        _gate.Open();
        return base.DisposeAsync();
    }

    [Fact]
    public async Task Subscribers_get_a_message_of_qos_2_whose_publisher_went_before_its_commit()
    {
        ScriptedClient sub = await ConnectAsync(5, "sub");
        await sub.SendAsync(Packets.Subscribe(5, 1, ("t", 1)));
        await sub.ReceiveAsync();
        ScriptedClient pub = await PublishAndHangUpAsync();
        Ingest.Commit();
        await sub.ExpectAsync(Packets.Publish(5, "t", "x", 1, 1));
        await pub.Serving.WaitAsync(ScriptedClient.Deadline);
    }

    [Fact]
    public async Task A_connection_ends_when_what_its_subscribers_wait_for_is_lost()
    {
        ScriptedClient sub = await ConnectAsync(5, "sub");
        await sub.SendAsync(Packets.Subscribe(5, 1, ("t", 1)));
        await sub.ReceiveAsync();
        ScriptedClient pub = await PublishAndHangUpAsync();
        Ingest.Lose("no space");
        await pub.Serving.WaitAsync(ScriptedClient.Deadline);
        await sub.ExpectNothingAsync();
        Assert.Equal(0, Server.Metrics.DeliveryBytes);
    }

    [Fact]
    public async Task A_message_of_qos_2_that_comes_again_by_another_connection_is_answered_there_after_its_commit()
    {
        await PublishAndHangUpAsync();
        ScriptedClient pub = await ScriptedClient.KeptAsync(Server, 5, "pub", isPresent: true);
        await pub.SendAsync(Packets.Publish(5, "t", "x", 2, 7, dup: true));
        await pub.ExpectNothingAsync();
        Ingest.Commit();
        await pub.ExpectAsync(0x50, 2, 0, 7);
        Assert.Single(Ingest.Messages);
    }

    [Fact]
    public async Task A_subscriber_that_comes_back_before_the_flush_of_a_message_gets_it_after_that()
    {
        Ingest.CommitsAtOnce = true;
        ScriptedClient sub = await ScriptedClient.KeptAsync(Server, 5, "sub", isPresent: false);
        await sub.SendAsync(Packets.Subscribe(5, 1, ("t", 1)));
        await sub.ReceiveAsync();
        await sub.HangUpAsync();
        ScriptedClient pub = await ConnectAsync(5, "pub");
        _gate.Close();
        await pub.SendAsync(Packets.Publish(5, "t", "x", 1, 1));
        await Wait.Until(() => _gate.HeldUp > 0 && Server.Sessions.Count().QueuedMessages == 1);
        sub = await ScriptedClient.KeptAsync(Server, 5, "sub", isPresent: true);
        await sub.ExpectNothingAsync();
        _gate.Open();
        await sub.ExpectAsync(Packets.Publish(5, "t", "x", 1, 1));
        await pub.ExpectPubAcksAsync(1);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_release_is_not_confirmed_before_it_is_durable_however_often_it_comes(int level)
    {
        Ingest.CommitsAtOnce = true;
        ScriptedClient pub = await ScriptedClient.KeptAsync(Server, level, "pub", isPresent: false);
        await pub.SendAsync(Packets.Publish(level, "t", "x", 2, 7));
        await pub.ExpectAsync(0x50, 2, 0, 7);
        _gate.Close();
        await pub.SendAsync([0x62, 2, 0, 7]);
        await pub.ExpectNothingAsync();
        pub.Pipes.HangUp();
        pub = await ScriptedClient.KeptAsync(Server, level, "pub", isPresent: true);
        await pub.SendAsync([0x62, 2, 0, 7], [0x62, 2, 0, 7]);
        await pub.ExpectNothingAsync();
        _gate.Open();
        await pub.ExpectAsync(0x70, 2, 0, 7);
        await pub.ExpectAsync(0x70, 2, 0, 7);
    }

    [Fact]
    public async Task The_identifier_of_a_message_of_qos_2_that_is_refused_when_it_comes_again_is_free()
    {
        ScriptedClient sub = await ScriptedClient.KeptAsync(Server, 5, "sub", isPresent: false);
        await sub.SendAsync(Packets.Subscribe(5, 1, ("t", 1)));
        await sub.ReceiveAsync();
        ScriptedClient pub = await PublishAndHangUpAsync();
        await sub.ExpectAsync(Packets.Publish(5, "t", "x", 1, 1)); // its journal entry is durable, its record is not
        Ingest.Lose("no space");
        await pub.Serving.WaitAsync(ScriptedClient.Deadline);
        pub = await ScriptedClient.KeptAsync(Server, 5, "pub", isPresent: true);
        Ingest.CommitsAtOnce = true;
        Ingest.Refusal = _ => IngestRefusal.Full;
        _gate.Close();
        await pub.SendAsync(Packets.Publish(5, "t", "x", 2, 7, dup: true));
        await pub.ExpectNothingAsync();
        _gate.Open();
        Assert.Equal("50..000797", Answer(await pub.ReceiveAsync()));
        Ingest.Refusal = _ => IngestRefusal.None;
        await pub.SendAsync(Packets.Publish(5, "t", "y", 2, 7));
        await pub.ExpectAsync(0x50, 2, 0, 7);
        await sub.ExpectAsync(Packets.Publish(5, "t", "y", 1, 2));
        Assert.Equal(["x", "y"], Ingest.Messages.Select(message => message.Payload));
    }

    [Fact]
    public async Task A_message_of_qos_2_that_was_taken_is_answered_so_again_when_its_topic_is_not_allowed_any_more()
    {
        var access = new ChangingAccess("t");
        Access = access;
        Ingest.CommitsAtOnce = true;
        ScriptedClient pub = await ScriptedClient.KeptAsync(Server, 5, "pub", isPresent: false);
        await pub.SendAsync(Packets.Publish(5, "t", "x", 2, 7));
        await pub.ExpectAsync(0x50, 2, 0, 7);
        access.Allow("other");
        await pub.SendAsync(Packets.Publish(5, "t", "x", 2, 7, dup: true), Packets.Publish(5, "t", "y", 2, 8));
        await pub.ExpectAsync(0x50, 2, 0, 7);
        Assert.Equal("50..000887", Answer(await pub.ReceiveAsync()));
    }

    private static string Answer(byte[] packet) => $"{packet[0]:X2}..{Convert.ToHexString(packet.AsSpan(2, 3))}";

    private async Task<ScriptedClient> PublishAndHangUpAsync()
    {
        ScriptedClient pub = await ScriptedClient.KeptAsync(Server, 5, "pub", isPresent: false);
        await pub.SendAsync(Packets.Publish(5, "t", "x", 2, 7));
        await Wait.Until(() => Ingest.Messages.Count == 1);
        int others = Server.Sessions.Count().Connected - 1;
        pub.Pipes.HangUp();
        await Wait.Until(() => Server.Sessions.Count().Connected == others);
        return pub;
    }

    /// <summary>Everybody may publish to one topic, which changes.</summary>
    private sealed class ChangingAccess(string topic) : IAccess, IUserList
    {
        public event Action? Changed;

        public Users Users { get; private set; } = UsersOf(topic);

        public void Allow(string topic)
        {
            Users = UsersOf(topic);
            Changed?.Invoke();
        }

        public ValueTask<Admission> AdmitAsync(ClientIdentity identity, CancellationToken cancellation) =>
            new(new ClientRights(this, "user", identity.ClientId, null));

        public ClientRights RightsOf(string? user, string clientId) => new(this, user, clientId, null);

        private static Users UsersOf(string topic) => new([new User("user", null, new Permissions([TopicGrant.Parse(topic)], []))], null);
    }
}
