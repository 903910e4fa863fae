using System.Globalization;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Fuzz;

/// <summary>
/// Publishes numbered messages with QoS 1 to a topic that it subscribed to, and waits for the acknowledgement and the message each time.
/// </summary>
internal sealed class MqttNeighbour : Neighbour
{
    private const int Level = 4;
    private const string Topic = "neighbour/own";

    protected override async Task GreetAsync()
    {
        await SendAsync(Packets.Connect(Level, "neighbour"));
        Assert.Equal([0x20, 2, 0, 0], await ReceiveAsync(4));
        await SendAsync(Packets.Subscribe(Level, 1, (Topic, 0)));
        Assert.Equal([0x90, 3, 0, 1, 0], await ReceiveAsync(5));
    }

    protected override async Task AskAsync(int number)
    {
        int id = 1 + (number % 60_000);
        string text = number.ToString(CultureInfo.InvariantCulture);
        await SendAsync(Packets.Publish(Level, Topic, text, 1, id));
        byte[] own = Packets.Publish(Level, Topic, text);
        byte[] acknowledged = [0x40, 2, (byte)(id >> 8), (byte)id];
        byte[] answer = await ReceiveAsync(own.Length + acknowledged.Length);
        Assert.True(
            answer.AsSpan().SequenceEqual([.. acknowledged, .. own]) || answer.AsSpan().SequenceEqual([.. own, .. acknowledged]),
            $"message {number} was answered with {Convert.ToHexString(answer)}");
    }
}
