using System.Text.Json;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>The simulator as devices in the field, against a real agent.</summary>
public sealed class SimulatorTests
{
    [Fact]
    public async Task It_ends_with_its_summary_when_it_is_told_to_stop()
    {
        await using TestSystem system = await TestSystem.StartAsync();
        await using RunningProcess simulator = Start($"127.0.0.1:{system.MqttPort}");
        await simulator.ReadyAsync();
        await AcknowledgedAsync(system, 20);
        simulator.Stop();
        Assert.Equal(0, await simulator.ExitAsync());
        JsonElement totals = Totals(simulator);
        Assert.Equal((0L, 0L, 6L), (Count(totals, "pending"), Count(totals, "lost"), Count(totals, "connects")));
        Assert.Equal(Count(totals, "readings"), Count(totals, "acknowledged"));
    }

    [Fact]
    public async Task Its_devices_come_back_after_the_agent_was_killed_and_send_again_what_was_not_acknowledged()
    {
        await using TestSystem system = await TestSystem.StartAsync();
        await using var field = new Link { Target = system.Mqtt };
        await using RunningProcess simulator = Start(field.Address.ToString());
        await simulator.ReadyAsync();
        for (int kill = 0; kill < 3; kill++)
        {
            await AcknowledgedAsync(system, 20);
            field.State = LinkState.Blackholed; // what is in flight now is not acknowledged
            await AcknowledgedAsync(system, 0);
            await system.KillEdgeAsync();
            field.Target = null;
            field.State = LinkState.Cut;
            await system.StartEdgeAsync();
            field.Target = system.Mqtt;
            field.State = LinkState.Up;
        }
        await AcknowledgedAsync(system, 20);
        simulator.Stop();
        Assert.Equal(0, await simulator.ExitAsync());
        await system.DrainedAsync();
        JsonElement totals = Totals(simulator);
        List<Consumed> stored = await KafkaReader.ReadAllAsync(system.Kafka, "telemetry");
        Assert.Equal(
            Count(totals, "readings"),
            Count(totals, "acknowledged") + Count(totals, "refused") + Count(totals, "dropped") + Count(totals, "pending"));
        Assert.True(Count(totals, "lost") >= 6 && Count(totals, "connects") > 6 && Count(totals, "retransmitted") > 0, totals.ToString());
        Assert.InRange(stored.Count, Count(totals, "acknowledged"), Count(totals, "sent") + Count(totals, "retransmitted"));
    }

    private static RunningProcess Start(string mqtt) => RunningProcess.Start(
        "firmware-sim", Programs.FirmwareSim, ["--mqtt", mqtt, "--devices", "6", "--rate", "20"]);

    private static JsonElement Totals(RunningProcess simulator) => JsonDocument.Parse(simulator.Output.Split('\n')[^1]).RootElement;

    private static long Count(JsonElement totals, string name) => totals.GetProperty(name).GetInt64();

    /// <summary>Waits until the agent has acknowledged more than so many messages since its start.</summary>
    private static Task AcknowledgedAsync(TestSystem system, int most) => Until.TrueAsync(
        async () =>
            (await system.StatusAsync()).GetProperty("mqtt").GetProperty("messagesAcknowledged").GetInt64() > most, system.Edge.Story);
}
