using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>A topic's retained message. Immutable, apart from the copy that is on its way; used under the lock of the sessions.</summary>
/// <param name="Topic">Topic name.</param>
/// <param name="Properties">Properties as published.</param>
/// <param name="Payload">Payload, not empty.</param>
/// <param name="Qos">QoS that it was published with.</param>
/// <param name="ArrivedAt">Stamp of its arrival.</param>
/// <param name="ReceivedAt">Timestamp of its arrival, in this process or as if.</param>
/// <param name="Offset">Offset of its journal entry: nobody gets it before that is durable; −1 for none.</param>
internal sealed record RetainedMessage(
    byte[] Topic, byte[] Properties, byte[] Payload, int Qos, long ArrivedAt, long ReceivedAt, long Offset)
{
    /// <summary>What one takes beside its bytes, about: this object, its arrays' headers, its node.</summary>
    private const int Overhead = 368;

    /// <summary>Bytes that it takes, about.</summary>
    public long Size => SizeOf(Topic.Length, Properties.Length + Payload.Length);

    /// <summary>Seconds after which it is not to be sent any more; null for never.</summary>
    public uint? Expiry { get; } = PublishPacket.ExpiryAtIn(Properties) is >= 0 and var at
        ? System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(Properties.AsSpan(at))
        : null;

    private LocalMessage? _sent;

    /// <summary>The message for one more subscriber: the same for all to whom it is on its way. The caller releases it.</summary>
    public LocalMessage Take(LocalMessages messages)
    {
        if (_sent?.TryShare() != true)
        {
            _sent = messages.Restore(Qos, Topic, Properties, Payload, ArrivedAt, isUsedAgain: false);
        }
        return _sent!;
    }

    /// <summary>Bytes that such a message takes, about.</summary>
    public static long SizeOf(int topicBytes, int otherBytes) => Overhead + (2L * topicBytes) + otherBytes;
}

/// <summary>
/// The retained messages by the levels of their topics, so that a new subscription visits what its filter can match and no more. Used
/// under the lock of the sessions.
/// </summary>
internal sealed class RetainedMessages(TimeProvider time)
{
    private readonly Node _root = new();

    /// <summary>All of them, in the order in which they were set.</summary>
    private readonly LinkedList<RetainedMessage> _all = [];

    /// <summary>The next one that <see cref="TryTakeNext"/> tells of.</summary>
    private LinkedListNode<RetainedMessage>? _next;

    /// <summary>Those that expire, by when, and some that were replaced since.</summary>
    private readonly PriorityQueue<RetainedMessage, long> _expiring = new();

    /// <summary>Topics that have one.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes that they take, about.</summary>
    public long Bytes { get; private set; }

    /// <summary>The topic's message, null for none.</summary>
    public RetainedMessage? Find(ReadOnlySpan<byte> topic)
    {
        Node? node = _root;
        for (bool more = true; more && node is not null;)
        {
            node = node.Find(TopicRules.NextLevel(ref topic, out more));
        }
        return node?.Message;
    }

    /// <summary>Makes a message the one of its topic.</summary>
    public void Set(RetainedMessage message)
    {
        Remove(message.Topic);
        Node node = _root;
        ReadOnlySpan<byte> rest = message.Topic;
        for (bool more = true; more;)
        {
            node = node.GetOrAdd(TopicRules.NextLevel(ref rest, out more));
        }
        node.Entry = _all.AddLast(message);
        Count++;
        Bytes += message.Size;
        if (message.Expiry is not null)
        {
            AddExpiring(message);
        }
    }

    /// <summary>Forgets those whose time is over.</summary>
    public void RemoveExpired()
    {
        long now = time.GetTimestamp();
        while (_expiring.TryPeek(out RetainedMessage? message, out long end) && end < now)
        {
            _expiring.Dequeue();
            if (ReferenceEquals(Find(message.Topic), message))
            {
                Remove(message.Topic);
            }
        }
    }

    /// <summary>The topic has none any more.</summary>
    /// <returns>Whether it had one.</returns>
    public bool Remove(ReadOnlySpan<byte> topic) => Remove(_root, topic, more: true);

    /// <summary>Forgets all.</summary>
    public void Clear()
    {
        _root.Clear();
        _all.Clear();
        _next = null;
        _expiring.Clear();
        (Count, Bytes) = (0, 0);
    }

    /// <summary>All messages whose topic the filter matches, in no order.</summary>
    public List<RetainedMessage> Match(ReadOnlySpan<byte> filter)
    {
        var found = new List<RetainedMessage>();
        if (Count > 0)
        {
            Match(_root, filter, more: true, isFirst: true, found);
        }
        return found;
    }

    /// <summary>Begins to go through all of them, which <see cref="TryTakeNext"/> does.</summary>
    public void BeginTaking() => _next = _all.First;

    /// <summary>
    /// The next one, whatever has changed since the last. One goes through them at a time.
    /// </summary>
    /// <param name="end">Offset of a journal entry: none is told of that one or a later one, so that this ends.</param>
    /// <param name="message">The message.</param>
    /// <returns>False if there are no more.</returns>
    public bool TryTakeNext(long end, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out RetainedMessage? message)
    {
        message = _next?.Value;
        if (message is null || message.Offset >= end)
        {
            _next = null;
            return false;
        }
        _next = _next!.Next;
        return true;
    }

    private void AddExpiring(RetainedMessage message)
    {
        // Topics whose message is replaced often must not fill it.
        if (_expiring.Count > 64 + (2 * Count))
        {
            _expiring.Clear();
            _expiring.EnqueueRange(_all.Where(static other => other.Expiry is not null).Select(other => (other, EndOf(other))));
            return;
        }
        _expiring.Enqueue(message, EndOf(message));
    }

    private long EndOf(RetainedMessage message) => message.ReceivedAt + (message.Expiry!.Value * time.TimestampFrequency);

    private static void Match(Node node, ReadOnlySpan<byte> rest, bool more, bool isFirst, List<RetainedMessage> found)
    {
        if (!more)
        {
            if (node.Message is { } message)
            {
                found.Add(message);
            }
            return;
        }
        ReadOnlySpan<byte> level = TopicRules.NextLevel(ref rest, out more);
        switch (level)
        {
            case [TopicRules.MultiLevel]:
                AddAll(node, isFirst, found);
                break;
            case [TopicRules.SingleLevel]:
                foreach ((byte[] name, Node child) in node.Children)
                {
                    if (!(isFirst && IsReserved(name)))
                    {
                        Match(child, rest, more, isFirst: false, found);
                    }
                }
                break;
            default:
                if (node.Find(level) is { } same)
                {
                    Match(same, rest, more, isFirst: false, found);
                }
                break;
        }
    }

    /// <summary>The node's message and all below it: "a/#" matches "a" too.</summary>
    private static void AddAll(Node node, bool isFirst, List<RetainedMessage> found)
    {
        if (node.Message is { } message)
        {
            found.Add(message);
        }
        foreach ((byte[] name, Node child) in node.Children)
        {
            if (!(isFirst && IsReserved(name)))
            {
                AddAll(child, isFirst: false, found);
            }
        }
    }

    private static bool IsReserved(byte[] name) => name is [TopicRules.Reserved, ..];

    private bool Remove(Node node, ReadOnlySpan<byte> rest, bool more)
    {
        if (!more)
        {
            if (node.Entry is not { } entry)
            {
                return false;
            }
            node.Entry = null;
            _next = ReferenceEquals(_next, entry) ? entry.Next : _next;
            _all.Remove(entry);
            Count--;
            Bytes -= entry.Value.Size;
            return true;
        }
        ReadOnlySpan<byte> level = TopicRules.NextLevel(ref rest, out more);
        if (node.Find(level) is not { } child || !Remove(child, rest, more))
        {
            return false;
        }
        if (child.IsEmpty)
        {
            node.Remove(level);
        }
        return true;
    }

    private sealed class Node
    {
        private static readonly Dictionary<byte[], Node> None = [];
        private Dictionary<byte[], Node>? _children;

        /// <summary>Where the message of the topic that ends here stands, null if it has none.</summary>
        public LinkedListNode<RetainedMessage>? Entry { get; set; }

        public RetainedMessage? Message => Entry?.Value;

        public Dictionary<byte[], Node> Children => _children ?? None;

        public bool IsEmpty => Entry is null && Children.Count == 0;

        public Node? Find(ReadOnlySpan<byte> level) =>
            _children is not null && _children.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(level, out Node? child) ? child : null;

        public Node GetOrAdd(ReadOnlySpan<byte> level)
        {
            if (Find(level) is { } child)
            {
                return child;
            }
            child = new Node();
            (_children ??= new Dictionary<byte[], Node>(TopicComparer.Instance)).Add(level.ToArray(), child);
            return child;
        }

        public void Remove(ReadOnlySpan<byte> level) => _children!.GetAlternateLookup<ReadOnlySpan<byte>>().Remove(level);

        public void Clear()
        {
            _children = null;
            Entry = null;
        }
    }
}
