namespace Tributary.Contracts.Limits;

/// <summary>
/// Keeps what clients can cause from filling the log: of each kind a few lines a minute are let through, and the next one says how many
/// were not. Callable from any thread.
/// </summary>
/// <typeparam name="TKind">The kinds: an enumeration whose values count up from 0.</typeparam>
/// <param name="time">Where the time comes from.</param>
public sealed class LineLimit<TKind>(TimeProvider time)
    where TKind : struct, Enum
{
    /// <summary>Lines of a kind that are let through in a minute.</summary>
    public const int LinesPerMinute = 10;

    private static readonly TimeSpan Window = TimeSpan.FromMinutes(1);
    private readonly Lock _lock = new();
    private readonly Kind[] _kinds = new Kind[Enum.GetValues<TKind>().Length];

    /// <summary>Asks for a line.</summary>
    /// <param name="kind">Its kind.</param>
    /// <param name="note">What to add to it: empty, or how many like it were not let through since the last one.</param>
    public bool TryPass(TKind kind, out string note)
    {
        note = "";
        lock (_lock)
        {
            ref Kind of = ref _kinds[System.Runtime.CompilerServices.Unsafe.BitCast<TKind, int>(kind)];
            long now = time.GetTimestamp();
            if (of.Lines == 0 || time.GetElapsedTime(of.Since, now) >= Window)
            {
                (of.Since, of.Lines) = (now, 0);
            }
            if (of.Lines == LinesPerMinute)
            {
                of.Suppressed++;
                return false;
            }
            of.Lines++;
            if (of.Suppressed > 0)
            {
                note = $" ({of.Suppressed} more like it were not logged)";
                of.Suppressed = 0;
            }
            return true;
        }
    }

    private struct Kind
    {
        public long Since;
        public int Lines;
        public long Suppressed;
    }
}
