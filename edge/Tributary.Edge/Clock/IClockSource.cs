namespace Tributary.Edge.Clock;

/// <summary>What the device says of its time, all of one moment.</summary>
/// <param name="BootId">Which boot this is: another one after each start of the device.</param>
/// <param name="SinceBoot">CLOCK_BOOTTIME: time since the device started, that in which it was suspended included. It never jumps.</param>
/// <param name="Wall">What the clock on the wall says.</param>
/// <param name="IsSynchronized">Whether the kernel holds it for synchronised, by NTP or the like; null if it can't be asked.</param>
/// <param name="MaxError">What the kernel takes for the greatest possible error; meaningful if it is synchronised.</param>
/// <param name="HasBoardClock">Whether the clock was set from one with a battery when the device started.</param>
internal readonly record struct ClockReading(
    Guid BootId, TimeSpan SinceBoot, DateTimeOffset Wall, bool? IsSynchronized, TimeSpan MaxError, bool HasBoardClock);

/// <summary>The clocks of the device. Callable from any thread.</summary>
internal interface IClockSource
{
    /// <summary>Reads them; it is cheap and does not fail.</summary>
    ClockReading Read();
}
