using System.Collections.Concurrent;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt;

/// <summary>
/// What belongs to a client rather than to its connection: identifier, subscriptions, messages on their way out. It ends with the
/// connection, until sessions are durable.
/// <para>Threads: subscriptions are changed by the connection's reading side only; the rest as said there.</para>
/// </summary>
internal sealed class Session
{
    private static long _numbers;
    private readonly Dictionary<byte[], Subscription> _subscriptions = new(TopicComparer.Instance);
    private readonly SubscriptionTrie _trie;
    private readonly MqttMetrics _metrics;

    /// <param name="connection">The client's connection.</param>
    /// <param name="ingest">What ingest knows of the client.</param>
    /// <param name="outbound">Messages on their way out.</param>
    /// <param name="trie">Everybody's subscriptions.</param>
    /// <param name="metrics">What is counted.</param>
    public Session(MqttConnection connection, IngestClient ingest, OutboundQueue outbound, SubscriptionTrie trie, MqttMetrics metrics)
    {
        Connection = connection;
        Ingest = ingest;
        Outbound = outbound;
        _trie = trie;
        _metrics = metrics;
    }

    /// <summary>A number of its own in this process.</summary>
    public long Number { get; } = Interlocked.Increment(ref _numbers);

    /// <summary>Client identifier.</summary>
    public string ClientId => Ingest.ClientId;

    public MqttConnection Connection { get; }

    public IngestClient Ingest { get; }

    public OutboundQueue Outbound { get; }

    /// <summary>Subscriptions of the client.</summary>
    public int SubscriptionCount => _subscriptions.Count;

    /// <summary>The filters that the client subscribed to. For the reading side.</summary>
    public IReadOnlyCollection<byte[]> Filters => _subscriptions.Keys;

    /// <summary>Whether the client subscribed to this filter.</summary>
    public bool HasSubscription(ReadOnlySpan<byte> filter) =>
        _subscriptions.GetAlternateLookup<ReadOnlySpan<byte>>().ContainsKey(filter);

    /// <summary>Subscribes, in place of an earlier subscription to the same filter.</summary>
    public void Subscribe(ReadOnlySpan<byte> filter, SubscriptionOptions options, uint identifier)
    {
        var subscription = new Subscription(this, filter.ToArray(), options, identifier);
        _subscriptions[subscription.Filter] = subscription;
        if (_trie.Add(subscription))
        {
            _metrics.SubscriptionsChanged(1, SubscriptionTrie.CostOf(filter));
        }
    }

    /// <returns>Whether there was a subscription.</returns>
    public bool Unsubscribe(ReadOnlySpan<byte> filter)
    {
        if (!_subscriptions.GetAlternateLookup<ReadOnlySpan<byte>>().Remove(filter))
        {
            return false;
        }
        _trie.Remove(this, filter);
        _metrics.SubscriptionsChanged(-1, -SubscriptionTrie.CostOf(filter));
        return true;
    }

    /// <summary>Removes all subscriptions and drops what waits for the client.</summary>
    public void End()
    {
        foreach (byte[] filter in _subscriptions.Keys)
        {
            _trie.Remove(this, filter);
            _metrics.SubscriptionsChanged(-1, -SubscriptionTrie.CostOf(filter));
        }
        _subscriptions.Clear();
        Outbound.End();
    }
}

/// <summary>The sessions by client identifier. Callable from any thread.</summary>
internal sealed class SessionRegistry
{
    private readonly ConcurrentDictionary<string, Session> _sessions = new(StringComparer.Ordinal);

    /// <summary>Makes <paramref name="session"/> the one of its client.</summary>
    /// <param name="session">The session.</param>
    /// <param name="former">The one that it takes over from, null if there is none. The caller closes that one's connection.</param>
    /// <returns>False if another user is connected by that identifier: nobody throws out whom they are not.</returns>
    public bool TryAttach(Session session, out Session? former)
    {
        while (true)
        {
            if (_sessions.TryGetValue(session.ClientId, out former))
            {
                if (former.Connection.User != session.Connection.User)
                {
                    return false;
                }
                if (_sessions.TryUpdate(session.ClientId, session, former))
                {
                    return true;
                }
            }
            else if (_sessions.TryAdd(session.ClientId, session))
            {
                return true;
            }
        }
    }

    /// <summary>Forgets a session, if another one has not taken over already.</summary>
    public void Detach(Session session) => _sessions.TryRemove(new KeyValuePair<string, Session>(session.ClientId, session));
}
