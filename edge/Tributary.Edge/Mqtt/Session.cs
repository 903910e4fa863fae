using System.Collections.Concurrent;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;

namespace Tributary.Edge.Mqtt;

/// <summary>What a session sees of the connection that it has.</summary>
internal interface ISessionConnection
{
    /// <summary>There is something to send.</summary>
    void Wake();

    /// <summary>Ends the connection. The first call counts.</summary>
    void Close(MqttCloseReason reason, ReasonCode code, string? text);
}

/// <summary>
/// What belongs to a client rather than to its connection: identifier, subscriptions, messages on their way out, QoS 2 messages that are
/// not released, the will. A durable one outlives its connections and the process: whatever is changed in it is written to the journal
/// first, by <see cref="SessionStore"/>; the other ones end with their connection.
/// <para>Threads: a durable one is changed under the lock of the sessions; another one by the connection's reading side only; the rest as
/// said there.</para>
/// </summary>
internal sealed class Session : ICommitListener
{
    private readonly Dictionary<byte[], Subscription> _subscriptions = new(TopicComparer.Instance);
    private readonly SubscriptionTrie _trie;
    private readonly MqttMetrics _metrics;
    private volatile ISessionConnection? _connection;
    private BothConnections? _listener;
    private Will? _will;

    /// <param name="number">Number: above 0 of a durable session, where it is never given again; below 0 of another one.</param>
    /// <param name="ingest">What ingest knows of the client.</param>
    /// <param name="outbound">Messages on their way out.</param>
    /// <param name="trie">Everybody's subscriptions.</param>
    /// <param name="metrics">What is counted.</param>
    public Session(long number, IngestClient ingest, OutboundQueue outbound, SubscriptionTrie trie, MqttMetrics metrics)
    {
        Number = number;
        Ingest = ingest;
        Outbound = outbound;
        _trie = trie;
        _metrics = metrics;
    }

    public long Number { get; }

    /// <summary>Whether it outlives its connection and the process.</summary>
    public bool IsDurable => Number > 0;

    /// <summary>Client identifier.</summary>
    public string ClientId => Ingest.ClientId;

    /// <summary>The connection, null while there is none.</summary>
    public ISessionConnection? Connection
    {
        get => _connection;
        set => _connection = value;
    }

    public IngestClient Ingest { get; }

    public OutboundQueue Outbound { get; }

    /// <summary>QoS 2 messages that are not released.</summary>
    public Receipts Receipts { get; } = new();

    /// <summary>Seconds that it lives without a connection; <see cref="uint.MaxValue"/>: for ever.</summary>
    public uint Expiry { get; set; }

    /// <summary>Offset of the last entry that changed it, apart from messages; −1 for none in this life.</summary>
    public long LastChange { get; set; } = -1;

    /// <summary>
    /// Offset of the first journal entry that it does not reflect yet, of one read from a snapshot: those before it, which others need, do
    /// nothing to it. 0 otherwise.
    /// </summary>
    public long ReflectsUpTo { get; set; }

    /// <summary>How many retained messages new subscriptions have brought it.</summary>
    public long RetainedGiven { get; set; }

    /// <summary>Timestamp since which it has no connection, in this process: a will's delay counts from there.</summary>
    public long AbsentSince { get; set; }

    /// <summary>Timestamp from which its expiry counts: the same, or before this process began.</summary>
    public long ExpiresFrom { get; set; }

    /// <summary>Stamp since which it has no connection as is stored; 0 if it has one, or nobody can tell.</summary>
    public long LeftAt { get; set; }

    /// <summary>Whose it is; null of an anonymous client. Of a durable session only.</summary>
    public string? User { get; init; }

    /// <summary>What is published when its connection ends; of a durable session only. Its memory counts as a client's.</summary>
    public Will? Will
    {
        get => _will;
        set
        {
            _metrics.ClientMemory((value?.Size ?? 0) - (_will?.Size ?? 0));
            _will = value;
        }
    }

    /// <summary>Whether the will is to be published, after its delay.</summary>
    public bool IsWillDue { get; set; }

    /// <summary>Whether it publishes with QoS 2, so that topics are searched for what it has published after a crash.</summary>
    public bool UsesReceipts { get; set; }

    /// <summary>Offset of the journal's entry that says so: nothing may be taken before it is durable.</summary>
    public long ReceiptsSince { get; set; }

    /// <summary>Subscriptions of the client.</summary>
    public int SubscriptionCount => _subscriptions.Count;

    /// <summary>Subscriptions of the client.</summary>
    public IReadOnlyCollection<Subscription> Subscriptions => _subscriptions.Values;

    /// <summary>Whether the client subscribed to this filter.</summary>
    public bool HasSubscription(ReadOnlySpan<byte> filter) =>
        _subscriptions.GetAlternateLookup<ReadOnlySpan<byte>>().ContainsKey(filter);

    /// <summary>Subscribes, in place of an earlier subscription to the same filter.</summary>
    public Subscription Subscribe(ReadOnlySpan<byte> filter, SubscriptionOptions options, uint identifier)
    {
        var subscription = new Subscription(this, filter.ToArray(), options, identifier);
        bool isNew = !_subscriptions.Remove(subscription.Key);
        _subscriptions[subscription.Key] = subscription;
        _trie.Add(subscription);
        if (isNew)
        {
            _metrics.SubscriptionsChanged(1, SubscriptionTrie.CostOf(filter));
        }
        return subscription;
    }

    /// <returns>Whether there was a subscription.</returns>
    public bool Unsubscribe(ReadOnlySpan<byte> filter)
    {
        if (!_subscriptions.GetAlternateLookup<ReadOnlySpan<byte>>().Remove(filter, out _, out Subscription? subscription))
        {
            return false;
        }
        Forget(subscription);
        return true;
    }

    /// <summary>Removes all subscriptions and drops what waits for the client.</summary>
    public void End()
    {
        foreach (Subscription subscription in _subscriptions.Values)
        {
            Forget(subscription);
        }
        _subscriptions.Clear();
        Will = null;
        Outbound.End();
    }

    /// <inheritdoc/>
    public void OnCommitted(ICommitStream stream) => Connection?.Wake();

    /// <inheritdoc/>
    public void OnLost(ICommitStream stream, string reason) => Connection?.Close(
        MqttCloseReason.MessagesLost, ReasonCode.Unspecified, $"what was sent could not be stored: {reason}");

    /// <summary>
    /// Who hears of a QoS 2 message that came by a connection: that one, which may have its subscribers' copy even after its end, and the
    /// one that the session has by then, by which the message may have come again.
    /// </summary>
    public ICommitListener ListenerOf(ICommitListener connection)
    {
        if (!ReferenceEquals(_listener?.First, connection))
        {
            _listener = new BothConnections(this, connection);
        }
        return _listener;
    }

    private void Forget(Subscription subscription)
    {
        _trie.Remove(subscription);
        _metrics.SubscriptionsChanged(-1, -SubscriptionTrie.CostOf(subscription.Key));
    }

    private sealed class BothConnections(Session session, ICommitListener first) : ICommitListener
    {
        public ICommitListener First { get; } = first;

        public void OnCommitted(ICommitStream stream)
        {
            First.OnCommitted(stream);
            if (!ReferenceEquals(session.Connection, First))
            {
                session.OnCommitted(stream);
            }
        }

        public void OnLost(ICommitStream stream, string reason)
        {
            First.OnLost(stream, reason);
            if (!ReferenceEquals(session.Connection, First))
            {
                session.OnLost(stream, reason);
            }
        }
    }
}

/// <summary>The connections by client identifier. Callable from any thread.</summary>
internal sealed class ConnectionRegistry
{
    private readonly ConcurrentDictionary<string, MqttConnection> _connections = new(StringComparer.Ordinal);

    /// <summary>Makes <paramref name="connection"/> the one of the client.</summary>
    /// <param name="clientId">Client identifier.</param>
    /// <param name="connection">The connection.</param>
    /// <param name="former">The one that it takes over from, null if there is none. The caller closes that one.</param>
    /// <returns>False if another user is connected by that identifier: nobody throws out whom they are not.</returns>
    public bool TryAttach(string clientId, MqttConnection connection, out MqttConnection? former)
    {
        while (true)
        {
            if (_connections.TryGetValue(clientId, out former))
            {
                if (former.User != connection.User)
                {
                    return false;
                }
                if (_connections.TryUpdate(clientId, connection, former))
                {
                    return true;
                }
            }
            else if (_connections.TryAdd(clientId, connection))
            {
                return true;
            }
        }
    }

    /// <summary>Forgets a connection, if another one has not taken over already.</summary>
    public void Detach(string clientId, MqttConnection connection) =>
        _connections.TryRemove(new KeyValuePair<string, MqttConnection>(clientId, connection));
}
