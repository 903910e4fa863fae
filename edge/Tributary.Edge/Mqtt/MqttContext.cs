using Microsoft.Extensions.Logging;
using Tributary.Contracts.Limits;
using Tributary.Edge.Access;
using Tributary.Edge.Ingest;

namespace Tributary.Edge.Mqtt;

/// <summary>What all connections share.</summary>
internal sealed class MqttContext
{
    public MqttContext(MqttOptions options, IIngest ingest, IAccess access, TimeProvider time, MqttMetrics metrics, ILogger logger)
    {
        Options = options;
        Ingest = ingest;
        Access = access;
        Time = time;
        Metrics = metrics;
        Logger = logger;
        Lines = new LineLimit<MqttCloseReason>(time);
        DenialLines = new LineLimit<AccessDenial>(time);
        Messages = new LocalMessages(options, metrics, time);
        Delivery = new LocalDelivery(Subscriptions, metrics);
    }

    public MqttOptions Options { get; }

    public IIngest Ingest { get; }

    /// <summary>Who may come in, and what they may do.</summary>
    public IAccess Access { get; }

    public TimeProvider Time { get; }

    public MqttMetrics Metrics { get; }

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

    /// <summary>Sessions by client identifier.</summary>
    public SessionRegistry Sessions { get; } = new();

    /// <summary>All subscriptions.</summary>
    public SubscriptionTrie Subscriptions { get; } = new();

    /// <summary>Messages kept for subscribers.</summary>
    public LocalMessages Messages { get; }

    /// <summary>Gives them to subscribers.</summary>
    public LocalDelivery Delivery { get; }
}
