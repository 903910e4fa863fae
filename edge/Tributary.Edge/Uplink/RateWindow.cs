namespace Tributary.Edge.Uplink;

/// <summary>
/// The highest rate of the last seconds: a ring of quarter seconds, each with its highest sample. Without a sample in that time the last
/// answer stands: a link that had nothing to carry is not a slower one. One thread at a time.
/// </summary>
internal sealed class RateWindow
{
    private const int Buckets = 40;
    private static readonly TimeSpan Width = TimeSpan.FromMilliseconds(250);
    private readonly (long Number, double Rate)[] _buckets = new (long, double)[Buckets];

    /// <summary>Longest time that it looks back.</summary>
    public static TimeSpan Longest => Width * (Buckets - 1);

    /// <summary>The highest rate as of the last sample, bytes each second; 0 before the first.</summary>
    public double Highest { get; private set; }

    /// <summary>Forgets all samples but this one.</summary>
    public void Reset(TimeSpan now, double rate)
    {
        Array.Clear(_buckets);
        Highest = 0;
        Add(now, rate, Width);
    }

    /// <summary>Takes a sample.</summary>
    /// <param name="now">Time, which never goes back.</param>
    /// <param name="rate">Bytes each second.</param>
    /// <param name="window">How far to look back, at most <see cref="Longest"/>.</param>
    public void Add(TimeSpan now, double rate, TimeSpan window)
    {
        // The first number is 1: empty places have 0.
        long number = (now.Ticks / Width.Ticks) + 1;
        ref (long Number, double Rate) bucket = ref _buckets[number % Buckets];
        bucket = bucket.Number == number ? (number, Math.Max(bucket.Rate, rate)) : (number, rate);
        long oldest = number - Math.Min(Buckets - 1, window.Ticks / Width.Ticks);
        double highest = 0;
        foreach ((long at, double sample) in _buckets)
        {
            if (at >= oldest && at > 0)
            {
                highest = Math.Max(highest, sample);
            }
        }
        Highest = highest;
    }
}
