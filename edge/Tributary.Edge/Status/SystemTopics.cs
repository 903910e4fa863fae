using System.Globalization;
using Tributary.Edge.Mqtt;

namespace Tributary.Edge.Status;

/// <summary>
/// Publishes what operators look at as topics under <c>$SYS/broker</c>, with the names that they know from other brokers, to those who have
/// subscribed to them: as retained messages that are in memory only, and that nobody else can publish. Runs on a timer.
/// </summary>
internal sealed class SystemTopics : IDisposable
{
    private const string Root = "$SYS/broker/";
    private readonly StatusReader _reader;
    private readonly MqttServer _server;
    private readonly ITimer? _timer;
    private readonly Lock _lock = new();

    /// <param name="reader">What is told.</param>
    /// <param name="server">Who publishes it.</param>
    /// <param name="interval">Time between two publications; zero for none.</param>
    /// <param name="time">All time.</param>
    public SystemTopics(StatusReader reader, MqttServer server, TimeSpan interval, TimeProvider time)
    {
        _reader = reader;
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
            EdgeStatus status = _reader.Read();
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
        }
        finally
        {
            _lock.Exit();
        }
    }

    private void Tell(string topic, long value) => Tell(topic, value.ToString(CultureInfo.InvariantCulture));

    private void Tell(string topic, string value) => _server.PublishSystem(Root + topic, value);
}
