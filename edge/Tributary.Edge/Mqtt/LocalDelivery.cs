using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt;

/// <summary>
/// Gives messages that are not in the journal to local subscribers. Callable from any thread; it never waits for a subscriber: one that is
/// too slow loses QoS 0 messages, and its connection when that doesn't help. What a durable session gets with QoS 1 or 2 is not given
/// here: that was written down for it when the message came.
/// </summary>
/// <param name="subscriptions">Everybody's.</param>
/// <param name="metrics">What is counted.</param>
/// <param name="passOn">Gives a message of a shared subscription, whose member has ended meanwhile, to another one.</param>
internal sealed class LocalDelivery(SubscriptionTrie subscriptions, MqttMetrics metrics, Action<OutboundMessage, Session> passOn)
{
    /// <summary>Queues a committed message for everyone whose subscription matches, once for each client, and releases it.</summary>
    /// <param name="message">The message.</param>
    /// <param name="matches">The caller's, to be used again.</param>
    public void Deliver(LocalMessage message, Matches matches)
    {
        GiveAll(message.Topic, message.Qos, message.IsRetained, message.Publisher, message, matches);
        if (message.Chosen is { } chosen)
        {
            foreach (Subscription subscription in chosen)
            {
                var outbound = new OutboundMessage(
                    message, Math.Min(message.Qos, subscription.Qos), message.IsRetained && subscription.RetainAsPublished,
                    subscription.Identifier, null)
                { Share = subscription.Key };
                EnqueueResult result = subscription.Session.Outbound.TryEnqueue(outbound);
                if (result == EnqueueResult.Ended || (result == EnqueueResult.Overflow && outbound.Qos > 0))
                {
                    passOn(outbound, subscription.Session);
                }
                End(subscription.Session, result);
            }
        }
        message.Release();
    }

    /// <summary>Treats the queues of all who want it as full: there is no memory to keep the message for them.</summary>
    public void Overflow(Session publisher, in PublishPacket packet, Matches matches) =>
        GiveAll(packet.Topic, packet.Qos, packet.IsRetained, publisher, null, matches);

    /// <summary>How a session gets the message, as the union of its matching subscriptions says (MQTT 5, 3.3.4).</summary>
    /// <returns>Null if it does not: it published it itself, and wants none of its own.</returns>
    public static OutboundMessage? Unite(
        ReadOnlySpan<Subscription> subscriptions, int messageQos, bool isRetained, bool isOwn, LocalMessage? message)
    {
        int qos = -1;
        bool retain = false;
        uint identifier = 0;
        List<uint>? more = null;
        foreach (Subscription subscription in subscriptions)
        {
            if (subscription.NoLocal && isOwn)
            {
                continue;
            }
            qos = Math.Max(qos, Math.Min(messageQos, subscription.Qos));
            retain |= subscription.RetainAsPublished && isRetained;
            if (identifier == 0)
            {
                identifier = subscription.Identifier;
            }
            else if (subscription.Identifier != 0)
            {
                (more ??= []).Add(subscription.Identifier);
            }
        }
        return qos < 0 ? null : new OutboundMessage(message, qos, retain, identifier, more?.ToArray());
    }

    private void GiveAll(ReadOnlySpan<byte> topic, int qos, bool retain, Session? publisher, LocalMessage? message, Matches matches)
    {
        subscriptions.Match(topic, matches);
        matches.Group();
        ReadOnlySpan<Subscription> found = matches.Subscriptions;
        while (!found.IsEmpty)
        {
            int same = 1;
            while (same < found.Length && ReferenceEquals(found[same].Session, found[0].Session))
            {
                same++;
            }
            Session session = found[0].Session;
            if (Unite(found[..same], qos, retain, ReferenceEquals(session, publisher), message) is { } outbound
                && !(session.IsDurable && outbound.Qos > 0))
            {
                End(session, message is not null ? session.Outbound.TryEnqueue(outbound)
                    : outbound.Qos == 0 ? EnqueueResult.Dropped : EnqueueResult.Overflow);
            }
            found = found[same..];
        }
        matches.Clear();
    }

    private void End(Session session, EnqueueResult result)
    {
        switch (result)
        {
            case EnqueueResult.Queued:
                session.Connection?.Wake();
                break;
            case EnqueueResult.Dropped:
                metrics.MessageDropped(MqttDropReason.QueueFull);
                break;
            case EnqueueResult.Overflow:
                session.Connection?.Close(
                    MqttCloseReason.SubscriberTooSlow, ReasonCode.QuotaExceeded, "messages came faster than they were taken");
                break;
        }
    }
}
