using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Log.Storage;
using Tributary.Tests.Cloud.Support;
using Tributary.Tests.Edge.Mqtt.Support;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>
/// The budget of a QoS 1 message from the socket through Kestrel, routes, log and flush on a real disk back to its PUBACK: nothing. What
/// remains, some 200 bytes, is for a whole batch of messages that comes together.
/// </summary>
[Collection(AloneCollection.Name)]
public sealed class MqttSocketAllocationTests
{
    private const int Batch = 500;

    /// <summary>If a message allocated anything, it would be 24 bytes at least.</summary>
    private const double BytesPerMessage = 2;

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_message_from_socket_to_log_and_its_acknowledgement_allocate_nothing(int level)
    {
        using var directory = new TemporaryDirectory();
        await using EdgeBuffer buffer = EdgeBuffer.Open(
            new FileStorage(), directory.File("data"), new EdgeBufferOptions { MinFreeBytes = 0 }, TimeProvider.System, NullLoggerFactory.Instance);
        var ingest = new Ingestor(
            RouteTable.Default, buffer, new IngestOptions { EdgeId = "edge" }, TimeProvider.System, NullLoggerFactory.Instance);
        await using var server = new MqttServer(
            new MqttOptions { ShutdownGrace = TimeSpan.Zero }, ingest,
            SessionStore.Open(buffer, new FileStorage(), new MqttOptions(), TimeProvider.System, NullLoggerFactory.Instance), TimeProvider.System,
            NullLoggerFactory.Instance);
        await using LoopbackPort port = await LoopbackPort.OpenAsync(server.Connections);
        using var client = new SocketAllocations(port.EndPoint);
        client.Send(Packets.Connect(level, "dev"));
        client.Receive(new byte[level == 5 ? 29 : 4]);
        string payload = new('x', 100);
        byte[] batch = [.. Enumerable.Range(1, Batch).SelectMany(i => Packets.Publish(level, "devices/dev/temperature", payload, 1, i))];
        byte[] acknowledgements = new byte[Batch * AckQueue.PubAckBytes];
        double allocated = SocketAllocations.PerRound(warmUps: 100, rounds: 100, () =>
        {
            client.Send(batch);
            client.Receive(acknowledgements);
        });
        Assert.InRange(allocated / Batch, 0, BytesPerMessage);
    }
}
