namespace Tributary.Log;

/// <summary>
/// From which offset on appends were lost, each time that happened: to failed writes, or to truncation. Tells of an append made before
/// whether it was among them. Called under the partition's lock.
/// </summary>
internal sealed class Losses
{
    /// <summary>Losses that are remembered; an append older than all of them counts as lost.</summary>
    private const int Remembered = 256;

    private readonly long[] _from = new long[Remembered];

    /// <summary>How many there were.</summary>
    public long Count { get; private set; }

    public void Add(long fromOffset) => _from[Count++ % Remembered] = fromOffset;

    /// <summary>
    /// Whether an append that ended at <paramref name="end"/>, and was made when there had been so many losses, was lost.
    /// </summary>
    public bool Happened(long lossesBefore, long end) =>
        lossesBefore < Count && (Count - lossesBefore > Remembered || end > _from[lossesBefore % Remembered]);
}
