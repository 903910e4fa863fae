namespace Tributary.Edge.Uplink;

/// <summary>
/// How much of the log goes into a round: as much as the link carries in a fraction of the time that a request has. It begins small and
/// doubles while rounds that fill it are answered fast; it shrinks when they are slow, and more when a round in flight was lost, so that
/// a link of a few kilobytes a second carries rounds that are answered at all. One thread at a time.
/// </summary>
/// <param name="most">Most bytes of a round.</param>
/// <param name="timeout">Time after which a round in flight is given up.</param>
internal sealed class RoundSize(int most, TimeSpan timeout)
{
    private const int First = 256 << 10;
    private const int Least = 16 << 10;
    private readonly TimeSpan _fast = timeout / 16;
    private readonly TimeSpan _slow = timeout / 4;

    /// <summary>Most bytes of the next round.</summary>
    public int Bytes { get; private set; } = Math.Min(First, most);

    /// <summary>Whether the link carries so little that a second round in flight would only wait.</summary>
    public bool IsOneAtATime => Bytes <= Least && Bytes < most;

    /// <summary>A round was acknowledged.</summary>
    /// <param name="bytes">Its bytes in the local log.</param>
    /// <param name="took">Time from sending to the last answer.</param>
    public void Acked(long bytes, TimeSpan took)
    {
        if (took > _slow)
        {
            Bytes = Math.Max(Bytes / 2, Math.Min(Least, most));
        }
        else if (took < _fast && bytes >= Bytes / 2)
        {
            Bytes = (int)Math.Min(Bytes * 2L, most);
        }
    }

    /// <summary>A round in flight was lost.</summary>
    public void Lost() => Bytes = Math.Max(Bytes / 4, Math.Min(Least, most));
}
