using System.Diagnostics;
using System.Numerics;

namespace Tributary.Benchmarks.Harness;

/// <summary>Counts durations in buckets of about 6 %. Not safe for concurrent use: each thread has its own, merged at the end.</summary>
internal sealed class Histogram
{
    private const int SubBits = 4;
    private const int Sub = 1 << SubBits;
    private readonly long[] _counts = new long[(64 - SubBits + 1) * Sub];
    private long _total;

    public long Total => _total;

    /// <summary>Adds a duration in ticks of <see cref="Stopwatch"/>.</summary>
    public void Add(long ticks)
    {
        _counts[IndexOf((ulong)Math.Max(0, ticks))]++;
        _total++;
    }

    public void Add(Histogram other)
    {
        for (int i = 0; i < _counts.Length; i++)
        {
            _counts[i] += other._counts[i];
        }
        _total += other._total;
    }

    /// <summary>The duration that this share of all (0 to 1) is below.</summary>
    public TimeSpan Percentile(double share)
    {
        long left = (long)Math.Ceiling(share * _total);
        for (int i = 0; i < _counts.Length; i++)
        {
            left -= _counts[i];
            if (left <= 0 && _total > 0)
            {
                return Stopwatch.GetElapsedTime(0, (long)UpperEnd(i));
            }
        }
        return TimeSpan.Zero;
    }

    private static int IndexOf(ulong value)
    {
        if (value < Sub)
        {
            return (int)value;
        }
        int shift = BitOperations.Log2(value) - SubBits;
        return ((shift + 1) * Sub) + (int)((value >> shift) & (Sub - 1));
    }

    private static ulong UpperEnd(int index)
    {
        if (index < Sub)
        {
            return (ulong)index;
        }
        int shift = (index / Sub) - 1;
        return ((ulong)(Sub + (index % Sub) + 1) << shift) - 1;
    }
}
