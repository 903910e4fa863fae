using System.Text.Json;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>
/// The agent in front of a Kafka cluster that is not Tributary and can't be asked what it has of a producer: everything arrives, in order,
/// and what may have come twice is told.
/// </summary>
public sealed class OtherClusterTests
{
    private const string Topic = "telemetry";
    private const string Device = "pump";
    private const int Part = 300;
    private const short ProduceKey = 0;
    private static readonly TimeSpan Late = TimeSpan.FromSeconds(30);

    /// <summary>Doubts end sooner than in life.</summary>
    private static readonly Dictionary<string, string> Settings = new()
    {
        ["TRIBUTARY__UPLINK__QUIETPERIOD"] = "500ms",
        ["TRIBUTARY__UPLINK__MAXBACKOFF"] = "200ms",
    };

    [Fact]
    public async Task What_was_acknowledged_arrives_at_least_once_and_in_order_and_the_status_says_so()
    {
        using var directory = TempDirectory.Create();
        MockCluster cluster = MockCluster.Start(partitions: 3, Topic);
        await using (EdgeNode edge = await EdgeNode.StartAsync(directory.At("edge"), cluster.Bootstrap, Settings))
        {
            await NumberPublisher.PublishAsync(edge.Mqtt, Device, 1, Part);
            await edge.DrainedAsync();
            Assert.Equal("atLeastOnce", (await edge.StatusAsync()).GetProperty("link").GetProperty("promise").GetString());
            Assert.Equal(0, await MayRepeatAsync(edge));

            // The cluster takes what comes and its answers are lost.
            cluster.Delay(Late);
            cluster.Watch();
            await NumberPublisher.PublishAsync(edge.Mqtt, Device, Part + 1, Part);
            await Until.TrueAsync(() => Task.FromResult(cluster.Count(ProduceKey) > 0), edge.Process.Story);
            cluster.Down();
            cluster.Delay(TimeSpan.Zero);
            cluster.Up();
            await edge.DrainedAsync();
            Assert.True(await MayRepeatAsync(edge) > 0, edge.Log);
            Assert.Contains("does not serve DescribeProducers", edge.Log, StringComparison.Ordinal);

            await NumberPublisher.PublishAsync(edge.Mqtt, Device, (2 * Part) + 1, Part);
        } // killed
        await using EdgeNode again = await EdgeNode.StartAsync(directory.At("edge"), cluster.Bootstrap, Settings);
        await NumberPublisher.PublishAsync(again.Mqtt, Device, (3 * Part) + 1, Part);
        await again.DrainedAsync();

        int[] numbers = [.. (await KafkaReader.ReadAllAsync(cluster.Bootstrap, Topic)).Select(record => int.Parse(record.Text))];
        Assert.Equal(Enumerable.Range(1, 4 * Part), numbers.Distinct());
        Assert.True(numbers.Length > 4 * Part, "nothing came twice: no answer was lost");
        Assert.Equal("atLeastOnce", (await again.PartitionAsync()).GetProperty("uplink").GetProperty("promise").GetString());
    }

    private static async Task<long> MayRepeatAsync(EdgeNode edge)
    {
        JsonElement uplink = (await edge.PartitionAsync()).GetProperty("uplink");
        return uplink.GetProperty("mayRepeat").GetInt64();
    }
}
