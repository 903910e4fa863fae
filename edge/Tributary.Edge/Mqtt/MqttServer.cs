using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Tributary.Edge.Access;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Sessions;

namespace Tributary.Edge.Mqtt;

/// <summary>
/// The MQTT broker. The host runs <see cref="Connections"/> on a Kestrel listener, and disposes this before ingest and buffer, so that
/// what clients have sent can still be committed and acknowledged.
/// </summary>
internal sealed class MqttServer : IAsyncDisposable
{
    private readonly ConnectionListener _connections;

    /// <summary>Makes a broker; it serves connections at once.</summary>
    /// <param name="options">Limits and settings; validated here.</param>
    /// <param name="ingest">Where messages go.</param>
    /// <param name="sessions">Sessions and retained messages; disposed with this.</param>
    /// <param name="time">All time of the broker.</param>
    /// <param name="loggers">Where it logs.</param>
    /// <param name="access">Who may come in, and what they may do; null: everybody may do everything.</param>
    /// <exception cref="ArgumentException">A setting is out of range.</exception>
    public MqttServer(
        MqttOptions options, IIngest ingest, SessionStore sessions, TimeProvider time, ILoggerFactory loggers, IAccess? access = null)
    {
        options.Validate();
        Sessions = sessions;
        _connections = new ConnectionListener(
            new MqttContext(options, ingest, sessions, access ?? OpenAccess.Instance, time, loggers.CreateLogger<MqttServer>()));
    }

    /// <summary>Serves MQTT clients: <c>listenOptions.Run(server.Connections.OnConnectedAsync)</c>.</summary>
    public ConnectionHandler Connections => _connections;

    /// <summary>
    /// Counts connections at a listener, before TLS or HTTP that stand in front of MQTT there, and closes those that are too many:
    /// <c>listenOptions.Use(server.Limit)</c>. Listeners of plain MQTT need it not.
    /// </summary>
    public ConnectionDelegate Limit(ConnectionDelegate next) => connection => _connections.LimitAsync(connection, next);

    /// <summary>What is counted.</summary>
    public MqttMetrics Metrics => Sessions.Metrics;

    /// <summary>Sessions and retained messages.</summary>
    public SessionStore Sessions { get; }

    /// <summary>Publishes a value under <c>$SYS/</c>: it is retained in memory, and stored nowhere.</summary>
    public void PublishSystem(string topic, string value) => Sessions.PublishSystem(
        System.Text.Encoding.UTF8.GetBytes(topic), System.Text.Encoding.UTF8.GetBytes(value));

    /// <summary>
    /// Takes no more messages, waits briefly until those that were taken are acknowledged, and closes all connections; MQTT 5 clients are
    /// told by DISCONNECT 0x8B.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        await _connections.StopAsync();
        await Sessions.DisposeAsync();
    }
}
