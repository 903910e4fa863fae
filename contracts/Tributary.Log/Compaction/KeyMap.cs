namespace Tributary.Log.Compaction;

/// <summary>
/// The last offset of each key, by the key's hash: open addressing in one array whose size never passes what was allowed, whatever the
/// number of keys. What doesn't fit waits for the next pass. Used by one thread.
/// </summary>
internal sealed class KeyMap(long maxBytes)
{
    private const int EntryWords = 3;

    /// <summary>Bytes of a slot.</summary>
    public const int EntryBytes = EntryWords * sizeof(ulong);
    private const int SmallestSlots = 16;

    // A slot: hash, hash, offset + 1; the last is 0 in a free one.
    private ulong[] _entries = [];
    private SipHash _hash;
    private int _slots;

    /// <summary>Bytes that are held.</summary>
    public long Bytes => (long)_entries.Length * sizeof(ulong);

    /// <summary>Keys in it.</summary>
    public int Count { get; private set; }

    /// <summary>Most keys that it takes.</summary>
    public int Capacity { get; private set; }

    /// <summary>Empties it and makes room for so many keys, or for as many as the memory that is allowed holds.</summary>
    public void Begin(long keys)
    {
        long most = Math.Min(Math.Max(maxBytes / EntryBytes, 2), Array.MaxLength / EntryWords);
        _slots = (int)Math.Min(most, Math.Max(SmallestSlots, keys + (keys / 3) + 1));
        if (_entries.Length < _slots * EntryWords)
        {
            _entries = new ulong[_slots * EntryWords];
        }
        else
        {
            _entries.AsSpan(0, _slots * EntryWords).Clear();
        }
        Count = 0;
        Capacity = Math.Max(1, (int)(_slots * 3L / 4)); // beyond, a look takes long
        _hash = SipHash.Random();
    }

    /// <summary>Gives the memory back.</summary>
    public void Release() => (_entries, _slots, Count, Capacity) = ([], 0, 0, 0);

    /// <summary>Takes note that the key was last written at an offset, above all offsets before.</summary>
    /// <returns>False if it is full and doesn't know the key.</returns>
    public bool TryPut(ReadOnlySpan<byte> key, long offset)
    {
        Span<ulong> slot = Find(key, out KeyHash hash);
        if (slot[2] == 0)
        {
            if (Count == Capacity)
            {
                return false;
            }
            Count++;
            (slot[0], slot[1]) = (hash.High, hash.Low);
        }
        slot[2] = (ulong)offset + 1;
        return true;
    }

    /// <summary>The last offset of the key, −1 if there is none.</summary>
    public long Get(ReadOnlySpan<byte> key) => Count == 0 ? -1 : (long)Find(key, out _)[2] - 1;

    /// <summary>The slot of a key, or the free one that it would get.</summary>
    private Span<ulong> Find(ReadOnlySpan<byte> key, out KeyHash hash)
    {
        hash = _hash.Hash(key);
        int at = (int)Math.BigMul(hash.High, (ulong)_slots, out _);
        while (true)
        {
            Span<ulong> slot = _entries.AsSpan(at * EntryWords, EntryWords);
            if (slot[2] == 0 || (slot[0] == hash.High && slot[1] == hash.Low))
            {
                return slot;
            }
            at = at + 1 == _slots ? 0 : at + 1;
        }
    }
}
