using MQTTnet;
using MQTTnet.Formatter;
using MQTTnet.Protocol;
using Tributary.FirmwareSim.Devices;
using Tributary.FirmwareSim.Firmware;

namespace Tributary.FirmwareSim;

/// <summary>
/// A connection by MQTTnet's client, with a clean session: what was not acknowledged is published again by the firmware, as a new message
/// (without DUP, which belongs to a session that goes on). Pumps and meters speak MQTT 3.1.1, the others MQTT 5.
/// </summary>
internal sealed class MqttDeviceLink : IDeviceLink
{
    /// <summary>Time for a DISCONNECT to be sent at the end.</summary>
    private static readonly TimeSpan CloseTimeout = TimeSpan.FromSeconds(2);

    /// <summary>Time without anything to say after which the client pings.</summary>
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(60);

    /// <summary>A device gets only acknowledgements, and there are thousands of devices.</summary>
    private const int ReceiveBufferBytes = 1_024;

    private static readonly MqttClientFactory Factory = new();
    private readonly IMqttClient _client = Factory.CreateMqttClient();
    private readonly MqttClientOptions _options;
    private readonly MqttQualityOfServiceLevel _qos;

    /// <param name="options">Where to connect.</param>
    /// <param name="device">Who connects.</param>
    /// <param name="onLost">Called, on any thread, when a connection that was made is gone.</param>
    public MqttDeviceLink(SimulatorOptions options, Device device, Action onLost)
    {
        bool isOld = device.Name.StartsWith("pump", StringComparison.Ordinal) || device.Name.StartsWith("meter", StringComparison.Ordinal);
        _qos = options.Qos == 1 ? MqttQualityOfServiceLevel.AtLeastOnce : MqttQualityOfServiceLevel.AtMostOnce;
        _options = Factory.CreateClientOptionsBuilder()
            .WithClientId(device.Name)
            .WithProtocolVersion(isOld ? MqttProtocolVersion.V311 : MqttProtocolVersion.V500)
            .WithTcpServer(options.Host, options.Port)
            .WithCleanSession()
            .WithTimeout(options.ConnectTimeout)
            .WithKeepAlivePeriod(KeepAlive)
            .Build();
        if (_options.ChannelOptions is MqttClientTcpOptions tcp)
        {
            tcp.BufferSize = ReceiveBufferBytes;
        }
        _client.DisconnectedAsync += disconnected =>
        {
            if (disconnected.ClientWasConnected)
            {
                onLost();
            }
            return Task.CompletedTask;
        };
    }

    /// <inheritdoc/>
    public async Task ConnectAsync(CancellationToken cancel)
    {
        MqttClientConnectResult result = await _client.ConnectAsync(_options, cancel);
        if (result.ResultCode != MqttClientConnectResultCode.Success)
        {
            throw new IOException($"the broker refused the connection: {result.ResultCode}");
        }
    }

    /// <inheritdoc/>
    public async Task<bool> PublishAsync(OutboundMessage message)
    {
        MqttClientPublishResult result = await _client.PublishAsync(new MqttApplicationMessage
        {
            Topic = message.Topic,
            PayloadSegment = message.Payload,
            QualityOfServiceLevel = _qos,
        });
        return result.IsSuccess;
    }

    /// <inheritdoc/>
    public async Task CloseAsync()
    {
        try
        {
            using var timeout = new CancellationTokenSource(CloseTimeout);
            if (_client.IsConnected)
            {
                await _client.DisconnectAsync(Factory.CreateClientDisconnectOptionsBuilder().Build(), timeout.Token);
            }
        }
        catch (Exception)
        {
            // the connection was gone before the DISCONNECT; there is nothing left to end
        }
        finally
        {
            _client.Dispose();
        }
    }
}
