using System.Net;
using System.Net.Sockets;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>How both programs end, and how they refuse to start.</summary>
public sealed class ShutdownTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_edge_ends_cleanly_with_messages_in_flight_and_what_it_acknowledged_is_there_afterwards(bool byControlC)
    {
        await using TestSystem system = await TestSystem.StartAsync();
        system.Link.State = LinkState.Cut;
        var publisher = new SilentPublisher("d1", () => system.Mqtt, window: 50, pause: TimeSpan.Zero);
        using var stop = new CancellationTokenSource();
        Task publishing = Task.Run(() => publisher.RunAsync(stop.Token));
        await Until.TrueAsync(() => Task.FromResult(publisher.AcknowledgedCount > 500));
        End(system.Edge, byControlC);
        Assert.Equal(0, await system.Edge.ExitAsync());
        await stop.CancelAsync();
        await publishing.WaitAsync(Until.Deadline);
        await system.KillEdgeAsync();
        system.Link.State = LinkState.Up;
        await system.StartEdgeAsync();
        await system.DrainedAsync();
        await CheckAsync(system, publisher);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_cloud_ends_cleanly_while_it_is_written_to_and_has_everything_afterwards(bool byControlC)
    {
        await using TestSystem system = await TestSystem.StartAsync();
        var publisher = new SilentPublisher("d1", () => system.Mqtt, window: 50, pause: TimeSpan.FromMilliseconds(1));
        using var stop = new CancellationTokenSource();
        Task publishing = Task.Run(() => publisher.RunAsync(stop.Token));
        long passed = system.Link.PassedBytes;
        await Until.TrueAsync(() => Task.FromResult(publisher.AcknowledgedCount > 200 && system.Link.PassedBytes > passed + 10_000));
        End(system.Cloud, byControlC);
        Assert.Equal(0, await system.Cloud.ExitAsync());
        await stop.CancelAsync();
        await publishing.WaitAsync(Until.Deadline);
        await system.KillCloudAsync();
        await system.StartCloudAsync();
        await system.DrainedAsync();
        await CheckAsync(system, publisher);
    }

    [Theory]
    [InlineData("edge", "run", "id")]
    [InlineData("edge", "run --id e --cloud h:1", "data")]
    [InlineData("edge", "run --data x --id e --cloud nonsense", "cloud")]
    [InlineData("edge", "run --data x --id e --cloud h:1 --mqtt nonsense", "mqtt")]
    [InlineData("edge", "run --data x --id e --cloud h:1 --colour red", "--colour")]
    [InlineData("edge", "run --data x --id e --cloud h:1 --config /does/not/exist.json", "/does/not/exist.json")]
    [InlineData("edge", "walk", "walk")]
    [InlineData("cloud", "serve", "data")]
    [InlineData("cloud", "serve --data x --kafka nonsense", "kafka")]
    [InlineData("cloud", "serve --data x --colour red", "--colour")]
    [InlineData("cloud", "walk", "walk")]
    public async Task Wrong_usage_ends_with_2_and_names_what_is_wrong(string program, string arguments, string named)
    {
        using TempDirectory directory = TempDirectory.Create();
        await using var process = RunningProcess.Start(
            program, program == "edge" ? Programs.Edge : Programs.Cloud, arguments.Split(' '), directory: directory.Path);
        Assert.Equal(2, await process.ExitAsync());
        Assert.Contains(named, process.Errors);
        Assert.DoesNotContain("   at ", process.Errors);
        Assert.Empty(process.Output);
        Assert.Empty(Directory.EnumerateFileSystemEntries(directory.Path));
    }

    [Theory]
    [InlineData("edge", "--mqtt")]
    [InlineData("edge", "--http")]
    [InlineData("cloud", "--kafka")]
    [InlineData("cloud", "--http")]
    public async Task A_port_that_is_taken_ends_with_3_and_a_sentence(string program, string flag)
    {
        using TempDirectory directory = TempDirectory.Create();
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        await using RunningProcess process = Start(program, directory.At("data"), (flag, taken.LocalEndpoint.ToString()!));
        await CannotStartAsync(process, taken.LocalEndpoint.ToString()!);
    }

    [Theory]
    [InlineData("edge")]
    [InlineData("cloud")]
    public async Task A_directory_that_another_process_uses_ends_with_3_and_a_sentence(string program)
    {
        using TempDirectory directory = TempDirectory.Create();
        await using RunningProcess first = Start(program, directory.At("data"));
        await first.ReadyAsync();
        await using RunningProcess second = Start(program, directory.At("data"));
        await CannotStartAsync(second, directory.At("data"));
        first.Stop();
        Assert.Equal(0, await first.ExitAsync());
    }

    [Theory]
    [InlineData("edge")]
    [InlineData("cloud")]
    public async Task A_directory_that_is_a_file_ends_with_3_and_a_sentence(string program)
    {
        using TempDirectory directory = TempDirectory.Create();
        await File.WriteAllTextAsync(directory.At("data"), "not a directory");
        await using RunningProcess process = Start(program, directory.At("data"));
        await CannotStartAsync(process, directory.At("data"));
    }

    private static void End(RunningProcess process, bool byControlC)
    {
        if (byControlC)
        {
            process.PressControlC();
        }
        else
        {
            process.Stop();
        }
    }

    private static RunningProcess Start(string program, string data, params (string Flag, string Value)[] flags)
    {
        Dictionary<string, string> arguments = program == "edge"
            ? new() { ["--data"] = data, ["--id"] = "e", ["--cloud"] = "127.0.0.1:1", ["--mqtt"] = "127.0.0.1:0", ["--http"] = "127.0.0.1:0" }
            : new() { ["--data"] = data, ["--kafka"] = "127.0.0.1:0", ["--http"] = "127.0.0.1:0" };
        foreach ((string flag, string value) in flags)
        {
            arguments[flag] = value;
        }
        return RunningProcess.Start(
            program,
            program == "edge" ? Programs.Edge : Programs.Cloud,
            [program == "edge" ? "run" : "serve", .. arguments.SelectMany(pair => new[] { pair.Key, pair.Value })]);
    }

    private static async Task CannotStartAsync(RunningProcess process, string named)
    {
        Assert.Equal(3, await process.ExitAsync());
        Assert.Contains(named, process.Errors);
        Assert.DoesNotContain("   at ", process.Errors);
        Assert.DoesNotContain("READY", process.Output);
    }

    private static async Task CheckAsync(TestSystem system, SilentPublisher publisher)
    {
        List<Consumed> records = await KafkaReader.ReadAllAsync(system.Kafka, "telemetry");
        string? fault = Promise.FindFault(
            [new Published(publisher.Device, publisher.Sent, publisher.Acknowledged)],
            records.Select(record => (record.Key, int.Parse(record.Text))));
        Assert.True(fault is null, fault);
    }
}
