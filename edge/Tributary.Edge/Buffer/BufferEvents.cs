using Microsoft.Extensions.Logging;
using Tributary.Log;

namespace Tributary.Edge.Buffer;

/// <summary>Something that befell a local log, and when.</summary>
internal sealed record BufferEvent(DateTimeOffset At, LogEvent What);

/// <summary>
/// What befell the local logs since the start: logged, counted by kind, and the last few kept for the status page. Callable from any
/// thread.
/// </summary>
internal sealed class BufferEvents(TimeProvider time, ILogger logger) : ILogEvents
{
    /// <summary>Events that are kept; older ones are in the log of the program.</summary>
    public const int MostKept = 32;

    private readonly Lock _lock = new();
    private readonly long[] _counts = new long[Enum.GetValues<LogEventKind>().Length];
    private readonly Queue<BufferEvent> _latest = new(MostKept);

    /// <summary>The last events, oldest first.</summary>
    public IReadOnlyList<BufferEvent> Latest
    {
        get
        {
            lock (_lock)
            {
                return [.. _latest];
            }
        }
    }

    /// <summary>Events of a kind.</summary>
    public long Count(LogEventKind kind) => Interlocked.Read(ref _counts[(int)kind]);

    /// <inheritdoc/>
    public void Report(LogEvent what)
    {
        Interlocked.Increment(ref _counts[(int)what.Kind]);
        lock (_lock)
        {
            if (_latest.Count == MostKept)
            {
                _latest.Dequeue();
            }
            _latest.Enqueue(new BufferEvent(time.GetUtcNow(), what));
        }
        logger.LogEvent(SeverityOf(what.Kind), what.Kind, what.Partition, what.FromOffset, what.ToOffset, what.Message);
    }

    private static LogLevel SeverityOf(LogEventKind kind) => kind switch
    {
        LogEventKind.TailCut or LogEventKind.Rebuilt => LogLevel.Information,
        LogEventKind.Expired => LogLevel.Warning,
        _ => LogLevel.Error,
    };
}
