using System.Buffers;
using System.Collections.Concurrent;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using MQTTnet;
using MQTTnet.Formatter;
using MQTTnet.Protocol;
using Tributary.Edge.Mqtt;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>Another's client, over real sockets.</summary>
public sealed class MqttClientTests : IAsyncLifetime
{
    private readonly TestIngest _ingest = new() { CommitsAtOnce = true };
    private readonly TestSessions _sessions;
    private readonly MqttServer _server;
    private readonly WebApplication _host;
    private readonly List<IMqttClient> _clients = [];

    public MqttClientTests()
    {
        _sessions = new TestSessions(new MqttOptions(), TimeProvider.System);
        _server = new MqttServer(new MqttOptions(), _ingest, _sessions.Store, TimeProvider.System, NullLoggerFactory.Instance);
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Run(_server.Connections.OnConnectedAsync)));
        _host = builder.Build();
    }

    public async ValueTask InitializeAsync() => await _host.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _clients.ForEach(Dispose);
        await _host.DisposeAsync();
        await _sessions.DisposeAsync();
    }

    private static void Dispose(IMqttClient client)
    {
        try
        {
            client.Dispose();
        }
        catch (ObjectDisposedException)
        {
            // The client cleans up by itself when it notices that the broker is gone, and the two may meet.
        }
    }

    [Theory]
    [InlineData(MqttProtocolVersion.V311)]
    [InlineData(MqttProtocolVersion.V500)]
    public async Task A_client_publishes_and_gets_what_it_subscribed_to(MqttProtocolVersion version)
    {
        var received = new ConcurrentQueue<string>();
        IMqttClient subscriber = await ConnectAsync(version, "sub");
        subscriber.ApplicationMessageReceivedAsync += message =>
        {
            received.Enqueue($"{message.ApplicationMessage.Topic} {(int)message.ApplicationMessage.QualityOfServiceLevel} "
                + Encoding.UTF8.GetString(message.ApplicationMessage.Payload.ToArray()));
            return Task.CompletedTask;
        };
        MqttClientSubscribeResult subscribed = await subscriber.SubscribeAsync("devices/+/t", MqttQualityOfServiceLevel.ExactlyOnce);
        Assert.Equal(MqttClientSubscribeResultCode.GrantedQoS2, subscribed.Items.Single().ResultCode);
        IMqttClient publisher = await ConnectAsync(version, "pub");
        for (int i = 0; i < 300; i++)
        {
            MqttQualityOfServiceLevel qos = i % 3 == 0 ? MqttQualityOfServiceLevel.AtMostOnce : MqttQualityOfServiceLevel.AtLeastOnce;
            MqttClientPublishResult result = await publisher.PublishStringAsync($"devices/{i % 7}/t", $"{i}", qos);
            Assert.True(result.IsSuccess);
        }
        await Wait.Until(() => received.Count == 300);
        Assert.Equal(Enumerable.Range(0, 300).Select(i => $"devices/{i % 7}/t {(i % 3 == 0 ? 0 : 1)} {i}"), received);
        Assert.Equal(300, _ingest.Messages.Count);
        await publisher.DisconnectAsync();
        await Wait.Until(() => _server.Metrics.Closed(MqttCloseReason.Disconnected) == 1);
    }

    [Fact]
    public async Task A_client_of_5_understands_what_it_is_told()
    {
        IMqttClient client = new MqttClientFactory().CreateMqttClient();
        _clients.Add(client);
        MqttClientConnectResult connected = await client.ConnectAsync(OptionsFor(MqttProtocolVersion.V500, "").Build());
        Assert.Equal(MqttClientConnectResultCode.Success, connected.ResultCode);
        Assert.StartsWith("auto-", connected.AssignedClientIdentifier, StringComparison.Ordinal);
        Assert.Equal(MqttQualityOfServiceLevel.ExactlyOnce, connected.MaximumQoS);
        Assert.True(connected.RetainAvailable);
        Assert.True(connected.SharedSubscriptionAvailable);
        Assert.True(connected.WildcardSubscriptionAvailable);
        Assert.Equal((ushort)1024, connected.ReceiveMaximum);
        Assert.Equal(1u << 20, connected.MaximumPacketSize);
        MqttClientSubscribeResult subscribed = await client.SubscribeAsync("$share/group/t");
        Assert.Equal(MqttClientSubscribeResultCode.GrantedQoS0, subscribed.Items.Single().ResultCode);
    }

    [Theory]
    [InlineData(MqttProtocolVersion.V311)]
    [InlineData(MqttProtocolVersion.V500)]
    public async Task Taking_over_and_wills_work_over_sockets(MqttProtocolVersion version)
    {
        IMqttClient first = new MqttClientFactory().CreateMqttClient();
        _clients.Add(first);
        var disconnected = new TaskCompletionSource<MqttClientDisconnectReason>(TaskCreationOptions.RunContinuationsAsynchronously);
        first.DisconnectedAsync += gone =>
        {
            disconnected.TrySetResult(gone.Reason);
            return Task.CompletedTask;
        };
        await first.ConnectAsync(OptionsFor(version, "same").WithWillTopic("last/same").WithWillPayload("gone").Build());
        await ConnectAsync(version, "same");
        MqttClientDisconnectReason reason = await disconnected.Task.WaitAsync(ScriptedClient.Deadline);
        if (version == MqttProtocolVersion.V500)
        {
            Assert.Equal(MqttClientDisconnectReason.SessionTakenOver, reason);
        }
        Assert.Equal("gone", Assert.Single(_ingest.Messages).Payload);
        await Wait.Until(() => _server.Metrics.Connections == 1);
    }

    [Fact]
    public async Task Many_clients_publish_at_a_time_and_each_ones_messages_stay_in_order()
    {
        IMqttClient[] clients = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => ConnectAsync(MqttProtocolVersion.V500, $"c{i}")));
        await Task.WhenAll(clients.Select(async client =>
        {
            for (int i = 0; i < 50; i++)
            {
                await client.PublishStringAsync("t", $"{i}", MqttQualityOfServiceLevel.AtLeastOnce);
            }
        }));
        foreach (IGrouping<string, TestIngest.Accepted> messages in _ingest.Messages.GroupBy(m => m.ClientId))
        {
            Assert.Equal(Enumerable.Range(0, 50).Select(i => $"{i}"), messages.Select(m => m.Payload));
        }
        Assert.Equal(1000, _ingest.Messages.Count);
        Assert.Equal(20, _server.Metrics.Connections);
    }

    private async Task<IMqttClient> ConnectAsync(MqttProtocolVersion version, string clientId)
    {
        IMqttClient client = new MqttClientFactory().CreateMqttClient();
        _clients.Add(client);
        await client.ConnectAsync(OptionsFor(version, clientId).Build());
        return client;
    }

    private MqttClientOptionsBuilder OptionsFor(MqttProtocolVersion version, string clientId) =>
        new MqttClientOptionsBuilder()
            .WithTcpServer("127.0.0.1", new Uri(_host.Urls.Single()).Port)
            .WithProtocolVersion(version)
            .WithClientId(clientId)
            .WithTimeout(ScriptedClient.Deadline);
}
