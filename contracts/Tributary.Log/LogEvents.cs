namespace Tributary.Log;

/// <summary>What can befall a log.</summary>
public enum LogEventKind
{
    /// <summary>Unflushed bytes at the end were cut off at recovery, as after any crash.</summary>
    TailCut,

    /// <summary>Bytes that may have held records were moved to quarantine.</summary>
    Quarantined,

    /// <summary>Offsets that can't be read any more.</summary>
    Hole,

    /// <summary>A write or flush failed and the segment was sealed.</summary>
    SegmentSealed,

    /// <summary>The partition takes no more appends.</summary>
    Offline,

    /// <summary>A snapshot, index or checkpoint was bad and was made anew from the log.</summary>
    Rebuilt,

    /// <summary>A snapshot, index or checkpoint could not be written; records are not affected.</summary>
    SaveFailed,

    /// <summary>Records were given up by time or size retention, as the settings ask for, whether or not anybody has read them.</summary>
    Expired,
}

/// <summary>Something that an operator should know.</summary>
/// <param name="Partition">Name of the partition.</param>
/// <param name="FromOffset">First offset concerned, −1 if none.</param>
/// <param name="ToOffset">The offset after the last one concerned, −1 if none.</param>
/// <param name="Message">A sentence: what happened and what to do.</param>
public sealed record LogEvent(LogEventKind Kind, string Partition, long FromOffset, long ToOffset, string Message);

/// <summary>Takes events; must not throw.</summary>
public interface ILogEvents
{
    /// <summary>Called on whatever thread noticed.</summary>
    void Report(LogEvent what);
}

/// <summary>The log can't do what was asked; the message says why and what to do.</summary>
public class LogException : IOException
{
    /// <inheritdoc/>
    public LogException(string message) : base(message) { }

    /// <inheritdoc/>
    public LogException(string message, Exception inner) : base(message, inner) { }
}
