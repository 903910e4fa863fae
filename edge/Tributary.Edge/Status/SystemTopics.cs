using System.Globalization;
using Microsoft.Extensions.Logging;
using Tributary.Edge.Mqtt;

namespace Tributary.Edge.Status;

/// <summary>
/// Publishes what operators look at as topics under <c>$SYS/broker</c>, with the names that they know from other brokers, to those who have
/// subscribed to them: as retained messages that are in memory only, and that nobody else can publish. Runs on a timer; what can't be told
/// is told the next time.
/// </summary>
internal sealed class SystemTopics : IDisposable
{
    private const string Root = "$SYS/broker/";
    private readonly Func<EdgeStatus> _read;
    private readonly MqttServer _server;
    private readonly ILogger _logger;
    private readonly ITimer? _timer;
    private readonly Lock _lock = new();

    /// <param name="read">What is told.</param>
    /// <param name="server">Who publishes it.</param>
    /// <param name="interval">Time between two publications; zero for none.</param>
    /// <param name="time">All time.</param>
    /// <param name="logger">Hears of what can't be told.</param>
    public SystemTopics(Func<EdgeStatus> read, MqttServer server, TimeSpan interval, TimeProvider time, ILogger logger)
    {
        _read = read;
        _logger = logger;
        _server = server;
        if (interval > TimeSpan.Zero)
        {
            _timer = time.CreateTimer(static topics => ((SystemTopics)topics!).Publish(), this, TimeSpan.Zero, interval);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _timer?.Dispose();

    private void Publish()
    {
        if (!_lock.TryEnter())
        {
            return; // the last one isn't done yet
        }
        try
        {
            EdgeStatus status = _read();
            Tell("version", $"tributary-edge {status.Version}");
            Tell("uptime", $"{(long)status.UptimeSeconds} seconds");
            Tell("clients/connected", status.Mqtt.Connections);
            Tell("clients/total", status.Mqtt.Connections + status.Mqtt.Sessions.Sessions - status.Mqtt.Sessions.Connected);
            Tell("sessions/count", status.Mqtt.Sessions.Sessions);
            Tell("subscriptions/count", status.Mqtt.Subscriptions);
            Tell("retained messages/count", status.Mqtt.Sessions.Retained);
            Tell("messages/received", status.Mqtt.MessagesIn);
            Tell("messages/sent", status.Mqtt.MessagesOut);
            Tell("messages/stored", status.Ingest.Messages);
            Tell("messages/queued", status.Mqtt.Sessions.QueuedMessages);
            Tell("bytes/received", status.Mqtt.BytesIn);
            Tell("bytes/sent", status.Mqtt.BytesOut);
            Tell("backlog/records", status.Backlog.Records);
            Tell("backlog/bytes", status.Backlog.Bytes);
            Tell("clock/trusted", status.Clock.Trusted ? 1 : 0);
            Tell("clock/source", status.Clock.By);
            Tell("clock/since", status.Clock.Since?.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture) ?? "");
            Tell("clock/waiting", status.Clock.Waiting);
            Tell("clock/estimated", status.Clock.Estimated);
        }
        // Nobody else would catch it, and it would end the process.
        catch (Exception e)
        {
            _logger.SystemTopicsFailed(e);
        }
        finally
        {
            _lock.Exit();
        }
    }

    private void Tell(string topic, long value) => Tell(topic, value.ToString(CultureInfo.InvariantCulture));

    private void Tell(string topic, string value) => _server.PublishSystem(Root + topic, value);
}
