using System.Diagnostics.Metrics;

namespace Tributary.Edge.Mqtt;

/// <summary>
/// What the MQTT broker counts, as instruments of the meter <c>Tributary.Edge.Mqtt</c> and as numbers to read. Callable from any thread.
/// </summary>
internal sealed class MqttMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "Tributary.Edge.Mqtt";

    private readonly Meter _meter = new(MeterName);
    private readonly long[] _closed = new long[Enum.GetValues<MqttCloseReason>().Length];
    private readonly long[] _dropped = new long[Enum.GetValues<MqttDropReason>().Length];
    private long _connections;
    private long _accepted;
    private long _subscriptions;
    private long _messagesIn;
    private long _bytesIn;
    private long _acknowledged;
    private long _refused;
    private long _messagesOut;
    private long _bytesOut;
    private long _deliveryBytes;
    private long _queueBytes;
    private long _clientBytes;
    private long _subscriptionBytes;
    private long _subscriptionsRefused;
    private long _publishesDenied;
    private long _subscriptionsDenied;

    public MqttMetrics()
    {
        _meter.CreateObservableGauge("tributary.edge.mqtt.connections", () => Connections, "{connection}", "Open connections.");
        _meter.CreateObservableGauge("tributary.edge.mqtt.subscriptions", () => Subscriptions, "{subscription}", "Subscriptions.");
        _meter.CreateObservableGauge("tributary.edge.mqtt.delivery_memory", () => DeliveryBytes, "By", "Messages kept for subscribers.");
        _meter.CreateObservableGauge(
            "tributary.edge.mqtt.queue_memory", () => QueueBytes, "By", "Places of messages that wait for durable sessions, about.");
        _meter.CreateObservableGauge(
            "tributary.edge.mqtt.client_memory", () => ClientBytes, "By", "Wills, and large packets that are not all there yet.");
        _meter.CreateObservableGauge("tributary.edge.mqtt.subscription_memory", () => SubscriptionBytes, "By", "Subscriptions, about.");
        Count("subscriptions_refused", () => SubscriptionsRefused, "{subscription}", "Subscriptions beyond a limit.");
        Count("subscriptions_denied", () => SubscriptionsDenied, "{subscription}", "Subscriptions that the client may not have.");
        Count("messages_denied", () => PublishesDenied, "{message}", "Messages to topics that the client may not publish to.");
        Count("connections_accepted", () => ConnectionsAccepted, "{connection}", "Clients that were let in.");
        Count("messages_in", () => MessagesIn, "{message}", "PUBLISH packets from clients.");
        Count("bytes_in", () => BytesIn, "By", "Bytes of packets from clients.");
        Count("messages_acknowledged", () => Acknowledged, "{message}", "PUBACK packets that told of a stored message.");
        Count("messages_refused", () => Refused, "{message}", "QoS 1 messages that were not taken.");
        Count("messages_out", () => MessagesOut, "{message}", "PUBLISH packets to subscribers.");
        Count("bytes_out", () => BytesOut, "By", "Bytes of packets to clients.");
        _meter.CreateObservableCounter(
            "tributary.edge.mqtt.connections_closed", () => Tagged<MqttCloseReason>(_closed), "{connection}",
            "Connections that ended, by reason.");
        _meter.CreateObservableCounter(
            "tributary.edge.mqtt.messages_dropped", () => Tagged<MqttDropReason>(_dropped), "{message}",
            "Messages not stored or not given to a subscriber, where nobody could be told, by reason.");
    }

    /// <summary>The meter.</summary>
    public Meter Meter => _meter;

    /// <summary>Open connections.</summary>
    public long Connections => Interlocked.Read(ref _connections);

    /// <summary>Clients that were let in since the start.</summary>
    public long ConnectionsAccepted => Interlocked.Read(ref _accepted);

    /// <summary>Subscriptions of all clients.</summary>
    public long Subscriptions => Interlocked.Read(ref _subscriptions);

    /// <summary>PUBLISH packets from clients.</summary>
    public long MessagesIn => Interlocked.Read(ref _messagesIn);

    /// <summary>Bytes of packets from clients.</summary>
    public long BytesIn => Interlocked.Read(ref _bytesIn);

    /// <summary>PUBACK packets that told of a stored message.</summary>
    public long Acknowledged => Interlocked.Read(ref _acknowledged);

    /// <summary>QoS 1 messages that were not taken; their clients were told or closed.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>PUBLISH packets to subscribers.</summary>
    public long MessagesOut => Interlocked.Read(ref _messagesOut);

    /// <summary>Bytes of packets to clients.</summary>
    public long BytesOut => Interlocked.Read(ref _bytesOut);

    /// <summary>Bytes of messages kept for subscribers.</summary>
    public long DeliveryBytes => Interlocked.Read(ref _deliveryBytes);

    /// <summary>Bytes that the places of messages take which wait for durable sessions, about.</summary>
    public long QueueBytes => Interlocked.Read(ref _queueBytes);

    /// <summary>Bytes of wills, and of large packets that are not all there yet.</summary>
    public long ClientBytes => Interlocked.Read(ref _clientBytes);

    /// <summary>Bytes that subscriptions take, about.</summary>
    public long SubscriptionBytes => Interlocked.Read(ref _subscriptionBytes);

    /// <summary>Subscriptions that were refused since there are too many.</summary>
    public long SubscriptionsRefused => Interlocked.Read(ref _subscriptionsRefused);

    /// <summary>Messages, and wills, to topics that the client may not publish to.</summary>
    public long PublishesDenied => Interlocked.Read(ref _publishesDenied);

    /// <summary>Subscriptions that the client may not have, or not any more.</summary>
    public long SubscriptionsDenied => Interlocked.Read(ref _subscriptionsDenied);

    /// <summary>Connections that ended for this reason.</summary>
    public long Closed(MqttCloseReason reason) => Interlocked.Read(ref _closed[(int)reason]);

    /// <summary>Messages that were dropped for this reason.</summary>
    public long Dropped(MqttDropReason reason) => Interlocked.Read(ref _dropped[(int)reason]);

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    internal void ConnectionOpened() => Interlocked.Increment(ref _connections);

    internal void ConnectionAccepted() => Interlocked.Increment(ref _accepted);

    internal void ConnectionClosed(MqttCloseReason reason)
    {
        Interlocked.Decrement(ref _connections);
        Interlocked.Increment(ref _closed[(int)reason]);
    }

    internal void SubscriptionsChanged(int by, long bytes)
    {
        Interlocked.Add(ref _subscriptions, by);
        Interlocked.Add(ref _subscriptionBytes, bytes);
    }

    internal void PublishDenied() => Interlocked.Increment(ref _publishesDenied);

    internal void SubscriptionDenied() => Interlocked.Increment(ref _subscriptionsDenied);

    internal void SubscriptionRefused() => Interlocked.Increment(ref _subscriptionsRefused);

    /// <returns>Bytes of clients after the change.</returns>
    internal long ClientMemory(long change) => Interlocked.Add(ref _clientBytes, change);

    internal void Received(int messages, long bytes)
    {
        Interlocked.Add(ref _messagesIn, messages);
        Interlocked.Add(ref _bytesIn, bytes);
    }

    internal void MessagesAcknowledged(int count) => Interlocked.Add(ref _acknowledged, count);

    internal void MessageRefused() => Interlocked.Increment(ref _refused);

    internal void Sent(int messages, long bytes)
    {
        Interlocked.Add(ref _messagesOut, messages);
        Interlocked.Add(ref _bytesOut, bytes);
    }

    internal void MessageDropped(MqttDropReason reason) => Interlocked.Increment(ref _dropped[(int)reason]);

    /// <returns>Bytes of places after the change.</returns>
    internal long QueueMemory(long change) => Interlocked.Add(ref _queueBytes, change);

    /// <returns>Bytes kept after the change.</returns>
    internal long DeliveryMemory(long change) => Interlocked.Add(ref _deliveryBytes, change);

    private static List<Measurement<long>> Tagged<T>(long[] counts)
        where T : struct, Enum
    {
        var measurements = new List<Measurement<long>>(counts.Length);
        foreach (T reason in Enum.GetValues<T>())
        {
            long count = Interlocked.Read(ref counts[measurements.Count]);
            measurements.Add(new Measurement<long>(count, new KeyValuePair<string, object?>("reason", reason.ToString())));
        }
        return measurements;
    }

    private void Count(string name, Func<long> read, string unit, string description) =>
        _meter.CreateObservableCounter($"tributary.edge.mqtt.{name}", read, unit, description);
}
