using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt;

/// <summary>A session's subscription. Immutable: subscribing to the same filter again makes another one.</summary>
/// <param name="session">Whose it is.</param>
/// <param name="filter">Topic filter.</param>
/// <param name="options">Options as asked for.</param>
/// <param name="identifier">Subscription identifier, 0 for none.</param>
internal sealed class Subscription(Session session, byte[] filter, SubscriptionOptions options, uint identifier)
{
    /// <summary>Highest QoS that is offered.</summary>
    public const int MaxQos = 1;

    public Session Session { get; } = session;

    public byte[] Filter { get; } = filter;

    /// <summary>Highest QoS of its messages.</summary>
    public int Qos { get; } = Math.Min(options.Qos, MaxQos);

    /// <summary>Whether the session's own messages are left out.</summary>
    public bool NoLocal { get; } = options.NoLocal;

    /// <summary>Whether messages keep their retain flag.</summary>
    public bool RetainAsPublished { get; } = options.RetainAsPublished;

    /// <summary>Subscription identifier, 0 for none.</summary>
    public uint Identifier { get; } = identifier;
}
