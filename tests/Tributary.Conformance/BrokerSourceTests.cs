using System.Collections.Concurrent;
using System.Globalization;
using MQTTnet;
using MQTTnet.Formatter;
using MQTTnet.Protocol;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>The agent takes its messages from a Mosquitto that is already there.</summary>
public sealed class BrokerSourceTests
{
    private const int Devices = 4;
    private const int Restarts = 6;
    private readonly ITestOutputHelper _output = TestContext.Current.TestOutputHelper!;

    [Theory]
    [InlineData("v5")]
    [InlineData("v311")]
    public async Task What_was_published_comes_whichever_side_is_killed_or_away_and_in_the_order_of_each_device(string protocol)
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("TRIBUTARY_SEED"), out int set) ? set : Random.Shared.Next();
        _output.WriteLine($"TRIBUTARY_SEED={seed}");
        var random = new Random(seed);
        await using var system = new TestSystem(EdgeNode.Shipped, Settings(out int port, ("source:protocol", protocol)));
        await using var broker = new MosquittoBroker(system.At("mosquitto"), port);
        await broker.StartAsync();
        await Task.WhenAll(system.StartCloudAsync(), system.StartEdgeAsync());
        await ConnectedAsync(system);
        using var stop = new CancellationTokenSource();
        var acknowledged = new ConcurrentDictionary<(int Device, int Number), bool>();
        Task[] devices = [.. Enumerable.Range(0, Devices).Select(device => Task.Run(() => PublishAsync(port, device, acknowledged, stop.Token)))];
        for (int restart = 0; restart < Restarts; restart++)
        {
            int wanted = acknowledged.Count + random.Next(50, 400);
            await Until.TrueAsync(() => Task.FromResult(acknowledged.Count > wanted), () => $"{broker.Story()}\n{system.Edge.Story()}");
            if (random.Next(2) == 0)
            {
                await system.KillEdgeAsync();
                wanted = acknowledged.Count + random.Next(200); // the broker keeps these
                await Until.TrueAsync(() => Task.FromResult(acknowledged.Count > wanted), broker.Story);
                await system.StartEdgeAsync();
            }
            else
            {
                await broker.StopAsync();
                await broker.StartAsync();
            }
        }
        await stop.CancelAsync();
        await Task.WhenAll(devices);
        (int Device, int Number)[] all = [.. acknowledged.Keys];
        List<Consumed> records = await KafkaReader.ReadUntilAsync(
            system.Kafka, "telemetry", read => all.All(read.Select(Parse).ToHashSet().Contains),
            () => $"{broker.Story()}\n{system.Edge.Story()}\n{system.Cloud.Story()}");
        foreach (IGrouping<int, (int Device, int Number)> device in records.Select(Parse).GroupBy(one => one.Device))
        {
            int[] first = [.. device.Select(one => one.Number).Distinct()]; // what comes again does so behind the first time
            Assert.Equal(first.Order(), first);
        }
    }

    [Fact]
    public async Task A_password_is_read_anew_and_filters_that_are_not_set_any_more_are_given_up()
    {
        await using var system = new TestSystem(EdgeNode.Shipped, Settings(out int port));
        string users = system.At("users");
        string password = system.At("password");
        await Tool.RunAsync(MosquittoBroker.Program("mosquitto_passwd"), "-b", "-c", users, "plant", "right");
        await File.WriteAllTextAsync(password, "wrong\n");
        await using var broker = new MosquittoBroker(system.At("mosquitto"), port, "allow_anonymous false", $"password_file {users}");
        await broker.StartAsync();
        await system.StartCloudAsync();
        var credentials = new Dictionary<string, string> { ["TRIBUTARY__SOURCE__USER"] = "plant", ["TRIBUTARY__SOURCE__PASSWORDFILE"] = password };
        await using (EdgeNode edge = await StartAsync(system, port, credentials, "devices/#", "old/#"))
        {
            await Until.TrueAsync(async () => (await SourceAsync(edge)).GetProperty("lastError").GetString()!.Contains("refused"), edge.Process.Story);
            await File.WriteAllTextAsync(password, "right\n");
            await Until.TrueAsync(async () => (await SourceAsync(edge)).GetProperty("connected").GetBoolean(), edge.Process.Story);
            await SendAsync(port, "old/1", "first");
            await KafkaReader.ReadUntilAsync(system.Kafka, "unrouted", records => records.Any(record => record.Text == "first"), edge.Process.Story);
            await edge.StopAsync();
        }
        await SendAsync(port, "devices/d1/a", "kept");
        await using (EdgeNode edge = await StartAsync(system, port, credentials, "devices/#"))
        {
            await Until.TrueAsync(async () => (await SourceAsync(edge)).GetProperty("connected").GetBoolean(), edge.Process.Story);
            await SendAsync(port, "old/1", "second");
            await SendAsync(port, "devices/d1/a", "last");
            List<Consumed> records = await KafkaReader.ReadUntilAsync(
                system.Kafka, "telemetry", records => records.Any(record => record.Text == "last"), edge.Process.Story);
            Assert.Contains(records, record => record.Text == "kept");
            await edge.DrainedAsync();
            Assert.DoesNotContain(await KafkaReader.ReadAllAsync(system.Kafka, "unrouted"), record => record.Text == "second");
            Assert.Equal(0, await edge.MetricAsync("tributary_edge_source_sessions_lost_total"));
        }

        static Task SendAsync(int port, string topic, string text) => Tool.RunAsync(
            "mosquitto_pub", "-p", port.ToString(CultureInfo.InvariantCulture), "-u", "plant", "-P", "right", "-q", "1", "-t", topic, "-m", text);
    }

    [Fact]
    public async Task By_TLS_it_shows_a_certificate_of_its_own_and_trusts_nobody_else()
    {
        using var authority = new Certificates();
        using var stranger = new Certificates("Another CA");
        await using var system = new TestSystem(EdgeNode.Shipped, Settings(out int port));
        (string certificate, string key) = authority.Server();
        (string own, string ownKey) = authority.Client("CN=edge");
        string At(string name, string text)
        {
            File.WriteAllText(system.At(name), text);
            return system.At(name);
        }
        await using var broker = new MosquittoBroker(
            system.At("mosquitto"), port, $"cafile {At("ca.pem", authority.AuthorityPem)}", $"certfile {At("server.pem", certificate)}",
            $"keyfile {At("server.key", key)}", "require_certificate true", "use_identity_as_username true", "allow_anonymous false");
        await broker.StartAsync();
        await system.StartCloudAsync();
        var settings = new Dictionary<string, string>
        {
            ["TRIBUTARY__SOURCE__TLS"] = "true",
            ["TRIBUTARY__SOURCE__CAFILE"] = At("trusted.pem", stranger.AuthorityPem),
            ["TRIBUTARY__SOURCE__CERTIFICATEFILE"] = At("own.pem", own),
            ["TRIBUTARY__SOURCE__KEYFILE"] = At("own.key", ownKey),
        };
        await using EdgeNode edge = await StartAsync(system, port, settings, "devices/#");
        await Until.TrueAsync(async () => (await SourceAsync(edge)).GetProperty("lastError").GetString()!.Contains("certificate"), edge.Process.Story);
        File.WriteAllText(system.At("trusted.pem"), authority.AuthorityPem); // files are read for each connection
        await Until.TrueAsync(async () => (await SourceAsync(edge)).GetProperty("connected").GetBoolean(), edge.Process.Story);
        await Tool.RunAsync(
            "mosquitto_pub", "-p", port.ToString(CultureInfo.InvariantCulture), "--cafile", system.At("ca.pem"), "--cert", system.At("own.pem"), "--key",
            system.At("own.key"), "-q", "1", "-t", "devices/d1/a", "-m", "secret");
        await KafkaReader.ReadUntilAsync(system.Kafka, "telemetry", records => records.Any(record => record.Text == "secret"), edge.Process.Story);
    }

    private static Dictionary<string, string> Settings(out int port, params (string Name, string Text)[] more)
    {
        port = MosquittoBroker.FreePort();
        var settings = new Dictionary<string, string>
        {
            ["SOURCE__BROKER"] = $"127.0.0.1:{port}",
            ["SOURCE__FILTERS"] = "devices/#",
            ["SOURCE__MAXBACKOFF"] = "600ms",
        };
        foreach ((string name, string text) in more)
        {
            settings[name.Replace(":", "__", StringComparison.Ordinal).ToUpperInvariant()] = text;
        }
        return settings;
    }

    private static Task<EdgeNode> StartAsync(TestSystem system, int port, Dictionary<string, string> credentials, params string[] filters) =>
        EdgeNode.StartAsync(system.At("edge"), system.Kafka, new Dictionary<string, string>(credentials)
        {
            ["TRIBUTARY__SOURCE__BROKER"] = $"127.0.0.1:{port}",
            ["TRIBUTARY__SOURCE__FILTERS"] = string.Join(',', filters),
            ["TRIBUTARY__SOURCE__MAXBACKOFF"] = "600ms",
        });

    private static async Task<System.Text.Json.JsonElement> SourceAsync(EdgeNode edge) => (await edge.StatusAsync()).GetProperty("source");

    private static Task ConnectedAsync(TestSystem system) => Until.TrueAsync(
        async () => (await system.StatusAsync()).GetProperty("source").GetProperty("connected").GetBoolean(), system.Edge.Story);

    private static (int Device, int Number) Parse(Consumed record)
    {
        string[] parts = record.Text.Split(' ');
        return (int.Parse(parts[0], CultureInfo.InvariantCulture), int.Parse(parts[1], CultureInfo.InvariantCulture));
    }

    /// <summary>Publishes numbers, each until it is acknowledged, over new connections where that must be.</summary>
    private static async Task PublishAsync(int port, int device, ConcurrentDictionary<(int Device, int Number), bool> acknowledged, CancellationToken stop)
    {
        MqttClientOptions options = new MqttClientOptionsBuilder().WithTcpServer("127.0.0.1", port).WithClientId($"device-{device}")
            .WithProtocolVersion(MqttProtocolVersion.V311).WithTimeout(TimeSpan.FromSeconds(10)).Build();
        for (int number = 0; !stop.IsCancellationRequested;)
        {
            using IMqttClient client = new MqttClientFactory().CreateMqttClient();
            try
            {
                await client.ConnectAsync(options, CancellationToken.None);
                while (!stop.IsCancellationRequested)
                {
                    await client.PublishStringAsync($"devices/d{device}/n", $"{device} {number}", MqttQualityOfServiceLevel.AtLeastOnce);
                    acknowledged[(device, number++)] = true;
                }
            }
            catch (Exception)
            {
                await Task.Delay(50, CancellationToken.None); // it is away, or was: the number is published again
            }
        }
    }
}
