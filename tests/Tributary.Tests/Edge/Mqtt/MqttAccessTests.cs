using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Edge.Access;
using Tributary.Edge.Mqtt;
using Tributary.Tests.Cloud.Support;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>Users of a file that changes: who comes in, and what they may do.</summary>
public sealed class MqttAccessTests : MqttTest
{
    private static readonly string Secret = PasswordHash.Create("secret"u8, 1000).ToString();
    private static readonly string Other = PasswordHash.Create("other"u8, 1000).ToString();
    private static readonly byte[] Hour = [0x11, 0, 0, 0x0E, 0x10];
    private readonly TemporaryDirectory _directory = new();
    private readonly AccessMetrics _metrics = new();
    private readonly UserAccess _users;

    public MqttAccessTests()
    {
        WriteUsers($$"""{ "password": "{{Secret}}", "publish": ["devices/%u/#"], "subscribe": ["commands/%c/#", "news"] }""");
        _users = new UserAccess(_directory.File("users.json"), TimeSpan.FromSeconds(2), _metrics, Time, NullLogger.Instance);
        Access = _users;
        Ingest.CommitsAtOnce = true;
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        _users.Dispose();
        _metrics.Dispose();
        _directory.Dispose();
    }

    [Theory]
    [InlineData(4, "pump", "wrong", "20020004")]
    [InlineData(5, "pump", "wrong", "20..0086")]
    [InlineData(4, "nobody", "secret", "20020004")]
    [InlineData(5, "nobody", "secret", "20..0086")]
    [InlineData(5, "pump", null, "20..0086")]
    [InlineData(5, null, "secret", "20..0086")]
    [InlineData(5, "by certificate", "secret", "20..0086")]
    public async Task A_wrong_name_or_password_is_refused_and_nobody_is_told_which(int level, string? user, string? password, string answer)
    {
        await ExpectRefusedAsync(Packets.Connect(level, "c1", user: user, password: password), level, answer, MqttCloseReason.BadCredentials);
        Assert.Equal(1, _metrics.CountRefused(AccessRefusal.BadCredentials));
    }

    [Fact]
    public async Task Unknown_users_cost_as_much_as_known_ones()
    {
        await ExpectRefusedAsync(Packets.Connect(4, "c1", user: "nobody", password: "x"), 4, "20020004", MqttCloseReason.BadCredentials);
        Assert.Equal(1, _metrics.PasswordsChecked);
    }

    [Theory]
    [InlineData(4, false, "20020005")]
    [InlineData(5, false, "20..0087")]
    [InlineData(4, true, "20020000")]
    public async Task A_client_without_a_name_gets_in_only_where_it_may(int level, bool mayBeAnonymous, string answer)
    {
        byte[] connect = Packets.Connect(level, "c1");
        ScriptedClient client = await OpenAsync(connect, level, new ClientOrigin(mayBeAnonymous));
        Assert.Matches($"^{answer}", Convert.ToHexString(await client.ReceiveAsync()));
    }

    [Fact]
    public async Task Nobody_is_anonymous_where_the_file_does_not_say_what_they_may()
    {
        WriteUsers(null, anonymous: null);
        Time.Advance(TimeSpan.FromSeconds(3));
        await ExpectRefusedAsync(Packets.Connect(4, "c1"), 4, "20020005", MqttCloseReason.NotAuthorized, new ClientOrigin(true));
    }

    [Theory]
    [InlineData("by certificate", null, null, true)]
    [InlineData("by certificate", "by certificate", null, true)]
    [InlineData("by certificate", "pump", null, false)]
    [InlineData("by certificate", "pump", "secret", true)]
    [InlineData("unknown", null, null, false)]
    public async Task A_certificate_names_the_user_unless_a_password_does(string certificate, string? user, string? password, bool isIn)
    {
        ScriptedClient client = await OpenAsync(
            Packets.Connect(4, "c1", user: user, password: password), 4, new ClientOrigin(false, certificate));
        Assert.Equal(isIn ? 0 : user is null ? 5 : 4, (await client.ReceiveAsync())[3]);
    }

    [Fact]
    public async Task What_a_client_of_5_may_not_publish_is_refused_with_a_reason()
    {
        ScriptedClient client = await LogInAsync(5);
        await client.SendAsync(
            Packets.Publish(5, "devices/pump/t", "1", 1, 1), Packets.Publish(5, "devices/valve/t", "2", 1, 2),
            Packets.Publish(5, "devices/valve/t", "3"), Packets.Publish(5, "devices/pump", "4", 1, 3));
        await client.ExpectPubAcksAsync(1);
        byte[] refused = await client.ReceiveAsync();
        Assert.Equal([0x40, 0, 2, 0x87], [refused[0], .. refused[2..5]]);
        await client.ExpectPubAcksAsync(3);
        Assert.Equal(["1", "4"], Ingest.Messages.Select(message => message.Payload));
        Assert.Equal(2, Server.Metrics.PublishesDenied);
        Assert.Equal(1, Server.Metrics.Dropped(MqttDropReason.NotAuthorized));
    }

    [Fact]
    public async Task A_client_of_3_1_1_is_closed_since_an_acknowledgement_would_say_that_it_is_stored()
    {
        ScriptedClient client = await LogInAsync(4);
        await client.SendAsync(
            Packets.Publish(4, "devices/pump/t", "1", 1, 1), Packets.Publish(4, "devices/valve/t", "2"),
            Packets.Publish(4, "devices/valve/t", "3", 1, 2), Packets.Publish(4, "devices/pump/t", "4", 1, 3));
        await client.ExpectPubAcksAsync(1);
        await client.ExpectClosedAsync();
        Assert.Equal(["1"], Ingest.Messages.Select(message => message.Payload));
        Assert.Equal(1, Server.Metrics.Closed(MqttCloseReason.MessageRefused));
    }

    [Theory]
    [InlineData(4, "9009" + "0001" + "01" + "00" + "80" + "80" + "80" + "80" + "80")]
    [InlineData(5, "900A" + "0001" + "00" + "01" + "00" + "87" + "87" + "87" + "87" + "87")]
    public async Task A_subscription_is_taken_only_if_all_its_topics_are_allowed(int level, string answer)
    {
        ScriptedClient client = await LogInAsync(level);
        await client.SendAsync(Packets.Subscribe(
            level, 1, ("commands/c1/#", 1), ("news", 0), ("commands/c2/#", 1), ("commands/+/x", 1), ("#", 1), ("news/#", 1),
            ("$share/g/commands/c2/x", 1)));
        await client.ExpectAsync(Convert.FromHexString(answer));
        Assert.Equal(5, Server.Metrics.SubscriptionsDenied);
        Assert.Equal(2, Server.Metrics.Subscriptions);
    }

    [Theory]
    [InlineData(4, "20020005")]
    [InlineData(5, "20..0087")]
    public async Task A_will_to_a_topic_that_is_not_allowed_keeps_the_client_out(int level, string answer) =>
        await ExpectRefusedAsync(
            Packets.Connect(level, "c1", will: ("devices/valve/gone", "x", 1, false), user: "pump", password: "secret"), level, answer,
            MqttCloseReason.NotAuthorized);

    [Theory]
    [InlineData("removed")]
    [InlineData("password")]
    public async Task A_user_that_is_removed_or_gets_another_password_has_to_go(string change)
    {
        ScriptedClient client = await LogInAsync(5);
        WriteUsers(change == "removed" ? null : $$"""{ "password": "{{Other}}", "publish": ["#"], "subscribe": ["#"] }""");
        Time.Advance(TimeSpan.FromSeconds(3));
        byte[] goodbye = await client.ReceiveAsync();
        Assert.Equal([0xE0, 0x87], [goodbye[0], goodbye[2]]);
        await client.ExpectClosedAsync();
        await ExpectRefusedAsync(
            Packets.Connect(4, "c1", user: "pump", password: "secret"), 4, "20020004", MqttCloseReason.BadCredentials);
    }

    [Fact]
    public async Task Other_permissions_hold_at_once_for_clients_that_are_in_and_for_their_subscriptions()
    {
        ScriptedClient client = await LogInAsync(5, ("devices/pump/gone", "will", 0, false));
        await client.SendAsync(Packets.Subscribe(5, 1, ("commands/c1/#", 0), ("news", 0)), Packets.Publish(5, "devices/pump/t", "1", 1, 1));
        await client.ExpectAsync(0x90, 5, 0, 1, 0, 0, 0);
        await client.ExpectPubAcksAsync(1);

        WriteUsers($$"""{ "password": "{{Secret}}", "publish": ["news"], "subscribe": ["news"] }""");
        Time.Advance(TimeSpan.FromSeconds(3));
        await Wait.Until(() => Server.Metrics.Subscriptions == 1);
        await client.SendAsync(Packets.Publish(5, "devices/pump/t", "2", 1, 2), Packets.Publish(5, "news", "3", 1, 3));
        Assert.Equal(0x87, (await client.ReceiveAsync())[4]);
        await client.ExpectPubAcksAsync(3);
        Assert.Equal("news", Encoding.UTF8.GetString((await client.ReceiveAsync())[4..8]));
        await client.HangUpAsync();
        Assert.Equal(["1", "3"], Ingest.Messages.Select(message => message.Payload));
    }

    [Fact]
    public async Task A_file_with_something_wrong_changes_nothing_until_it_is_mended()
    {
        ScriptedClient client = await LogInAsync(5);
        File.WriteAllText(_directory.File("users.json"), """{ "users": { "pump": { "password": "plain" } } }""");
        Time.Advance(TimeSpan.FromSeconds(3));
        await client.ExpectNothingAsync();
        Assert.Equal((0, 1), (_metrics.UsersTaken, _metrics.UsersNotTaken));
        File.Delete(_directory.File("users.json"));
        Time.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal((0, 2), (_metrics.UsersTaken, _metrics.UsersNotTaken));
        await client.SendAsync(Packets.Publish(5, "devices/pump/t", "1", 1, 1));
        await client.ExpectPubAcksAsync(1);
        WriteUsers(null);
        Time.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(0xE0, (await client.ReceiveAsync())[0]);
    }

    [Fact]
    public async Task Who_guesses_has_to_wait_and_the_answer_says_so()
    {
        for (int i = 0; i < LoginBackOff.FreeTries; i++)
        {
            await ExpectRefusedAsync(
                Packets.Connect(5, "c1", user: "pump", password: $"guess {i}"), 5, "20..0086", MqttCloseReason.BadCredentials, count: i + 1);
        }
        await ExpectRefusedAsync(Packets.Connect(5, "c1", user: "pump", password: "secret"), 5, "20..009F", MqttCloseReason.BackOff);
        await ExpectRefusedAsync(Packets.Connect(4, "c1", user: "pump", password: "secret"), 4, "20020003", MqttCloseReason.BackOff, count: 2);
        Assert.Equal(LoginBackOff.FreeTries, _metrics.PasswordsChecked);
        Time.Advance(LoginBackOff.FirstWait);
        await LogInAsync(4);
    }

    [Fact]
    public async Task Without_a_users_file_the_listener_or_a_certificate_decides()
    {
        Access = new ListenerAccess(_metrics);
        await ExpectRefusedAsync(
            Packets.Connect(4, "c1", user: "pump", password: "secret"), 4, "20020005", MqttCloseReason.NotAuthorized, new ClientOrigin(false));
        foreach (ClientOrigin origin in new[] { new ClientOrigin(true), new ClientOrigin(false, "anybody") })
        {
            ScriptedClient client = await OpenAsync(Packets.Connect(4, "c1", user: "pump", password: "x"), 4, origin);
            await client.ExpectAsync(0x20, 2, 0, 0);
            await client.SendAsync(Packets.Publish(4, "anything", "1", 1, 1));
            await client.ExpectPubAcksAsync(1);
        }
    }

    [Fact]
    public async Task Nobody_throws_out_another_user_by_its_client_identifier()
    {
        ScriptedClient pump = await LogInAsync(5);
        await ExpectRefusedAsync(Packets.Connect(5, "c1"), 5, "20..0085", MqttCloseReason.ClientId, new ClientOrigin(true));
        await pump.SendAsync(Packets.Publish(5, "devices/pump/t", "1", 1, 1));
        await pump.ExpectPubAcksAsync(1);
        ScriptedClient again = await LogInAsync(5);
        await again.SendAsync(Packets.Publish(5, "devices/pump/t", "2", 1, 1));
        await again.ExpectPubAcksAsync(1);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_will_that_its_user_may_not_publish_any_more_is_not_published(bool isRemoved)
    {
        ScriptedClient client = await LogInAsync(5, ("devices/pump/state", "gone", 1, false));
        WriteUsers(isRemoved ? null : $$"""{ "password": "{{Secret}}", "publish": ["other/#"], "subscribe": [] }""");
        Time.Advance(TimeSpan.FromSeconds(3));
        if (isRemoved)
        {
            await client.ReceiveAsync(); // DISCONNECT
            await client.ExpectClosedAsync();
        }
        else
        {
            await client.HangUpAsync();
        }
        Assert.Empty(Ingest.Messages);
    }

    [Fact]
    public async Task What_waited_for_a_session_is_not_delivered_when_its_user_may_not_have_it_any_more()
    {
        ScriptedClient client = await KeepAsync(isPresent: false);
        await client.SendAsync(Packets.Subscribe(5, 1, [("news", 1), ("commands/c1/a", 1)]));
        Assert.Equal(0x90, (await client.ReceiveAsync())[0]);
        await client.HangUpAsync();
        await Wait.Until(() => Server.Sessions.Count().Connected == 0);
        ScriptedClient publisher = await OpenAsync(Packets.Connect(5, "p"), 5, new ClientOrigin(false, "by certificate"));
        await publisher.ReceiveAsync();
        await publisher.SendAsync(Packets.Publish(5, "news", "1", 1, 1), Packets.Publish(5, "commands/c1/a", "2", 1, 2));
        await publisher.ExpectPubAcksAsync(1, 2);
        Assert.Equal(2, Server.Sessions.Count().QueuedMessages);
        WriteUsers($$"""{ "password": "{{Secret}}", "publish": [], "subscribe": ["commands/%c/#"] }""");
        Time.Advance(TimeSpan.FromSeconds(3));
        client = await KeepAsync(isPresent: true);
        await client.ExpectAsync(Packets.Publish(5, "commands/c1/a", "2", 1, 2));
        await client.SendAsync(Packets.PubAck(2));
        await Wait.Until(() => Server.Sessions.Count().QueuedMessages == 0);
        Assert.Equal(1, Server.Metrics.Dropped(MqttDropReason.NoLongerAllowed));
    }

    [Fact]
    public async Task What_waited_by_a_shared_subscription_goes_to_another_member_when_its_user_may_not_have_it_any_more()
    {
        ScriptedClient client = await KeepAsync(isPresent: false);
        await client.SendAsync(Packets.Subscribe(5, 1, ("$share/g/news", 1)));
        Assert.Equal(0x90, (await client.ReceiveAsync())[0]);
        await client.HangUpAsync();
        await Wait.Until(() => Server.Sessions.Count().Connected == 0);
        ScriptedClient publisher = await OpenAsync(Packets.Connect(5, "p"), 5, new ClientOrigin(false, "by certificate"));
        await publisher.ReceiveAsync();
        await publisher.SendAsync(Packets.Publish(5, "news", "1", 1, 1), Packets.Publish(5, "news", "2", 1, 2));
        await publisher.ExpectPubAcksAsync(1, 2);
        WriteUsers($$"""{ "password": "{{Secret}}", "publish": [], "subscribe": [] }""", """{ "subscribe": ["news"] }""");
        Time.Advance(TimeSpan.FromSeconds(3));
        ScriptedClient other = await OpenAsync(Packets.Connect(5, "other"), 5, new ClientOrigin(true));
        await other.ReceiveAsync();
        await other.SendAsync(Packets.Subscribe(5, 1, ("$share/g/news", 1)));
        Assert.Equal(0x90, (await other.ReceiveAsync())[0]);
        await KeepAsync(isPresent: true);
        await other.ExpectAsync(Packets.Publish(5, "news", "1", 1, 1));
        await other.ExpectAsync(Packets.Publish(5, "news", "2", 1, 2));
        Assert.Equal(0, Server.Metrics.Dropped(MqttDropReason.NoLongerAllowed));
    }

    [Fact]
    public async Task A_will_whose_user_may_not_publish_it_any_more_when_its_delay_is_over_is_not_published()
    {
        ScriptedClient client = await OpenAsync(
            Packets.Connect(
                5, "c1", clean: false, properties: Hour, will: ("devices/pump/state", "gone", 1, false), willProperties: [0x18, 0, 0, 0, 10],
                user: "pump", password: "secret"), 5, null);
        Assert.Equal(0, (await client.ReceiveAsync())[3]);
        await client.HangUpAsync();
        await Wait.Until(() => Server.Sessions.Count().Connected == 0);
        WriteUsers($$"""{ "password": "{{Secret}}", "publish": ["other/#"], "subscribe": [] }""");
        Time.Advance(TimeSpan.FromSeconds(3));
        Time.Advance(TimeSpan.FromSeconds(11));
        Time.Advance(TimeSpan.FromSeconds(2));
        Assert.Empty(Ingest.Messages);
        Assert.Equal((1, 1), (Server.Metrics.PublishesDenied, Server.Metrics.Dropped(MqttDropReason.Will)));
    }

    private async Task<ScriptedClient> KeepAsync(bool isPresent)
    {
        ScriptedClient client = await OpenAsync(
            Packets.Connect(5, "c1", clean: false, properties: Hour, user: "pump", password: "secret"), 5, null);
        byte[] answer = await client.ReceiveAsync();
        Assert.Equal((0x20, isPresent ? 1 : 0, 0), (answer[0], answer[2], answer[3]));
        return client;
    }

    private async Task<ScriptedClient> OpenAsync(byte[] connect, int level, ClientOrigin? origin)
    {
        var pipes = new MqttPipes();
        pipes.Features.Set(origin);
        ScriptedClient client = ScriptedClient.Open(Server, level, pipes);
        await client.SendAsync(connect);
        return client;
    }

    private async Task<ScriptedClient> LogInAsync(int level, (string Topic, string Payload, int Qos, bool Retain)? will = null)
    {
        ScriptedClient client = await OpenAsync(Packets.Connect(level, "c1", will: will, user: "pump", password: "secret"), level, null);
        Assert.Equal(0, (await client.ReceiveAsync())[3]);
        return client;
    }

    private async Task ExpectRefusedAsync(
        byte[] connect, int level, string answer, MqttCloseReason reason, ClientOrigin? origin = null, int count = 1)
    {
        ScriptedClient client = await OpenAsync(connect, level, origin);
        Assert.Matches($"^{answer}", Convert.ToHexString(await client.ReceiveAsync()));
        await client.ExpectClosedAsync();
        Assert.Equal(count, Server.Metrics.Closed(reason));
        Assert.Empty(Ingest.Messages);
    }

    private void WriteUsers(string? pump, string? anonymous = """{ "publish": ["devices/#"] }""") => File.WriteAllText(
        _directory.File("users.json"),
        $$"""
        { "users": { {{(pump is null ? "" : $"\"pump\": {pump},")}} "by certificate": { "publish": ["#"] } }
        {{(anonymous is null ? "" : $", \"anonymous\": {anonymous}")}} }
        """);
}
