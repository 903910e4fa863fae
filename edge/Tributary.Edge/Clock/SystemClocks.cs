using System.Runtime.InteropServices;

namespace Tributary.Edge.Clock;

/// <summary>
/// The clocks of Linux. Whether the time is synchronised is asked as <c>timedatectl</c> does it: whoever disciplines the clock (chrony,
/// systemd-timesyncd, ntpd, PTP) tells the kernel, which forgets it when the clock is set, and when it was told nothing for about nine
/// hours (<c>adjtimex</c>(2): STA_UNSYNC, TIME_ERROR). On other systems nothing is asked, and the clock is taken for one with a battery.
/// </summary>
internal sealed partial class SystemClocks : IClockSource
{
    private const int ClockBootTime = 7;
    private const int StaUnsync = 0x0040;
    private const int TimeError = 5;
    private readonly Guid _bootId = ReadBootId();
    private readonly bool _hasBoardClock = FindBoardClock();

    /// <inheritdoc/>
    public ClockReading Read()
    {
        DateTimeOffset wall = DateTimeOffset.UtcNow;
        if (!OperatingSystem.IsLinux())
        {
            return new ClockReading(_bootId, TimeSpan.FromMilliseconds(Environment.TickCount64), wall, null, TimeSpan.Zero, _hasBoardClock);
        }
        TimeSpan sinceBoot = GetTime(ClockBootTime, out TimeSpec time) == 0
            ? new TimeSpan((time.Seconds * TimeSpan.TicksPerSecond) + (time.Nanoseconds / 100)) : TimeSpan.FromMilliseconds(Environment.TickCount64);
        var state = default(Timex);
        int answer = Adjust(ref state); // modes 0: reads only
        bool? isSynchronized = answer < 0 ? null : answer != TimeError && (state.Status & StaUnsync) == 0;
        return new ClockReading(_bootId, sinceBoot, wall, isSynchronized, TimeSpan.FromMicroseconds(Math.Max(0, (long)state.MaxError)), _hasBoardClock);
    }

    /// <summary>Another one for each process where the kernel gives none: then nothing is known of the boots before.</summary>
    private static Guid ReadBootId() =>
        ReadLine("/proc/sys/kernel/random/boot_id") is { } line && Guid.TryParse(line, out Guid id) ? id : Guid.NewGuid();

    /// <summary>
    /// A PC always has one, and a virtual PC its host's. Others tell in <c>hctosys</c> from which one the kernel has set the time when it
    /// started (Documentation/ABI/testing/sysfs-class-rtc).
    /// </summary>
    private static bool FindBoardClock()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture is Architecture.X64 or Architecture.X86)
        {
            return true;
        }
        try
        {
            return Directory.EnumerateDirectories("/sys/class/rtc").Any(clock => ReadLine($"{clock}/hctosys") == "1");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static string? ReadLine(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int GetTime(int clock, out TimeSpec time);

    [LibraryImport("libc", EntryPoint = "adjtimex")]
    private static partial int Adjust(ref Timex state);

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public nint Seconds;
        public nint Nanoseconds;
    }

    /// <summary>The beginning of <c>struct timex</c>, with room for the rest of it.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 256)]
    private struct Timex
    {
        public uint Modes;
        public nint Offset;
        public nint Frequency;
        public nint MaxError;
        public nint EstimatedError;
        public int Status;
    }
}
