using System.Collections.Concurrent;

namespace Tributary.Edge.Ingest;

/// <summary>
/// What is known of MQTT topics, by their UTF-8 bytes, in bounded memory. Two generations: when the young one has half of the memory,
/// it becomes the old one and what was old is forgotten; a topic found in the old one moves to the young one. Finding a topic of the
/// young generation allocates nothing. Callable from any thread.
/// </summary>
internal sealed class TopicCache<T>(long maxBytes)
    where T : class
{
    /// <summary>What an entry takes beside its bytes, about: the table's node, the arrays' headers, the value.</summary>
    private const int EntryOverhead = 256;

    private readonly Lock _lock = new();
    private volatile Generation _young = new();
    private volatile Generation _old = new();
    private long _youngBytes;

    /// <summary>What was added for <paramref name="topic"/>, null if that is forgotten.</summary>
    public T? Find(ReadOnlySpan<byte> topic)
    {
        if (_young.Lookup.TryGetValue(topic, out Entry found))
        {
            return found.Value;
        }
        if (_old.Lookup.TryGetValue(topic, out found))
        {
            return Add(topic, found.Value, found.Bytes);
        }
        return null;
    }

    /// <summary>Keeps <paramref name="value"/> for a while.</summary>
    /// <param name="topic">The topic, which is copied.</param>
    /// <param name="value">What is known of it.</param>
    /// <param name="bytes">Bytes that the value holds.</param>
    /// <returns>What is kept: another value, if somebody was faster.</returns>
    public T Add(ReadOnlySpan<byte> topic, T value, int bytes)
    {
        long size = EntryOverhead + topic.Length + bytes;
        if (size > maxBytes / 2)
        {
            return value;
        }
        lock (_lock)
        {
            if (_youngBytes + size > maxBytes / 2)
            {
                _old = _young;
                _young = new Generation();
                _youngBytes = 0;
            }
            if (_young.Entries.TryAdd(topic.ToArray(), new Entry(value, bytes)))
            {
                _youngBytes += size;
                return value;
            }
            return _young.Lookup[topic].Value;
        }
    }

    private readonly record struct Entry(T Value, int Bytes);

    private sealed class Generation
    {
        public Generation()
        {
            Entries = new(TopicComparer.Instance);
            Lookup = Entries.GetAlternateLookup<ReadOnlySpan<byte>>();
        }

        public ConcurrentDictionary<byte[], Entry> Entries { get; }

        public ConcurrentDictionary<byte[], Entry>.AlternateLookup<ReadOnlySpan<byte>> Lookup { get; }
    }
}

/// <summary>Compares topics by their bytes. The hash is seeded by the process, so nobody can choose topics that collide.</summary>
internal sealed class TopicComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
{
    public static readonly TopicComparer Instance = new();

    public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

    public int GetHashCode(byte[] topic) => GetHashCode(topic.AsSpan());

    public bool Equals(ReadOnlySpan<byte> topic, byte[] other) => topic.SequenceEqual(other);

    public int GetHashCode(ReadOnlySpan<byte> topic)
    {
        var hash = new HashCode();
        hash.AddBytes(topic);
        return hash.ToHashCode();
    }

    public byte[] Create(ReadOnlySpan<byte> topic) => topic.ToArray();
}
