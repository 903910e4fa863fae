using Microsoft.Extensions.Logging;

namespace Tributary.Edge.Status;

/// <summary>A warning or an error that was logged.</summary>
/// <param name="At">When, the last time.</param>
/// <param name="Level">Its level: <c>warning</c>, <c>error</c> or <c>critical</c>.</param>
/// <param name="Event">Id of the message, as in the log.</param>
/// <param name="Message">What happened and what to do, cut to <see cref="RecentProblems.MaxChars"/> characters.</param>
/// <param name="Count">How often in a row of equal ones.</param>
internal sealed record ProblemStatus(DateTimeOffset At, string Level, int Event, string Message, long Count);

/// <summary>
/// The last warnings and errors of the agent, kept in memory for its pages, whatever <c>log:level</c> is: who stands before the box has a
/// browser and no log. It passes everything on to the loggers it stands before. Callable from any thread; a crash loses them, the log has
/// them.
/// </summary>
/// <param name="to">Where everything goes on to. Not disposed with this.</param>
/// <param name="time">Clock of the entries.</param>
internal sealed class RecentProblems(ILoggerFactory to, TimeProvider time) : ILoggerFactory
{
    /// <summary>Problems that are kept; older ones are in the log of the program.</summary>
    public const int MostKept = 32;

    /// <summary>Longest message that is kept, characters.</summary>
    public const int MaxChars = 500;

    private readonly Lock _lock = new();
    private readonly List<ProblemStatus> _latest = new(MostKept);

    /// <summary>The last ones, oldest first.</summary>
    public IReadOnlyList<ProblemStatus> Latest
    {
        get
        {
            lock (_lock)
            {
                return [.. _latest];
            }
        }
    }

    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName) => new Category(this, to.CreateLogger(categoryName));

    /// <inheritdoc/>
    public void AddProvider(ILoggerProvider provider) => to.AddProvider(provider);

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private static string Word(LogLevel level) => level switch
    {
        LogLevel.Warning => "warning",
        LogLevel.Error => "error",
        _ => "critical",
    };

    private void Add(LogLevel level, int id, string text)
    {
        string message = text.Length > MaxChars ? text[..MaxChars] + "…" : text;
        DateTimeOffset now = time.GetUtcNow();
        lock (_lock)
        {
            long count = 1;
            if (_latest is [.., var last] && last.Event == id && last.Message == message)
            {
                count += last.Count;
                _latest.RemoveAt(_latest.Count - 1);
            }
            else if (_latest.Count == MostKept)
            {
                _latest.RemoveAt(0);
            }
            _latest.Add(new ProblemStatus(now, Word(level), id, message, count));
        }
    }

    private sealed class Category(RecentProblems owner, ILogger to) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => to.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => (logLevel >= LogLevel.Warning && logLevel != LogLevel.None) || to.IsEnabled(logLevel);

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel >= LogLevel.Warning && logLevel != LogLevel.None)
            {
                string text = formatter(state, exception);
                // Stacks are for the log.
                owner.Add(logLevel, eventId.Id, exception is null ? text : $"{text}: {exception.Message}");
            }
            to.Log(logLevel, eventId, state, exception, formatter);
        }
    }
}
