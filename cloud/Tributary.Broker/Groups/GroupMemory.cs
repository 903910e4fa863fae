namespace Tributary.Broker.Groups;

/// <summary>
/// What all groups in this process hold, and may: members, assignments and offsets, about as they lie in memory. Whoever lets a group grow
/// claims first; afterwards each host says what its group holds really. Callable from any thread.
/// </summary>
/// <param name="most">Most bytes.</param>
public sealed class GroupMemory(long most)
{
    /// <summary>A group without anything.</summary>
    internal const long GroupBytes = 2048;

    /// <summary>An id that was handed out and not joined with yet.</summary>
    internal const long PendingIdBytes = 512;

    /// <summary>An offset, beside what its names and metadata take.</summary>
    private const long OffsetBytes = 96;

    private long _held;

    /// <summary>Bytes that groups hold.</summary>
    public long Held => Interlocked.Read(ref _held);

    /// <summary>Takes bytes if there is room for them.</summary>
    internal bool TryClaim(long bytes)
    {
        if (Interlocked.Add(ref _held, bytes) <= most)
        {
            return true;
        }
        Interlocked.Add(ref _held, -bytes);
        return false;
    }

    /// <summary>A group holds so many bytes more, or fewer, than was thought.</summary>
    internal void Correct(long change) => Interlocked.Add(ref _held, change);

    /// <summary>What offsets take in memory: their bytes as <see cref="GroupOptions.MaxOffsetBytes"/> counts, whose characters take two.</summary>
    internal static long OfOffsets(long bytes, int count) => (2 * bytes) + (OffsetBytes * count);
}

/// <summary>Groups hold as much as they may.</summary>
public sealed class GroupMemoryException(string group)
    : Exception($"group '{group}' is not loaded: all groups together hold as much as groups:maxTotalBytes allows");
