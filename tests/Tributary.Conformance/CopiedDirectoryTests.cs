using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>
/// Copies of an edge's data directory, put back or in use beside it: whatever either takes in arrives, nothing is taken for a duplicate
/// of something else, and it is reported.
/// </summary>
public sealed class CopiedDirectoryTests
{
    private const int Part = 300;
    private const string Metric = "tributary_edge_uplink_conflicts_total";

    /// <summary>Doubts end sooner than in life.</summary>
    private static readonly Dictionary<string, string> Settings = new()
    {
        ["TRIBUTARY__UPLINK__QUIETPERIOD"] = "500ms",
        ["TRIBUTARY__UPLINK__MAXBACKOFF"] = "200ms",
    };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_old_copy_that_is_put_back_sends_what_it_takes_in_and_says_so(bool restartsBetween)
    {
        await using var system = new TestSystem();
        await system.StartCloudAsync();
        (string data, string copy) = (system.At("edge"), system.At("copy"));
        await using (EdgeNode edge = await EdgeNode.StartAsync(data, system.Kafka, Settings))
        {
            await NumberPublisher.PublishAsync(edge.Mqtt, "before", 1, Part);
            await edge.DrainedAsync();
            await edge.StopAsync();
        }
        DirectoryCopy.Make(data, copy);
        await RunAsync(data, system.Kafka, "between", 1);
        if (restartsBetween)
        {
            await RunAsync(data, system.Kafka, "between", Part + 1);
        }
        Directory.Delete(data, recursive: true);
        Directory.Move(copy, data);
        await using EdgeNode again = await EdgeNode.StartAsync(data, system.Kafka, Settings);
        await NumberPublisher.PublishAsync(again.Mqtt, "after", 1, 2 * Part);
        await again.DrainedAsync();

        await CheckAsync(system, ("before", Part), ("between", restartsBetween ? 2 * Part : Part), ("after", 2 * Part));
        await AssertReportedAsync(again);
    }

    [Fact]
    public async Task Two_agents_on_copies_of_one_directory_both_send_what_they_take_in_and_one_says_so()
    {
        await using var system = new TestSystem();
        await system.StartCloudAsync();
        (string data, string copy) = (system.At("edge"), system.At("copy"));
        await using (EdgeNode edge = await EdgeNode.StartAsync(data, system.Kafka, Settings))
        {
            await NumberPublisher.PublishAsync(edge.Mqtt, "before", 1, Part);
            await edge.DrainedAsync();
            await edge.StopAsync();
        }
        DirectoryCopy.Make(data, copy);
        await using EdgeNode first = await EdgeNode.StartAsync(data, system.Kafka, Settings);
        await NumberPublisher.PublishAsync(first.Mqtt, "first", 1, Part);
        await first.DrainedAsync();
        await using EdgeNode second = await EdgeNode.StartAsync(copy, system.Kafka, Settings);
        for (int i = 1; i < 4; i++)
        {
            await Task.WhenAll(
                NumberPublisher.PublishAsync(second.Mqtt, "second", ((i - 1) * Part) + 1, Part),
                NumberPublisher.PublishAsync(first.Mqtt, "first", (i * Part) + 1, Part));
        }
        await first.DrainedAsync();
        await second.DrainedAsync();

        await CheckAsync(system, ("before", Part), ("first", 4 * Part), ("second", 3 * Part));
        Assert.True(await first.MetricAsync(Metric) + await second.MetricAsync(Metric) > 0, first.Log + second.Log);
        await AssertReportedAsync(await first.MetricAsync(Metric) > 0 ? first : second);
    }

    private static async Task RunAsync(string data, string cloud, string device, int from)
    {
        await using EdgeNode edge = await EdgeNode.StartAsync(data, cloud, Settings);
        await NumberPublisher.PublishAsync(edge.Mqtt, device, from, Part);
        await edge.DrainedAsync();
        await edge.StopAsync();
    }

    /// <summary>All that was acknowledged is there. What a copy still had may be there twice, so that is not looked at.</summary>
    private static async Task CheckAsync(TestSystem system, params (string Device, int Count)[] devices)
    {
        List<Consumed> records = await KafkaReader.ReadAllAsync(system.Kafka, "telemetry");
        foreach ((string device, int count) in devices)
        {
            Assert.Equal(
                Enumerable.Range(1, count),
                records.Where(record => record.Key == device).Select(record => int.Parse(record.Text)).Distinct().Order());
        }
    }

    private static async Task AssertReportedAsync(EdgeNode edge)
    {
        long conflicts = (await edge.PartitionAsync()).GetProperty("uplink").GetProperty("conflicts").GetInt64();
        Assert.True(conflicts > 0, edge.Log);
        Assert.Equal(conflicts, await edge.MetricAsync(Metric));
        Assert.True(
            edge.Log.Contains("went back in time", StringComparison.Ordinal) || edge.Log.Contains("in use twice", StringComparison.Ordinal), edge.Log);
    }
}
