using Microsoft.Extensions.Logging;
using Tributary.Contracts.Limits;
using Tributary.Edge.Access;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Sessions;

namespace Tributary.Edge.Mqtt;

/// <summary>What all connections share.</summary>
internal sealed class MqttContext
{
    public MqttContext(MqttOptions options, IIngest ingest, SessionStore sessions, IAccess access, TimeProvider time, ILogger logger)
    {
        Options = options;
        Ingest = ingest;
        Access = access;
        Time = time;
        Sessions = sessions;
        Logger = logger;
        Lines = new LineLimit<MqttCloseReason>(time);
        DenialLines = new LineLimit<AccessDenial>(time);
        Publisher = new BrokerPublisher(this);
    }

    public MqttOptions Options { get; }

    public IIngest Ingest { get; }

    /// <summary>Who may come in, and what they may do.</summary>
    public IAccess Access { get; }

    public TimeProvider Time { get; }

    public MqttMetrics Metrics => Sessions.Metrics;

    public ILogger Logger { get; }

    /// <summary>Keeps clients from filling the log.</summary>
    public LineLimit<MqttCloseReason> Lines { get; }

    /// <inheritdoc cref="Lines"/>
    public LineLimit<AccessDenial> DenialLines { get; }

    /// <summary>Counts bytes that a client makes the broker keep, if they may be kept.</summary>
    public bool TryKeep(long bytes)
    {
        if (Metrics.ClientMemory(bytes) <= Options.MaxClientBytes)
        {
            return true;
        }
        Metrics.ClientMemory(-bytes);
        return false;
    }

    /// <summary>Connections by client identifier.</summary>
    public ConnectionRegistry Connections { get; } = new();

    /// <summary>Sessions and retained messages.</summary>
    public SessionStore Sessions { get; }

    /// <summary>All subscriptions.</summary>
    public SubscriptionTrie Subscriptions => Sessions.Subscriptions;

    /// <summary>Messages kept for subscribers.</summary>
    public LocalMessages Messages => Sessions.Messages;

    /// <summary>Gives them to subscribers.</summary>
    public LocalDelivery Delivery => Sessions.Delivery;

    /// <summary>Publishes for clients that are gone.</summary>
    public BrokerPublisher Publisher { get; }
}
