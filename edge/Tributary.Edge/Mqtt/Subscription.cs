using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt;

/// <summary>A session's subscription. Immutable: subscribing to the same filter again makes another one.</summary>
internal sealed class Subscription
{
    private const int SharePrefixLength = 7; // "$share/"

    /// <param name="session">Whose it is.</param>
    /// <param name="key">Topic filter as subscribed to, with the name of a shared subscription before it.</param>
    /// <param name="options">Options as asked for.</param>
    /// <param name="identifier">Subscription identifier, 0 for none.</param>
    public Subscription(Session session, byte[] key, SubscriptionOptions options, uint identifier)
    {
        Session = session;
        Key = key;
        Options = options;
        Identifier = identifier;
        IsShared = TopicRules.IsShared(key) && GroupLength(key) > 0;
        Filter = IsShared ? key[(SharePrefixLength + GroupLength(key) + 1)..] : key;
        Group = IsShared ? key[SharePrefixLength..(SharePrefixLength + GroupLength(key))] : [];
    }

    public Session Session { get; }

    /// <summary>What was subscribed to, whole.</summary>
    public byte[] Key { get; }

    /// <summary>The topic filter.</summary>
    public byte[] Filter { get; }

    /// <summary>Whether each message goes to one of those who share the subscription (MQTT 5, 4.8.2).</summary>
    public bool IsShared { get; }

    /// <summary>The name that it is shared by.</summary>
    public byte[] Group { get; }

    /// <summary>Options as asked for.</summary>
    public SubscriptionOptions Options { get; }

    /// <summary>Highest QoS of its messages.</summary>
    public int Qos => Options.Qos;

    /// <summary>Whether the session's own messages are left out.</summary>
    public bool NoLocal => Options.NoLocal;

    /// <summary>Whether messages keep their retain flag.</summary>
    public bool RetainAsPublished => Options.RetainAsPublished;

    /// <summary>Subscription identifier, 0 for none.</summary>
    public uint Identifier { get; }

    /// <summary>Whether its messages have to be in the journal.</summary>
    public bool IsDurable => Session.IsDurable && Qos > 0;

    /// <summary>Whether a shared subscription has a name, and a filter after it [MQTT-4.8.2-1, MQTT-4.8.2-2].</summary>
    public static bool IsSharedFilter(ReadOnlySpan<byte> key)
    {
        ReadOnlySpan<byte> rest = key[SharePrefixLength..];
        int end = rest.IndexOf(TopicRules.Separator);
        return end > 0 && rest[..end].IndexOfAny(TopicRules.SingleLevel, TopicRules.MultiLevel) < 0 && TopicRules.IsFilter(rest[(end + 1)..]);
    }

    /// <summary>The topic filter of a subscription, without the name that it is shared by.</summary>
    public static ReadOnlySpan<byte> FilterOf(ReadOnlySpan<byte> key) =>
        TopicRules.IsShared(key) ? key[(SharePrefixLength + GroupLength(key) + 1)..] : key;

    private static int GroupLength(ReadOnlySpan<byte> key) => key[SharePrefixLength..].IndexOf(TopicRules.Separator);
}

/// <summary>Those who share a subscription. Members change under the lock of the subscriptions; messages are shared out by any thread.</summary>
internal sealed class SharedGroup(byte[] name)
{
    private volatile Subscription[] _members = [];
    private uint _turn;

    public byte[] Name { get; } = name;

    public Subscription[] Members
    {
        get => _members;
        set => _members = value;
    }

    /// <summary>
    /// Whose turn it is, and who is next if that one has no room: members that are connected, then those that are not and for whom it is
    /// stored. A message of QoS 0 is for nobody who is not connected, nor is any for a member that has asked for QoS 0.
    /// </summary>
    /// <param name="qos">QoS that the message was published with.</param>
    /// <param name="except">One that does not get it.</param>
    public Turns InTurn(int qos, Session? except = null) => new(_members, Interlocked.Increment(ref _turn), qos > 0, except);

    /// <summary>Members in their order.</summary>
    internal ref struct Turns(Subscription[] members, uint turn, bool mayBeStored, Session? except)
    {
        private int _at = -1;

        public Subscription Current { get; private set; } = null!;

        public readonly Turns GetEnumerator() => this;

        public bool MoveNext()
        {
            // Twice round: those that are connected, and the others.
            while (++_at < 2 * members.Length)
            {
                Subscription member = members[(int)((turn + (uint)_at) % (uint)members.Length)];
                bool isConnected = member.Session.Connection is not null;
                bool isNext = _at < members.Length ? isConnected : !isConnected && mayBeStored && member.IsDurable;
                if (isNext && !ReferenceEquals(member.Session, except))
                {
                    Current = member;
                    return true;
                }
            }
            return false;
        }
    }
}
