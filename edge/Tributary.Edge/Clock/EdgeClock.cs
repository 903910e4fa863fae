using Microsoft.Extensions.Logging;

namespace Tributary.Edge.Clock;

/// <summary>
/// The agent's time. <see cref="GetUtcNow"/> is what it believes: as long as the device's clock is not trusted, what that says; from then
/// on, until the process ends, the trusted time, counted on by the clock that never jumps. So nothing that somebody does to the device's
/// clock changes the time here before it is looked at, and only what is trusted changes it then. Timestamps and timers are those of the
/// clock that never jumps.
/// <para>Records take their time from <see cref="Stamp"/>: a date, or as long as there is none a <see cref="BootStamp"/>, which
/// <see cref="TryDate"/> makes a date of as soon as one can be told. Ages are told by <see cref="AgeOf"/>: nothing whose age is not known
/// may expire.</para>
/// <para>What a boot learned of the time is durable in <see cref="ClockFile"/> before anything has a date by it; that the boot is there,
/// before anything is counted from it. How long it lasted is saved now and then: a crash makes bounds wider, never wrong.</para>
/// <para>Callable from any thread. Looks follow one another; what they found is published at once.</para>
/// </summary>
internal sealed partial class EdgeClock : TimeProvider, IDisposable
{
    /// <summary>Difference from which on a clock has jumped, and not only been slewed.</summary>
    public static readonly TimeSpan JumpTolerance = TimeSpan.FromSeconds(1);

    /// <summary>Time between two saves of how long the boot has lasted.</summary>
    public static readonly TimeSpan SaveInterval = TimeSpan.FromMinutes(10);

    /// <summary>A time that never comes, for what is told when something was written and not when.</summary>
    private static readonly DateTimeOffset Never = new(9999, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly TimeProvider _inner;
    private readonly IClockSource? _source;
    private readonly ClockOptions _options;
    private readonly ILogger? _logger;
    private readonly Lock _looking = new();
    private readonly List<Action<bool>> _subscribers = [];
    private volatile ClockState? _state;
    private volatile BootHistory _history;
    private ITimer? _timer;

    /// <summary>The clock of an agent; <see cref="Open"/> follows.</summary>
    /// <param name="source">The clocks of the device.</param>
    /// <param name="options">Settings.</param>
    /// <param name="inner">Gives timestamps and timers.</param>
    /// <param name="logger">Where it logs.</param>
    public EdgeClock(IClockSource source, ClockOptions options, TimeProvider inner, ILogger logger)
    {
        _source = source;
        _options = options.Validate();
        _inner = inner;
        _logger = logger;
        _history = new BootHistory([], options.MaxDrift);
        ForLog = new LogTime(this);
    }

    /// <summary>A clock that is believed, whatever it says, unless that is before this program was there.</summary>
    private EdgeClock(TimeProvider believed)
    {
        _inner = believed;
        _options = new ClockOptions { Trust = ClockPolicy.Always };
        _history = new BootHistory([], _options.MaxDrift);
        ForLog = believed;
    }

    /// <summary>
    /// What a log takes for the time at which it is written: as long as nobody knows it, one that never comes, so that nothing of then is
    /// ever taken for old.
    /// </summary>
    public TimeProvider ForLog { get; }

    /// <summary>Whether the time is known.</summary>
    public bool IsTrusted => _state is { } state ? state.By != ClockTrustedBy.Nothing : _source is null && _inner.GetUtcNow() >= ClockTrust.Earliest;

    /// <inheritdoc/>
    public override long TimestampFrequency => _inner.TimestampFrequency;

    /// <inheritdoc/>
    public override TimeZoneInfo LocalTimeZone => _inner.LocalTimeZone;

    /// <summary>The same clock if it is one, else one that is believed.</summary>
    public static EdgeClock Of(TimeProvider time) => time as EdgeClock ?? new EdgeClock(time);

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => _state is { By: not ClockTrustedBy.Nothing } state
        ? state.Time + _inner.GetElapsedTime(state.At) : _inner.GetUtcNow();

    /// <inheritdoc/>
    public override long GetTimestamp() => _inner.GetTimestamp();

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        _inner.CreateTimer(callback, state, dueTime, period);

    /// <summary>The time as a record has it: Unix milliseconds, or a <see cref="BootStamp"/>.</summary>
    public long Stamp() => _state is { By: ClockTrustedBy.Nothing } state
        ? new BootStamp(state.Boot, (long)(state.SinceBoot + _inner.GetElapsedTime(state.At)).TotalMilliseconds).ToTimestamp()
        : GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>The same of a moment that <see cref="GetTimestamp"/> told; one before the boot counts as its beginning.</summary>
    public long StampOf(long timestamp)
    {
        TimeSpan ago = _inner.GetElapsedTime(timestamp);
        return _state is { By: ClockTrustedBy.Nothing } state
            ? new BootStamp(state.Boot, (long)(state.SinceBoot + _inner.GetElapsedTime(state.At) - ago).TotalMilliseconds).ToTimestamp()
            : GetUtcNow().ToUnixTimeMilliseconds() - (long)ago.TotalMilliseconds;
    }

    /// <summary>The least that can have passed since a stamp; null if nobody knows.</summary>
    public TimeSpan? AgeOf(long stamp)
    {
        if (BootStamp.TryRead(stamp, out BootStamp boot))
        {
            if (_state is { } state && state.Boot == boot.Boot)
            {
                return AtLeastZero((state.SinceBoot + _inner.GetElapsedTime(state.At)).TotalMilliseconds - boot.Milliseconds);
            }
            return IsTrusted && _history.TimeOf(boot) is { Mark: not TimeMark.Untrusted } time
                ? AtLeastZero(GetUtcNow().ToUnixTimeMilliseconds() - time.Timestamp - time.BoundMs) : null;
        }
        return IsTrusted && stamp >= ClockTrust.Earliest.ToUnixTimeMilliseconds() ? AtLeastZero(GetUtcNow().ToUnixTimeMilliseconds() - stamp) : null;
    }

    /// <summary>The time of a record, as it can be told now.</summary>
    /// <param name="stamp">The record's timestamp.</param>
    /// <param name="asTold">Whether what the clock said then will do.</param>
    /// <param name="time">Its time.</param>
    /// <returns>False if none can be told yet.</returns>
    public bool TryDate(long stamp, bool asTold, out RecordTime time)
    {
        if (!BootStamp.TryRead(stamp, out BootStamp boot))
        {
            time = new RecordTime(stamp, TimeMark.None, 0);
            return true;
        }
        BootHistory history = _history;
        if (history.TimeOf(boot) is { } known)
        {
            time = known;
            return true;
        }
        long toldBootedAt = _state?.ToldBootedAt ?? 0;
        time = asTold && _state?.Boot == boot.Boot
            ? new RecordTime(toldBootedAt + boot.Milliseconds, TimeMark.Untrusted, 0) : history.AsTold(boot, toldBootedAt);
        return asTold;
    }

    /// <summary>Calls it, on any thread, when something happened to the clock; true if more may be known of the time than before.</summary>
    public void Subscribe(Action<bool> happened)
    {
        lock (_looking)
        {
            _subscribers.Add(happened);
        }
    }

    /// <summary>Stops looking, and saves how long the boot has lasted.</summary>
    public void Dispose()
    {
        _timer?.Dispose();
        lock (_looking)
        {
            if (_file is not null && _state is { } state)
            {
                TrySave(state);
                _file = null;
            }
        }
    }

    private static TimeSpan AtLeastZero(double milliseconds) => TimeSpan.FromMilliseconds(Math.Max(0, milliseconds));

    /// <summary>What is known of a moment; immutable.</summary>
    /// <param name="At">The moment, a timestamp.</param>
    /// <param name="Boot">Number of the boot.</param>
    /// <param name="BootId">What the kernel calls it.</param>
    /// <param name="SinceBoot">CLOCK_BOOTTIME.</param>
    /// <param name="Wall">What the device's clock said.</param>
    /// <param name="By">Why the time is trusted, if it is.</param>
    /// <param name="Time">The time that is believed, if it is.</param>
    /// <param name="Error">How wrong it may be.</param>
    /// <param name="TrustedAt">Since when it is trusted, a timestamp.</param>
    /// <param name="IsSynchronized">What the kernel says.</param>
    /// <param name="First">From when on the time was known in this boot.</param>
    /// <param name="Last">When it was last known well.</param>
    /// <param name="ToldBootedAt">As in <see cref="Clock.Boot"/>.</param>
    private sealed record ClockState(
        long At, int Boot, Guid BootId, TimeSpan SinceBoot, DateTimeOffset Wall, ClockTrustedBy By, DateTimeOffset Time, TimeSpan Error,
        long TrustedAt, bool? IsSynchronized, ClockAnchor? First, ClockAnchor? Last, long ToldBootedAt);

    /// <summary>What logs take for the time.</summary>
    private sealed class LogTime(EdgeClock clock) : TimeProvider
    {
        public override long TimestampFrequency => clock.TimestampFrequency;

        public override DateTimeOffset GetUtcNow() => clock.IsTrusted ? clock.GetUtcNow() : Never;

        public override long GetTimestamp() => clock.GetTimestamp();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            clock.CreateTimer(callback, state, dueTime, period);
    }
}
