namespace Tributary.FirmwareSim.Signals;

/// <summary>
/// Randomness that is a pure function of a key and a position: the same seed, device and channel give the same values at the same times,
/// whoever asks, in whatever order and however often. Nothing is kept between calls.
/// </summary>
internal readonly struct Noise
{
    private readonly ulong _key;

    private Noise(ulong key) => _key = key;

    /// <summary>The noise of one channel of one device.</summary>
    /// <param name="seed">Seed of the run.</param>
    /// <param name="device">Index of the device.</param>
    /// <param name="channel">What it is for; equal names give equal values.</param>
    public static Noise For(int seed, int device, string channel)
    {
        ulong key = Mix(((ulong)(uint)seed << 32) | (uint)device);
        foreach (char c in channel)
        {
            key = Mix(key ^ c);
        }
        return new Noise(key);
    }

    /// <summary>A value in [0, 1) at an integer position.</summary>
    public double Uniform(long position) => (Mix(_key ^ Mix(unchecked((ulong)position))) >> 11) * (1.0 / (1UL << 53));

    /// <summary>A value between two bounds at an integer position.</summary>
    public double Between(double least, double most, long position = 0) => least + ((most - least) * Uniform(position));

    /// <summary>White noise: normally distributed, mean 0, deviation 1, cut at ±4; another value each millisecond.</summary>
    public double White(double seconds)
    {
        long position = (long)Math.Round(seconds * 1000) * 2;
        double radius = Math.Sqrt(-2 * Math.Log(1 - Uniform(position)));
        return Math.Clamp(radius * Math.Cos(2 * Math.PI * Uniform(position + 1)), -4, 4);
    }

    /// <summary>Drift: a smooth curve within [−1, 1] that takes a new direction about every <paramref name="period"/> seconds.</summary>
    public double Smooth(double seconds, double period)
    {
        double at = seconds / period;
        double cell = Math.Floor(at);
        double from = (2 * Uniform((long)cell)) - 1;
        double to = (2 * Uniform((long)cell + 1)) - 1;
        return from + ((to - from) * Curve.Ease(at - cell));
    }

    /// <summary>The finalizer of SplitMix64 (Steele, Lea, Flood 2014).</summary>
    private static ulong Mix(ulong x)
    {
        x += 0x9E3779B97F4A7C15;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }
}
