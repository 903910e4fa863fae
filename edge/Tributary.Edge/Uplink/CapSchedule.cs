using System.Globalization;

namespace Tributary.Edge.Uplink;

/// <summary>
/// Which cap holds at which time of the day: <c>22:00-06:00=unlimited, 06:00-22:00=200000</c>. A window begins with its first minute and
/// ends before its last; one whose end is not after its begin goes over midnight. Of windows that overlap the one that stands first
/// holds; where there is none, <c>uplink:maxBytesPerSecond</c> does. Times are those of the clock on the wall: in the night in which it is
/// set back an hour comes twice, when it is set forward one is left out. Immutable.
/// </summary>
internal sealed class CapSchedule
{
    /// <summary>Most windows.</summary>
    public const int MaxWindows = 48;

    private const int DayMinutes = 24 * 60;
    private readonly IReadOnlyList<Window> _windows;
    private readonly TimeZoneInfo _zone;
    private readonly long? _otherwise;

    private CapSchedule(IReadOnlyList<Window> windows, TimeZoneInfo zone, long? otherwise)
    {
        _windows = windows;
        _zone = zone;
        _otherwise = otherwise;
    }

    /// <summary>No windows.</summary>
    /// <param name="bytesPerSecond">The cap that always holds; null for none.</param>
    public static CapSchedule Always(long? bytesPerSecond) => new([], TimeZoneInfo.Utc, bytesPerSecond);

    /// <summary>Reads a schedule.</summary>
    /// <param name="windows">Texts such as <c>06:00-22:00=200000</c>.</param>
    /// <param name="zone">The zone of the times.</param>
    /// <param name="otherwise">Bytes each second where no window holds; null for no limit.</param>
    /// <exception cref="FormatException">It can't be read; the message says which window, and from which character on.</exception>
    public static CapSchedule Parse(IReadOnlyList<string> windows, TimeZoneInfo zone, long? otherwise)
    {
        if (windows.Count > MaxWindows)
        {
            throw new FormatException($"has {windows.Count} windows; it may have {MaxWindows}");
        }
        return new CapSchedule([.. windows.Select((text, i) => new Reader(text, i + 1).Read())], zone, otherwise);
    }

    /// <summary>The cap at a moment, bytes each second; null for none.</summary>
    public long? At(DateTimeOffset moment)
    {
        if (_windows.Count == 0)
        {
            return _otherwise;
        }
        int minute = (int)TimeZoneInfo.ConvertTime(moment, _zone).TimeOfDay.TotalMinutes;
        foreach (Window window in _windows)
        {
            bool isWithin = window.From < window.To
                ? minute >= window.From && minute < window.To
                : minute >= window.From || minute < window.To;
            if (isWithin)
            {
                return window.BytesPerSecond;
            }
        }
        return _otherwise;
    }

    private readonly record struct Window(int From, int To, long? BytesPerSecond);

    /// <summary>Reads one window, and knows where it stands.</summary>
    private ref struct Reader(string text, int number)
    {
        private int _at;

        public Window Read()
        {
            int from = Time();
            Expect('-');
            int end = _at;
            int to = Time();
            if (from == DayMinutes)
            {
                _at = 0;
                throw Bad("a begin before 24:00");
            }
            if (from == to)
            {
                _at = end;
                throw Bad("an end other than the begin (00:00-24:00 is the whole day)");
            }
            Expect('=');
            long? cap = Cap();
            return new Window(from, to == DayMinutes && from == 0 ? DayMinutes : to % DayMinutes, cap);
        }

        private int Time()
        {
            int begin = _at;
            int hours = TwoDigits();
            if (_at >= text.Length || text[_at] != ':')
            {
                throw Bad("a time such as 06:00");
            }
            _at++;
            int minutes = TwoDigits();
            int time = (hours * 60) + minutes;
            if (minutes > 59 || time > DayMinutes)
            {
                _at = begin;
                throw Bad("a time from 00:00 to 24:00");
            }
            return time;
        }

        private int TwoDigits()
        {
            if (_at + 2 > text.Length || !char.IsAsciiDigit(text[_at]) || !char.IsAsciiDigit(text[_at + 1]))
            {
                throw Bad("a time such as 06:00");
            }
            _at += 2;
            return ((text[_at - 2] - '0') * 10) + (text[_at - 1] - '0');
        }

        private void Expect(char separator)
        {
            if (_at >= text.Length || text[_at] != separator)
            {
                throw Bad($"'{separator}'");
            }
            _at++;
        }

        private readonly long? Cap()
        {
            string cap = text[_at..];
            if (cap == "unlimited")
            {
                return null;
            }
            int shift = cap switch
            {
                _ when cap.EndsWith("KiB", StringComparison.OrdinalIgnoreCase) => 10,
                _ when cap.EndsWith("MiB", StringComparison.OrdinalIgnoreCase) => 20,
                _ => 0,
            };
            ReadOnlySpan<char> digits = shift == 0 ? cap : cap.AsSpan(0, cap.Length - 3).TrimEnd();
            return long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number)
                && number <= UplinkOptions.MostBytesPerSecond >> shift && number << shift >= UplinkOptions.LeastBytesPerSecond
                ? number << shift
                : throw Bad(
                    $"unlimited, or bytes each second (KiB and MiB may follow) from {UplinkOptions.LeastBytesPerSecond} to {UplinkOptions.MostBytesPerSecond}");
        }

        private readonly FormatException Bad(string wanted) =>
            new($"has '{text}' as window {number}: from character {_at + 1} on there must be {wanted}");
    }
}
