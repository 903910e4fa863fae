using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;

namespace Tributary.Edge.Mqtt;

/// <summary>
/// Publishes what is due for clients that are gone: wills after their delay. Subscribers whose sessions are not durable get such a message
/// with the next sweep after its commit.
/// <para>Threads: any; one lock, taken before that of the sessions.</para>
/// </summary>
internal sealed class BrokerPublisher(MqttContext broker) : ICommitListener
{
    /// <summary>Messages that wait for their commit, at most; beyond it they are only stored.</summary>
    private const int MaxWaiting = 1000;

    private readonly Lock _lock = new();
    private readonly Queue<PendingAck> _waiting = new();
    private readonly Matches _matches = new();

    /// <summary>Publishes the will of a session that has ended.</summary>
    public void Publish(DueWill due)
    {
        lock (_lock)
        {
            PublishLocked(due);
        }
    }

    /// <summary>Publishes a will whose delay is over, if its client has not come back.</summary>
    public void PublishDelayed(DueWill due)
    {
        lock (_lock)
        {
            if (broker.Sessions.IsStillDue(due))
            {
                PublishLocked(due);
            }
        }
    }

    /// <summary>Gives to subscribers what is committed.</summary>
    public void Sweep()
    {
        lock (_lock)
        {
            while (_waiting.TryPeek(out PendingAck first) && (first.IsReady || first.Stream!.IsLost))
            {
                _waiting.Dequeue();
                if (first.IsReady)
                {
                    broker.Delivery.Deliver(first.Local!, _matches);
                }
                else
                {
                    first.Local!.Release();
                }
            }
        }
    }

    /// <inheritdoc/>
    public void OnCommitted(ICommitStream stream)
    {
    }

    /// <inheritdoc/>
    public void OnLost(ICommitStream stream, string reason)
    {
    }

    private void PublishLocked(DueWill due)
    {
        // Of a client that is gone nobody has looked since what it may do has changed.
        if (!broker.Access.RightsOf(due.Session.User, due.Session.ClientId).MayPublish(due.Will.Topic))
        {
            broker.Metrics.PublishDenied();
            broker.Metrics.MessageDropped(MqttDropReason.Will);
            if (broker.DenialLines.TryPass(AccessDenial.Publish, out string note))
            {
                broker.Logger.MqttWillDenied(due.Session.ClientId, note);
            }
            broker.Sessions.WillPublished(due);
            return;
        }
        PublishPacket packet = PublishPacket.Of(due.Will);
        LocalMessage? local = broker.Subscriptions.HasMatch(packet.Topic) && _waiting.Count < MaxWaiting
            ? broker.Messages.Keep(due.Session, packet) : null;
        Publication published = broker.Sessions.Publish(due.Session, packet, ProtocolLevel.V5, local, broker.Ingest, this, _matches);
        if (published is not { Code: ReasonCode.Success })
        {
            local?.Release();
            broker.Metrics.MessageDropped(MqttDropReason.Will);
            broker.Logger.MqttWillNotStored(due.Session.ClientId, published.Code);
        }
        else if (local is not null)
        {
            _waiting.Enqueue(new PendingAck(published.Stream, published.Number, local, 0, ReasonCode.Success));
        }
        broker.Sessions.WillPublished(due);
    }
}
