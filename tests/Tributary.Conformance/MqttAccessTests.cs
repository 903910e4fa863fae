using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>
/// TLS, WebSocket, users and permissions by clients that nobody here wrote: those of Mosquitto, Eclipse Paho for Python, mqtt.js. The
/// agent is the shipped build, without a cloud; its users are made by its own command.
/// </summary>
public sealed class MqttAccessTests : IAsyncLifetime
{
    private const string Password = "correct horse";
    private readonly TempDirectory _directory = TempDirectory.Create();
    private readonly Certificates _certificates = new();
    private EdgeNode _edge = null!;

    private string Users => _directory.At("users.json");

    private string Authority => _directory.At("ca.pem");

    public async ValueTask InitializeAsync()
    {
        File.WriteAllText(Authority, _certificates.AuthorityPem);
        Write("server", _certificates.Server());
        Write("client", _certificates.Client("O=Example, CN=pump-17"));
        await UserAsync("add", "dashboard", "--subscribe", "devices/#");
        await UserAsync("add", "pump-17", "--publish", "devices/%u/#", "--subscribe", "commands/%u/+");
        _edge = await EdgeNode.StartAsync(
            _directory.At("data"), "127.0.0.1:1",
            new Dictionary<string, string>
            {
                ["TRIBUTARY__MQTTS"] = "127.0.0.1:0",
                ["TRIBUTARY__WS"] = "127.0.0.1:0",
                ["TRIBUTARY__WSS"] = "127.0.0.1:0",
                ["TRIBUTARY__TLS__CERTIFICATEFILE"] = _directory.At("server.pem"),
                ["TRIBUTARY__TLS__KEYFILE"] = _directory.At("server.key"),
                ["TRIBUTARY__TLS__CLIENTCAFILE"] = Authority,
                ["TRIBUTARY__TLS__CLIENTCERTIFICATES"] = "optional",
                ["TRIBUTARY__MQTT__USERSFILE"] = Users,
                ["TRIBUTARY__MQTT__FILECHECKINTERVAL"] = "100ms",
            });
    }

    public async ValueTask DisposeAsync()
    {
        await _edge.DisposeAsync();
        _certificates.Dispose();
        _directory.Dispose();
    }

    [Theory]
    [InlineData("tlsv1.2", "mqttv311")]
    [InlineData("tlsv1.3", "mqttv5")]
    public async Task Clients_of_Mosquitto_publish_and_subscribe_over_TLS_with_password_and_certificate(string tls, string version)
    {
        await using RunningProcess subscriber = Mosquitto(
            "mosquitto_sub", "mqtts", [.. As("dashboard"), "--tls-version", tls, "-V", version, "-q", "1", "-t", "devices/pump-17/+", "-v", "-C", "2"]);
        await SubscribedAsync();
        await Run(Mosquitto(
            "mosquitto_pub", "mqtts", [.. As("pump-17"), "--tls-version", tls, "-V", version, "-q", "1", "-t", "devices/pump-17/a", "-m", "by password"]));
        await Run(Mosquitto(
            "mosquitto_pub", "mqtts", [.. ByCertificate(), "--tls-version", tls, "-V", version, "-q", "1", "-t", "devices/pump-17/b", "-m", "by certificate"]));
        Assert.Equal(0, await subscriber.ExitAsync());
        Assert.Equal("devices/pump-17/a by password\ndevices/pump-17/b by certificate", subscriber.Output);
        Assert.Equal(2, (await _edge.StatusAsync()).GetProperty("ingest").GetProperty("messages").GetInt64());
    }

    [Fact]
    public async Task Clients_of_Mosquitto_are_refused_without_right_credentials_and_beyond_their_permissions()
    {
        (int code, string said) = await TryAsync(Mosquitto("mosquitto_pub", "mqtts", ["-u", "pump-17", "-P", "wrong", "-q", "1", "-t", "t", "-m", "x"]));
        Assert.NotEqual(0, code);
        Assert.Contains("bad user name or password", said, StringComparison.OrdinalIgnoreCase);
        (code, said) = await TryAsync(Mosquitto("mosquitto_pub", "mqtts", ["-q", "1", "-t", "t", "-m", "x"]));
        Assert.NotEqual(0, code);
        Assert.Contains("not authori", said, StringComparison.OrdinalIgnoreCase);
        (code, said) = await TryAsync(Mosquitto(
            "mosquitto_pub", "mqtts", [.. As("pump-17"), "-V", "mqttv5", "-q", "1", "-t", "devices/pump-18/a", "-m", "x"]));
        Assert.Contains("Not authorized", said, StringComparison.OrdinalIgnoreCase);
        (_, said) = await TryAsync(Mosquitto("mosquitto_sub", "mqtts", [.. ByCertificate(), "-V", "mqttv5", "-q", "1", "-t", "devices/#", "-W", "20"]));
        Assert.Contains("subscription", said, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(0, (await _edge.StatusAsync()).GetProperty("ingest").GetProperty("messages").GetInt64());
        Assert.Contains("user name or the password is wrong", _edge.Log, StringComparison.Ordinal);
        Assert.DoesNotContain(Password, _edge.Log, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("mqtts", 4)]
    [InlineData("ws", 5)]
    [InlineData("wss", 4)]
    [InlineData("wss", 5)]
    public async Task Paho_of_Python_does_what_its_user_may(string listener, int version)
    {
        JsonObject arguments = Arguments(listener, version, "pump-17");
        arguments["transport"] = listener == "mqtts" ? "tcp" : "websockets";
        arguments["port"] = _edge.At(listener).Port;
        arguments["filters"] = new JsonArray("commands/pump-17/+", "commands/#");
        arguments["messages"] = Messages(20);
        arguments["expected"] = 3;
        await using var paho = RunningProcess.Start(
            "paho", "/usr/bin/python3", [Path.Combine(Programs.Root, "tests", "Tributary.Conformance", "Clients", "Python", "paho_client.py"), arguments.ToJsonString()]);
        await SubscribedAsync();
        await CommandsAsync();
        Assert.Equal(0, await paho.ExitAsync());
        List<JsonElement> lines = NodeClient.Lines(paho);
        Assert.Equal(
            [("commands/pump-17/+", 1), ("commands/#", version == 5 ? 0x87 : 0x80)],
            Events(lines, "subscribed").Select(line => (line.GetProperty("filter").GetString(), line.GetProperty("code").GetInt32())));
        Assert.Equal(["one", "two", "three"], Events(lines, "message").Select(line => line.GetProperty("payload").GetString()));
        Assert.Equal(20, (await _edge.StatusAsync()).GetProperty("ingest").GetProperty("messages").GetInt64() - 3);
    }

    [Theory]
    [InlineData("ws", 4)]
    [InlineData("ws", 5)]
    [InlineData("wss", 5)]
    public async Task Mqtt_js_does_what_its_user_may(string listener, int version)
    {
        JsonObject arguments = Arguments(listener, version, "pump-17");
        arguments["url"] = $"{listener}://localhost:{_edge.At(listener).Port}/mqtt";
        arguments["filters"] = new JsonArray("commands/pump-17/+", "commands/#");
        JsonArray messages = Messages(20);
        if (version == 5)
        {
            messages.Add(new JsonArray("devices/pump-18/0", "not mine"));
        }
        messages.Add(new JsonArray("devices/pump-17/large", new string('x', 100_000)));
        arguments["messages"] = messages;
        arguments["expected"] = 3;
        await using RunningProcess js = NodeClient.Start("mqtt.js", "mqttjs.mjs", arguments.ToJsonString());
        await SubscribedAsync();
        await CommandsAsync();
        Assert.Equal(0, await js.ExitAsync());
        List<JsonElement> lines = NodeClient.Lines(js);
        Assert.Equal("commands/pump-17/+", Assert.Single(Events(lines, "subscribed")).GetProperty("filter").GetString());
        Assert.Single(Events(lines, "notSubscribed"));
        Assert.Equal(["one", "two", "three"], Events(lines, "message").Select(line => line.GetProperty("payload").GetString()));
        Assert.Equal(21, Events(lines, "published").Count);
        Assert.Equal(version == 5 ? [0x87] : [], Events(lines, "notPublished").Select(line => line.GetProperty("code").GetInt32()));
        Assert.Equal(21, (await _edge.StatusAsync()).GetProperty("ingest").GetProperty("messages").GetInt64() - 3);
    }

    [Fact]
    public async Task Changes_of_the_users_file_hold_for_clients_that_are_connected()
    {
        await using RunningProcess listening = Mosquitto("mosquitto_sub", "mqtts", [.. As("dashboard"), "-V", "mqttv5", "-q", "1", "-t", "devices/#", "-v"]);
        await SubscribedAsync();
        await Run(Mosquitto("mosquitto_pub", "mqtts", [.. As("pump-17"), "-q", "1", "-t", "devices/pump-17/a", "-m", "1"]));
        await Until.TrueAsync(() => Task.FromResult(listening.Output.Contains("devices/pump-17/a 1")), listening.Story);
        File.WriteAllText(Users, "{ \"users\": { \"dashboard\": { \"password\": \"plain\" } } }");
        await Until.TrueAsync(() => Task.FromResult(_edge.Log.Contains("line 1: a password hash is written")), _edge.Process.Story);
        Assert.False(listening.HasExited);
        File.Delete(Users);
        await UserAsync("add", "pump-17", "--publish", "devices/%u/#");
        await Until.TrueAsync(() => Task.FromResult(listening.HasExited || _edge.Log.Contains("the user was removed")), _edge.Process.Story);
        Assert.DoesNotContain("dashboard", await EdgeNode.CommandAsync("", "user", "list", "--file", Users), StringComparison.Ordinal);
    }

    private static List<JsonElement> Events(List<JsonElement> lines, string name) =>
        [.. lines.Where(line => line.GetProperty("event").GetString() == name)];

    private static JsonArray Messages(int count) =>
        new([.. Enumerable.Range(0, count).Select(i => new JsonArray($"devices/pump-17/{i}", $"value {i}"))]);

    private static string[] As(string user) => ["-u", user, "-P", Password];

    private static async Task<string> Run(RunningProcess process)
    {
        (int code, string said) = await TryAsync(process);
        return code == 0 ? said : throw new InvalidOperationException($"ended with {code}: {said}");
    }

    private static async Task<(int Code, string Said)> TryAsync(RunningProcess process)
    {
        await using (process)
        {
            int code = await process.ExitAsync();
            await Until.TrueAsync(() => Task.FromResult(process.HasExited));
            return (code, process.Output + process.Errors);
        }
    }

    private string[] ByCertificate() => ["--cert", _directory.At("client.pem"), "--key", _directory.At("client.key")];

    private RunningProcess Mosquitto(string program, string listener, string[] arguments) => RunningProcess.Start(
        program, program,
        ["-h", "localhost", "-p", _edge.At(listener).Port.ToString(CultureInfo.InvariantCulture), "--cafile", Authority, .. arguments]);

    private JsonObject Arguments(string listener, int version, string user)
    {
        var arguments = new JsonObject { ["client"] = "c-" + version, ["version"] = version, ["user"] = user, ["password"] = Password };
        if (listener != "ws")
        {
            arguments["ca"] = Authority;
        }
        return arguments;
    }

    private Task SubscribedAsync() => Until.TrueAsync(
        async () => (await _edge.StatusAsync()).GetProperty("mqtt").GetProperty("subscriptions").GetInt64() > 0, _edge.Process.Story);

    /// <summary>Three messages to the pump, of a user made for it.</summary>
    private async Task CommandsAsync()
    {
        await UserAsync("add", "control", "--publish", "commands/#");
        await Until.TrueAsync(() => Task.FromResult(_edge.Log.Contains("3 users")), _edge.Process.Story);
        foreach (string text in new[] { "one", "two", "three" })
        {
            await Run(Mosquitto("mosquitto_pub", "mqtts", [.. As("control"), "-q", "1", "-t", "commands/pump-17/do", "-m", text]));
        }
    }

    private Task<string> UserAsync(string command, string name, params string[] filters) =>
        EdgeNode.CommandAsync(Password, ["user", command, name, "--file", Users, .. filters]);

    private void Write(string name, (string Certificate, string Key) pem)
    {
        File.WriteAllText(_directory.At(name + ".pem"), pem.Certificate);
        File.WriteAllText(_directory.At(name + ".key"), pem.Key);
    }
}
