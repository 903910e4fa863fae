using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>
/// What MQTT promises, whatever the agent is killed in: QoS 2 exactly once into the cloud's topic and to subscribers, QoS 1 at least once,
/// QoS 0 at most once, in order for each publisher and topic, also to a subscriber who was away all the time; retained values and sessions
/// as before. By clients of Paho and Mosquitto that keep their side of a session. <c>TRIBUTARY_KILLS</c> says how often,
/// <c>TRIBUTARY_SEED</c> repeats a run as far as processes can be repeated.
/// </summary>
public sealed class SessionKillTests
{
    private const int DefaultKills = 60;
    private static readonly string[] Publishers = ["old", "new"];
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(3);
    private static readonly Dictionary<string, string> LongQueues = new()
    {
        ["MQTT__MAXQUEUEDMESSAGES"] = "1000000", // the one who is away gets all in the end
        ["MQTT__MAXQUEUEDBYTES"] = "1GiB",
        ["MQTT__MAXQUEUEMEMORYBYTES"] = "256MiB",
        ["MQTT__SNAPSHOTBYTES"] = "256KiB", // many snapshots, so that kills hit them too
    };

    private readonly ITestOutputHelper _output = TestContext.Current.TestOutputHelper!;

    [Fact]
    public async Task Kills_keep_what_each_quality_of_service_promises_and_the_sessions()
    {
        int seed = Setting("TRIBUTARY_SEED") ?? Random.Shared.Next();
        int kills = Setting("TRIBUTARY_KILLS") ?? DefaultKills;
        _output.WriteLine($"TRIBUTARY_SEED={seed} TRIBUTARY_KILLS={kills}");
        var random = new Random(seed);
        await using TestSystem system = await TestSystem.StartAsync(EdgeNode.Shipped, LongQueues);
        await using var mqtt = new Link { Target = system.Mqtt };
        await using (RunningProcess away = Paho(mqtt, Subscriber("away", 5, system.At("away"))))
        {
            await SaysAsync(away, "SUBSCRIBED");
            away.Stop();
            await away.ExitAsync();
        }
        await using RunningProcess watching = Paho(mqtt, Subscriber("watching", 5, system.At("watching")));
        await using RunningProcess mosquitto = RunningProcess.Start(
            "mosquitto_sub", "mosquitto_sub",
            ["-p", Port(mqtt), "-i", "mosquitto", "-c", "-q", "1", "-t", "devices/#", "-F", "%t %q %r %p"]);
        await SaysAsync(watching, "SUBSCRIBED");
        await SessionsAsync(system, 3);
        await using RunningProcess old = Paho(mqtt, Publisher("old", 4));
        await using RunningProcess newer = Paho(mqtt, Publisher("new", 5));
        for (int kill = 1; kill <= kills; kill++)
        {
            await ProgressAsync(system, random);
            await Task.Delay(random.Next(30)); // not a wait for something, but the spread of moments to hit
            mqtt.Target = null;
            await system.KillEdgeAsync();
            await system.StartEdgeAsync();
            mqtt.Target = system.Mqtt;
        }
        await ProgressAsync(system, random);
        JsonElement[] did = [await EndAsync(old), await EndAsync(newer)];
        await system.DrainedAsync(Deadline);

        await using RunningProcess back = Paho(mqtt, Subscriber("away", 5, system.At("away")));
        Dictionary<string, int> sent = did.SelectMany(each => each.GetProperty("sent").EnumerateObject())
            .ToDictionary(pair => pair.Name, pair => pair.Value.GetInt32());
        await ReceivedAsync(system.At("watching"), sent, system);
        await ReceivedAsync(system.At("away"), sent, system);
        await Until.TrueAsync(() => Task.FromResult(HasAll(Messages(mosquitto.Output), sent, 1)), mosquitto.Story, Deadline);

        var faults = new List<string>();
        Check(faults, "the cloud's topic", 2, sent, [.. (await KafkaReader.ReadAllAsync(system.Kafka, "telemetry")).Select(
            record => (record.Headers.Single(header => header.Key == "mqtt.topic").Value, int.Parse(record.Text, CultureInfo.InvariantCulture)))]);
        Check(faults, "the subscriber that was there", 2, sent, Messages(File.ReadAllText(system.At("watching"))));
        Check(faults, "the subscriber that was away", 2, sent, Messages(File.ReadAllText(system.At("away"))));
        Check(faults, "mosquitto_sub", 1, sent, Messages(mosquitto.Output));
        foreach (JsonElement presence in did.Append(await EndAsync(watching)).Append(await EndAsync(back)).Select(each => each.GetProperty("present")))
        {
            _output.WriteLine($"{presence.GetArrayLength()} connections");
            faults.AddRange(presence.EnumerateArray().Skip(1).Where(present => present.GetInt32() != 1).Select(_ => "a session was gone"));
        }
        string retained = await Tool.RunAsync("mosquitto_sub", "-p", Port(mqtt), "-t", "state/#", "-q", "1", "-C", "2", "-W", "20", "-F", "%r %t %p");
        string[] expected = [.. Publishers.Select(name => $"1 state/{name} {sent[$"state/{name}"]}").Order()];
        Assert.Equal(expected, retained.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order());
        _output.WriteLine(string.Join(", ", sent.Select(pair => $"{pair.Key}: {pair.Value}")));
        Assert.True(faults.Count == 0, $"seed {seed}: {string.Join('\n', faults)}\n{system.Edge.Story()}");
    }

    private static int? Setting(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : null;

    private static string Port(Link link) => link.Address.Port.ToString(CultureInfo.InvariantCulture);

    private static JsonObject Publisher(string name, int version) => new() { ["client"] = name, ["version"] = version, ["pause"] = 0.015 };

    private static JsonObject Subscriber(string name, int version, string file) => new()
    {
        ["client"] = name,
        ["version"] = version,
        ["file"] = file,
        ["filters"] = new JsonArray("devices/#"),
        ["qos"] = 2,
    };

    private static RunningProcess Paho(Link link, JsonObject arguments)
    {
        arguments["port"] = link.Address.Port;
        string program = Path.Combine(Programs.Root, "tests", "Tributary.Conformance", "Clients", "Python", "durable_client.py");
        return RunningProcess.Start($"paho {arguments["client"]}", "/usr/bin/python3", [program, arguments.ToJsonString()]);
    }

    private static Task SaysAsync(RunningProcess process, string what) =>
        Until.TrueAsync(() => Task.FromResult(process.Output.Contains(what, StringComparison.Ordinal)), process.Story);

    private static Task SessionsAsync(TestSystem system, int count) => Until.TrueAsync(
        async () => (await system.StatusAsync()).GetProperty("mqtt").GetProperty("subscriptions").GetInt64() == count, system.Edge.Story);

    /// <summary>Waits until messages get through again, so that a kill interrupts something.</summary>
    private static async Task ProgressAsync(TestSystem system, Random random)
    {
        long before = Length(system);
        int more = random.Next(100, 1200);
        await Until.TrueAsync(() => Task.FromResult(Length(system) > before + more), system.Edge.Story);
    }

    private static long Length(TestSystem system) => new FileInfo(system.At("watching")) is { Exists: true } file ? file.Length : 0;

    /// <summary>Ends a client; a publisher has got all its answers then.</summary>
    /// <returns>What it did.</returns>
    private static async Task<JsonElement> EndAsync(RunningProcess client)
    {
        client.Stop();
        Assert.Equal(0, await client.ExitAsync(Deadline));
        string line = client.Output.Split('\n').Single(line => line.StartsWith("DONE ", StringComparison.Ordinal));
        return JsonDocument.Parse(line[5..]).RootElement;
    }

    private static Task ReceivedAsync(string file, Dictionary<string, int> sent, TestSystem system) =>
        Until.TrueAsync(() => Task.FromResult(HasAll(Messages(File.ReadAllText(file)), sent, 2)), system.Edge.Story, Deadline);

    private static bool HasAll(List<(string Topic, int Number)> messages, Dictionary<string, int> sent, int level)
    {
        ILookup<string, int> got = messages.ToLookup(message => message.Topic, message => message.Number);
        return sent.Where(pair => LevelOf(pair.Key) >= 1 && LevelOf(pair.Key) <= level).All(pair => got[pair.Key].Contains(pair.Value));
    }

    private static List<(string Topic, int Number)> Messages(string lines) =>
    [
        .. lines.Split('\n').Select(line => line.Split(' ')).Where(parts => parts.Length == 4 && parts[3].Length > 0)
            .Select(parts => (parts[0], int.Parse(parts[3], CultureInfo.InvariantCulture))),
    ];

    /// <summary>The QoS of a topic's messages; −1 if it is not one of the numbered topics.</summary>
    private static int LevelOf(string topic) => topic.StartsWith("devices/", StringComparison.Ordinal) ? topic[^3] - '0' : -1;

    /// <summary>Compares what somebody got with what was sent; all that had to be acknowledged was.</summary>
    /// <param name="faults">Where faults go.</param>
    /// <param name="who">Who got it.</param>
    /// <param name="most">The QoS that it is got at, at most.</param>
    /// <param name="sent">The last number of each topic.</param>
    /// <param name="messages">What was got.</param>
    private static void Check(List<string> faults, string who, int most, Dictionary<string, int> sent, List<(string Topic, int Number)> messages)
    {
        ILookup<string, int> got = messages.ToLookup(message => message.Topic, message => message.Number);
        foreach ((string topic, int last) in sent.Where(pair => LevelOf(pair.Key) >= 0))
        {
            int level = Math.Min(LevelOf(topic), most);
            List<int> first = [.. got[topic].Distinct()];
            if (level != 1 && first.Count != got[topic].Count())
            {
                IEnumerable<int> twice = got[topic].CountBy(number => number).Where(pair => pair.Value > 1).Select(pair => pair.Key);
                faults.Add($"{who}: messages of {topic} more than once, among them {string.Join(", ", twice.Take(10))}");
            }
            if (level > 0 && Enumerable.Range(1, last).Except(first).ToList() is { Count: > 0 } missing)
            {
                faults.Add($"{who}: {missing.Count} messages of {topic} are missing, among them {string.Join(", ", missing.Take(10))}");
            }
            if (!first.SequenceEqual(first.Order()))
            {
                faults.Add($"{who}: messages of {topic} are not in order");
            }
        }
    }
}
