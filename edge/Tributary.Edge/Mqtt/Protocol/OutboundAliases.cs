using Tributary.Edge.Ingest;

namespace Tributary.Edge.Mqtt.Protocol;

/// <summary>
/// The topic aliases that a subscriber was told in one connection (MQTT 5, 3.3.2.3.4): the topics that it gets most have one. A topic may
/// have one of a few aliases, by its hash; one that comes often takes an alias from one that comes no more.
/// <para>Used by the sending side of the connection; it allocates nothing but memory for topics, within the limit of their length.</para>
/// </summary>
internal sealed class OutboundAliases
{
    /// <summary>Bytes of the property: a topic that is no longer costs less without.</summary>
    public const int PropertyBytes = 3;

    /// <summary>Aliases that a topic may have.</summary>
    private const int Ways = 4;

    /// <summary>Uses that are counted: messages of other topics that an alias outlives.</summary>
    private const int MaxUses = 64;

    private readonly int _maximum;
    private readonly int _sets;
    private Slot[] _slots = [];

    /// <param name="maximum">Highest alias, at least 1.</param>
    public OutboundAliases(int maximum)
    {
        _maximum = maximum;
        _sets = Math.Max(1, maximum / Ways);
    }

    /// <summary>The alias that a message is sent with.</summary>
    /// <param name="topic">Its topic.</param>
    /// <param name="isKnown">Whether the subscriber knows that it stands for the topic; if not, <see cref="Set"/> follows.</param>
    /// <returns>0 for none.</returns>
    public ushort Find(ReadOnlySpan<byte> topic, out bool isKnown)
    {
        isKnown = false;
        if (topic.Length <= PropertyBytes)
        {
            return 0;
        }
        if (_slots.Length == 0)
        {
            _slots = new Slot[_maximum];
        }
        int hash = TopicComparer.Instance.GetHashCode(topic);
        int first = (int)((uint)hash % (uint)_sets) * Ways;
        int least = first;
        for (int at = first; at < Math.Min(first + Ways, _slots.Length); at++)
        {
            ref Slot slot = ref _slots[at];
            if (slot.Hash == hash && topic.SequenceEqual(slot.Topic.AsSpan(0, slot.Length)))
            {
                slot.Uses = Math.Min(MaxUses, slot.Uses + 1);
                isKnown = true;
                return (ushort)(at + 1);
            }
            least = slot.Uses < _slots[least].Uses ? at : least;
        }
        if (_slots[least].Uses > 0)
        {
            _slots[least].Uses--;
            return 0;
        }
        return (ushort)(least + 1);
    }

    /// <summary>The subscriber was told that an alias stands for a topic.</summary>
    public void Set(ushort alias, ReadOnlySpan<byte> topic)
    {
        ref Slot slot = ref _slots[alias - 1];
        if (slot.Topic is null || slot.Topic.Length < topic.Length)
        {
            slot.Topic = new byte[topic.Length];
        }
        topic.CopyTo(slot.Topic);
        (slot.Length, slot.Hash, slot.Uses) = (topic.Length, TopicComparer.Instance.GetHashCode(topic), 1);
    }

    private struct Slot
    {
        public byte[]? Topic;
        public int Length;
        public int Hash;
        public int Uses;
    }
}
