using System.Globalization;
using System.Security.Cryptography;
using Tributary.Log.Storage;

namespace Tributary.Edge.Clock;

// Looking at the device's clocks, deciding what to believe, and saving it.
internal sealed partial class EdgeClock
{
    /// <summary>A reading that took longer is made again: its times may be of different moments.</summary>
    private static readonly TimeSpan ReadingLimit = TimeSpan.FromMilliseconds(1);

    private const int ReadingTries = 4;

    /// <summary>Most notices that wait for somebody to take them.</summary>
    private const int MostNotices = 64;

    /// <summary>Time between two jumps that are told; each is counted.</summary>
    private static readonly TimeSpan TellInterval = TimeSpan.FromMinutes(1);

    private readonly Queue<ClockNotice> _notices = new();

    // Under the lock of looks.
    private IReadOnlyList<Boot> _before = [];
    private ClockFile? _file;
    private Action<Action> _saving = static save => save();
    private long _savedAt;
    private bool _mustSave;
    private string? _saveError;
    private long _jumps;
    private TimeSpan _lastJump;
    private long? _toldJumpAt;

    /// <summary>How it stands.</summary>
    public ClockReport Report
    {
        get
        {
            lock (_looking)
            {
                if (_state is not { } state)
                {
                    return new ClockReport(IsTrusted, ClockTrustedBy.Setting, null, null, 0, null, 0, null, 0, 0, 0, null);
                }
                bool isTrusted = state.By != ClockTrustedBy.Nothing;
                TimeSpan sinceLook = _inner.GetElapsedTime(state.At);
                return new ClockReport(
                    isTrusted, state.By, isTrusted ? GetUtcNow() - _inner.GetElapsedTime(state.TrustedAt) : null, isTrusted ? GetUtcNow() : null,
                    isTrusted ? Math.Round((state.Error + DriftIn(sinceLook)).TotalSeconds, 3) : 0, state.IsSynchronized,
                    isTrusted ? Math.Round((state.Wall - state.Time).TotalSeconds, 3) : 0, state.BootId,
                    Math.Round((state.SinceBoot + sinceLook).TotalSeconds, 3), _jumps, Math.Round(_lastJump.TotalSeconds, 3), _saveError);
            }
        }
    }

    /// <summary>
    /// Reads what is known of the boots before, looks for the first time, and makes the present boot durable. From then on it looks by itself.
    /// </summary>
    /// <param name="storage">Where the data directory is, whose lock is held.</param>
    /// <param name="directory">The data directory.</param>
    /// <param name="hasRecords">Whether there are records from before: then a missing file has lost something.</param>
    /// <param name="saving">Performs a save, on a full disk too.</param>
    /// <exception cref="IOException">The file can't be read or written.</exception>
    public void Open(IStorage storage, string directory, bool hasRecords, Action<Action>? saving = null)
    {
        lock (_looking)
        {
            _file = new ClockFile(storage, directory);
            _saving = saving ?? _saving;
            IReadOnlyList<Boot>? known = _file.Load();
            (ClockReading reading, long at) = ReadWhole();
            Boot? present = known?.LastOrDefault(boot => boot.Id == reading.BootId);
            _before = [.. (known ?? []).Where(boot => boot.Id != reading.BootId).TakeLast(ClockFile.MostBoots - 1)];
            int number = present?.Number ?? NextNumber(known, hasRecords);
            if (known is null)
            {
                _logger?.ClockFileDamaged(_file.Path);
            }
            ClockState state = Follow(Resume(present, number, reading, at), reading, at, out _);
            if (TrySave(state) is { } failure)
            {
                throw new IOException($"the file {_file.Path} can't be written: {failure}");
            }
            Publish(state);
            TellOfStart(state, reading);
        }
        _timer = _inner.CreateTimer(static clock => ((EdgeClock)clock!).Look(), this, _options.CheckInterval, _options.CheckInterval);
    }

    /// <summary>Looks at the device's clocks. A timer does it too.</summary>
    public void Look()
    {
        Action<bool>[] told = [];
        bool hasLearned;
        lock (_looking)
        {
            if (_file is null || _state is not { } before)
            {
                return;
            }
            (ClockReading reading, long at) = ReadWhole();
            ClockState state = Follow(before, reading, at, out TimeSpan step);
            bool becomesTrusted = before.By == ClockTrustedBy.Nothing && state.By != ClockTrustedBy.Nothing;
            if (becomesTrusted && TrySave(state) is not null)
            {
                // What has a date by it must find it again after a crash.
                state = Untrusted(before, reading, at);
                becomesTrusted = false;
            }
            int notices = _notices.Count;
            NoteJump(before, state, reading, step, becomesTrusted);
            _mustSave |= before.By != state.By || step.Duration() >= JumpTolerance;
            Publish(state);
            if (_mustSave || _inner.GetElapsedTime(_savedAt) >= SaveInterval)
            {
                TrySave(state);
            }
            hasLearned = becomesTrusted || step.Duration() >= JumpTolerance;
            if (hasLearned || _notices.Count != notices)
            {
                told = [.. _subscribers];
            }
        }
        foreach (Action<bool> subscriber in told)
        {
            subscriber(hasLearned);
        }
    }

    /// <summary>What happened to the clock and nobody has taken yet, oldest first.</summary>
    public ClockNotice? TakeNotice()
    {
        lock (_looking)
        {
            return _notices.TryDequeue(out ClockNotice? notice) ? notice : null;
        }
    }

    private TimeSpan DriftIn(TimeSpan time) => time * (_options.MaxDrift / 1e6);

    private (ClockReading Reading, long At) ReadWhole()
    {
        for (int left = ReadingTries; ; left--)
        {
            long before = _inner.GetTimestamp();
            ClockReading reading = _source!.Read();
            long after = _inner.GetTimestamp();
            if (left == 1 || _inner.GetElapsedTime(before, after) <= ReadingLimit)
            {
                return (reading, after);
            }
        }
    }

    /// <summary>
    /// A file that was lost or damaged has lost the numbers too: then they go on where none of before can be, and still above those.
    /// </summary>
    private static int NextNumber(IReadOnlyList<Boot>? known, bool hasRecords)
    {
        const int Half = (BootStamp.MaxBoot + 1) / 2;
        return known is { Count: > 0 } ? Math.Min(BootStamp.MaxBoot, known[^1].Number + 1)
            : known is null || hasRecords ? Half + RandomNumberGenerator.GetInt32(Half / 2) : 1;
    }

    /// <summary>Where a former process of the same boot left off, or the beginning.</summary>
    private ClockState Resume(Boot? present, int number, in ClockReading reading, long at)
    {
        bool isKnown = present is { Last: { } } && (present.Last.Value.IsSynchronized || _options.Trust != ClockPolicy.Synchronized);
        ClockAnchor last = isKnown ? present!.Last!.Value : default;
        TimeSpan since = reading.SinceBoot - TimeSpan.FromMilliseconds(last.SinceBootMs);
        return new ClockState(
            at, number, reading.BootId, reading.SinceBoot, reading.Wall,
            !isKnown ? ClockTrustedBy.Nothing : last.IsSynchronized ? ClockTrustedBy.Synchronization : ClockTrustedBy.BoardClock,
            isKnown ? DateTimeOffset.FromUnixTimeMilliseconds(last.UnixMs) + since : reading.Wall,
            isKnown ? TimeSpan.FromMilliseconds(last.ErrorMs) + DriftIn(since) : TimeSpan.Zero, at, reading.IsSynchronized,
            isKnown ? present!.First : null, isKnown ? present!.Last : null, present?.ToldBootedAt ?? BootedAt(reading));
    }

    /// <summary>What to believe after a look.</summary>
    /// <param name="step">By how much the believed time has jumped.</param>
    private ClockState Follow(ClockState before, in ClockReading reading, long at, out TimeSpan step)
    {
        step = TimeSpan.Zero;
        ClockTrustedBy by = ClockTrust.Decide(_options.Trust, reading, NewestBefore());
        bool wasTrusted = before.By != ClockTrustedBy.Nothing;
        if (!wasTrusted && by == ClockTrustedBy.Nothing)
        {
            return Untrusted(before, reading, at);
        }
        TimeSpan ran = reading.SinceBoot - before.SinceBoot;
        DateTimeOffset expected = before.Time + ran;
        // Once it was synchronised, a clock that is not any more is no better than counting on; whatever somebody sets it to.
        if (wasTrusted && (by == ClockTrustedBy.Nothing || (by == ClockTrustedBy.BoardClock && before.By == ClockTrustedBy.Synchronization)))
        {
            return before with
            {
                At = at,
                SinceBoot = reading.SinceBoot,
                Wall = reading.Wall,
                Time = expected,
                Error = before.Error + DriftIn(ran),
                IsSynchronized = reading.IsSynchronized,
            };
        }
        step = wasTrusted ? reading.Wall - expected : TimeSpan.Zero;
        // One with a battery was read when the device started, and drifts since.
        TimeSpan error = ClockTrust.ErrorOf(by, reading) + (by == ClockTrustedBy.BoardClock ? DriftIn(reading.SinceBoot) : TimeSpan.Zero);
        var anchor = new ClockAnchor(
            (long)reading.SinceBoot.TotalMilliseconds, reading.Wall.ToUnixTimeMilliseconds(), (long)Math.Ceiling(error.TotalMilliseconds),
            by == ClockTrustedBy.Synchronization);
        // A step says that what was believed before was wrong, and so does a better reason.
        bool knowsBetter = before.First is not { } first || step.Duration() >= JumpTolerance || (anchor.IsSynchronized && !first.IsSynchronized);
        return new ClockState(
            at, before.Boot, before.BootId, reading.SinceBoot, reading.Wall, by, reading.Wall, error, wasTrusted ? before.TrustedAt : at,
            reading.IsSynchronized, knowsBetter ? anchor : before.First, anchor, before.ToldBootedAt);
    }

    private static ClockState Untrusted(ClockState before, in ClockReading reading, long at) => before with
    {
        At = at,
        SinceBoot = reading.SinceBoot,
        Wall = reading.Wall,
        Time = reading.Wall,
        IsSynchronized = reading.IsSynchronized,
        ToldBootedAt = BootedAt(reading),
    };

    private static long BootedAt(in ClockReading reading) => (reading.Wall - reading.SinceBoot).ToUnixTimeMilliseconds();

    private DateTimeOffset NewestBefore()
    {
        long newest = new BootHistory(_before, _options.MaxDrift).Newest;
        return newest == long.MinValue ? DateTimeOffset.MinValue : DateTimeOffset.FromUnixTimeMilliseconds(newest);
    }

    private BootHistory HistoryWith(ClockState state) => new(
        [
            .. _before,
            new Boot(state.Boot, state.BootId, (long)state.SinceBoot.TotalMilliseconds, state.First, state.Last, state.ToldBootedAt),
        ],
        _options.MaxDrift);

    private void Publish(ClockState state)
    {
        if (_state is not { } before || before.First != state.First || before.Last != state.Last)
        {
            _history = HistoryWith(state);
        }
        _state = state;
    }

    /// <returns>Why it could not be saved, null if it was.</returns>
    private string? TrySave(ClockState state)
    {
        try
        {
            IReadOnlyList<Boot> boots = HistoryWith(state).Boots;
            _saving(() => _file!.Save(boots));
            (_savedAt, _mustSave, _saveError) = (_inner.GetTimestamp(), false, null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (_saveError is null)
            {
                _logger?.ClockNotSaved(_file!.Path, e.Message);
            }
            _saveError = e.Message;
            _savedAt = _inner.GetTimestamp();
        }
        return _saveError;
    }

    private void TellOfStart(ClockState state, in ClockReading reading)
    {
        if (state.By != ClockTrustedBy.Nothing)
        {
            _logger?.ClockTrusted(state.By, state.Time, state.Error);
            return;
        }
        _logger?.ClockNotTrusted(reading.Wall, reading.IsSynchronized switch
        {
            true => $"it says a time before {ClockTrust.Earliest:yyyy-MM-dd}",
            false => "the kernel says that it is not synchronised",
            null => "the kernel can't be asked whether it is synchronised; the setting clock:trust can decide it",
        });
    }

    /// <summary>Notes that the clock can be trusted now, or that it jumped.</summary>
    private void NoteJump(ClockState before, ClockState state, in ClockReading reading, TimeSpan step, bool becomesTrusted)
    {
        TimeSpan jump = reading.Wall - before.Wall - (reading.SinceBoot - before.SinceBoot);
        bool hasJumped = jump.Duration() >= JumpTolerance;
        if (hasJumped)
        {
            _jumps++;
            _lastJump = jump;
        }
        if (becomesTrusted)
        {
            _logger?.ClockTrusted(state.By, state.Time, state.Error);
            Notice(ClockNoticeKind.Trusted, jump, string.Create(
                CultureInfo.InvariantCulture,
                $"the clock is trusted now ({ClockReport.WordOf(state.By)}), {state.SinceBoot.TotalSeconds:0} s after the device was switched on"));
        }
        else if (hasJumped || step.Duration() >= JumpTolerance)
        {
            bool isFollowed = state.By != ClockTrustedBy.Nothing && step.Duration() >= JumpTolerance;
            string what = state.By == ClockTrustedBy.Nothing ? "is not trusted anyway" : isFollowed ? "is followed" : "is not believed";
            TimeSpan by = hasJumped ? jump : step;
            if (_toldJumpAt is { } told && _inner.GetElapsedTime(told) < TellInterval)
            {
                return;
            }
            _toldJumpAt = _inner.GetTimestamp();
            string message = string.Create(
                CultureInfo.InvariantCulture, $"the device's clock went {(by > TimeSpan.Zero ? "forwards" : "back")} by {by.Duration().TotalSeconds:0.###} s; it {what}");
            _logger?.ClockJumped(message);
            Notice(ClockNoticeKind.Jumped, by, message);
        }
    }

    private void Notice(ClockNoticeKind kind, TimeSpan by, string message)
    {
        if (_notices.Count == MostNotices)
        {
            _notices.Dequeue();
        }
        _notices.Enqueue(new ClockNotice(Stamp(), kind, by, message));
    }
}
