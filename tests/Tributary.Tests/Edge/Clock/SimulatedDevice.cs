using Microsoft.Extensions.Time.Testing;
using Tributary.Edge.Clock;

namespace Tributary.Tests.Edge.Clock;

/// <summary>
/// A device in simulated time: an oscillator that drifts and that timers and timestamps go by, boots, and a clock on the wall that others
/// set. Beside them stands the true time, which nobody on the device knows.
/// </summary>
internal sealed class SimulatedDevice : FakeTimeProvider, IClockSource
{
    private static readonly DateTimeOffset Origin = new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private readonly DateTimeOffset _start;
    private readonly double _drift;
    private TimeSpan _off;
    private TimeSpan _wallOffset;
    private TimeSpan? _disciplined;
    private bool? _isSynchronized;
    private DateTimeOffset _bootedAt;
    private int _boots;

    /// <param name="start">The true time at the start.</param>
    /// <param name="drift">By how many parts per million the oscillator is too fast.</param>
    public SimulatedDevice(DateTimeOffset start, double drift = 0)
        : base(Origin)
    {
        _start = start;
        _drift = drift;
        Restart(TimeSpan.Zero, start);
    }

    public DateTimeOffset True => _start + _off + ((Oscillator - Origin) / (1 + (_drift / 1e6)));

    public long TrueMs => True.ToUnixTimeMilliseconds();

    /// <summary>What the kernel says. As soon as it is not synchronised any more, the clock drifts.</summary>
    public bool? IsSynchronized
    {
        get => _isSynchronized;
        set
        {
            if (value != true)
            {
                _wallOffset = Wall - Oscillator;
                _disciplined = null;
            }
            _isSynchronized = value;
        }
    }

    public TimeSpan MaxError { get; set; } = TimeSpan.FromMilliseconds(20);

    public bool HasBoardClock { get; set; }

    public DateTimeOffset Wall => _disciplined is { } error ? True + error : Oscillator + _wallOffset;

    public TimeSpan SinceBoot => Oscillator - _bootedAt;

    private DateTimeOffset Oscillator => base.GetUtcNow();

    public override DateTimeOffset GetUtcNow() => Wall;

    public override long GetTimestamp() => Oscillator.Ticks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>Lets so much true time pass.</summary>
    public void Pass(TimeSpan time) => Advance(time * (1 + (_drift / 1e6)));

    /// <summary>Somebody sets the clock; the kernel then doesn't hold it for synchronised any more.</summary>
    public void SetWall(DateTimeOffset wall)
    {
        IsSynchronized = false;
        _wallOffset = wall - Oscillator;
    }

    /// <summary>NTP sets the clock, and keeps it.</summary>
    /// <param name="error">By how much it is wrong.</param>
    public void Synchronize(TimeSpan error = default)
    {
        SetWall(True + error);
        (_disciplined, IsSynchronized) = (error, true);
    }

    /// <summary>The device is switched off, and on again after a while.</summary>
    public void Restart(TimeSpan off, DateTimeOffset wall)
    {
        _off += off;
        _bootedAt = Oscillator;
        _boots++;
        SetWall(wall);
    }

    public ClockReading Read() => new(new Guid(_boots, 1, 2, new byte[8]), SinceBoot, Wall, IsSynchronized, MaxError, HasBoardClock);
}
