using System.Text.Json;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>
/// Exactly once from the edge log on, whatever is killed. <c>TRIBUTARY_KILLS</c> says how often, <c>TRIBUTARY_SEED</c> repeats a run as
/// far as processes can be repeated.
/// </summary>
public sealed class ExactlyOnceTests
{
    private const int DefaultKills = 20;
    private const int NativeKills = 6;
    private const int Devices = 5;
    private static readonly TimeSpan DrainDeadline = TimeSpan.FromMinutes(3);

    /// <summary>A lost link is noticed sooner than in life, so that a run has many of them.</summary>
    private static readonly Dictionary<string, string> ImpatientUplink = new()
    {
        ["UPLINK__REQUESTTIMEOUT"] = "3s",
        ["UPLINK__PROGRESSTIMEOUT"] = "3s",
        ["UPLINK__CONNECTTIMEOUT"] = "2s",
        ["UPLINK__MAXBACKOFF"] = "500ms",
    };

    private readonly ITestOutputHelper _output = TestContext.Current.TestOutputHelper!;

    [Fact]
    public Task Kills_of_edge_cloud_and_link_lose_nothing_double_nothing_and_keep_the_order() =>
        RunAsync(EdgeBuild.Managed, Setting("TRIBUTARY_KILLS") ?? DefaultKills);

    [Fact]
    public Task Kills_of_the_native_agent_cloud_and_link_lose_nothing_double_nothing_and_keep_the_order()
    {
        Assert.SkipWhen(Programs.NativeEdge is null, "the native agent was not published; ./test.sh does");
        return RunAsync(EdgeBuild.Native, Setting("TRIBUTARY_KILLS") ?? NativeKills);
    }

    private static int? Setting(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : null;

    private async Task RunAsync(EdgeBuild build, int kills)
    {
        int seed = Setting("TRIBUTARY_SEED") ?? Random.Shared.Next();
        _output.WriteLine($"TRIBUTARY_SEED={seed} TRIBUTARY_KILLS={kills}");
        var random = new Random(seed);
        await using TestSystem system = await TestSystem.StartAsync(build, ImpatientUplink);
        SilentPublisher[] publishers = [.. Enumerable.Range(1, Devices).Select(i => new SilentPublisher(
            $"device-{i}", () => system.Mqtt, window: 1 << i, pause: TimeSpan.FromMilliseconds(2 * i)))];
        using var stop = new CancellationTokenSource();
        Task running = Task.WhenAll(publishers.Select(publisher => Task.Run(() => publisher.RunAsync(stop.Token))));
        for (int kill = 1; kill <= kills; kill++)
        {
            await ProgressAsync(system, publishers, random);
            _output.WriteLine($"kill {kill}: {await KillAsync(system, random)}");
        }
        await ProgressAsync(system, publishers, random);
        await stop.CancelAsync();
        await running.WaitAsync(Until.Deadline);
        Check(await system.DrainedAsync(DrainDeadline));
        List<Consumed> records = await KafkaReader.ReadAllAsync(system.Kafka, "telemetry");
        Published[] published = [.. publishers.Select(publisher => new Published(publisher.Device, publisher.Sent, publisher.Acknowledged))];
        _output.WriteLine($"{published.Sum(device => device.Acknowledged.Count)} acknowledged of {published.Sum(device => device.Sent)} sent, {records.Count} stored");
        Assert.Null(publishers.Select(publisher => publisher.Fault).FirstOrDefault(fault => fault is not null));
        string? fault = Promise.FindFault(published, records.Select(record => (record.Key, int.Parse(record.Text))));
        Assert.True(fault is null, $"seed {seed}: {fault}");
    }

    /// <summary>Waits until messages are taken in and reach the cloud again, so that a kill interrupts something.</summary>
    private static async Task ProgressAsync(TestSystem system, SilentPublisher[] publishers, Random random)
    {
        long passed = system.Link.PassedBytes;
        int[] before = [.. publishers.Select(publisher => publisher.AcknowledgedCount)];
        int more = random.Next(1, 60);
        await Until.TrueAsync(
            () => Task.FromResult(
                system.Link.PassedBytes > passed + (more * 20)
                && publishers.Zip(before).All(pair => pair.First.AcknowledgedCount > pair.Second + (more / 4))),
            () => $"{system.Edge.Story()}\n{system.Cloud.Story()}");
    }

    /// <summary>One kill, with trouble on the link around it, and what it takes to go on.</summary>
    private static async Task<string> KillAsync(TestSystem system, Random random)
    {
        system.Link.State = random.Next(4) switch
        {
            0 => LinkState.Cut,
            1 => LinkState.Blackholed,
            _ => LinkState.Up,
        };
        system.Link.Delay = TimeSpan.FromMilliseconds(random.Next(3) == 0 ? random.Next(20) : 0);
        string link = $"link {system.Link.State}, delay {system.Link.Delay.TotalMilliseconds} ms";
        await PauseAsync(random, 200);
        int who = random.Next(5);
        bool isEdge = who is 0 or 1 or 4;
        bool isCloud = who is 2 or 3 or 4;
        await Task.WhenAll(isEdge ? system.KillEdgeAsync() : Task.CompletedTask, isCloud ? system.KillCloudAsync() : Task.CompletedTask);
        await PauseAsync(random, 300);
        await Task.WhenAll(isEdge ? system.StartEdgeAsync() : Task.CompletedTask, isCloud ? system.StartCloudAsync() : Task.CompletedTask);
        await PauseAsync(random, 200);
        system.Link.State = LinkState.Up;
        system.Link.Delay = TimeSpan.Zero;
        return $"{(isEdge ? "edge " : "")}{(isCloud ? "cloud " : "")}with {link}";
    }

    /// <summary>What is pending at a kill is up to chance: not a wait for something, but the spread of moments to hit.</summary>
    private static Task PauseAsync(Random random, int most) => Task.Delay(random.Next(most));

    private static void Check(JsonElement status)
    {
        foreach (JsonElement partition in status.GetProperty("partitions").EnumerateArray())
        {
            JsonElement uplink = partition.GetProperty("uplink");
            Assert.Equal((0L, 0L), (uplink.GetProperty("refused").GetInt64(), uplink.GetProperty("gapRecords").GetInt64()));
        }
    }
}
