using System.Text;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace Tributary.Edge.Host;

/// <summary>How lines of the log look.</summary>
internal enum LogFormat
{
    /// <summary>Time, level, part of the program, id and message.</summary>
    Text,

    /// <summary>A JSON object in each line, with the values of the message by name.</summary>
    Json,
}

/// <summary>
/// Logs to standard error, one line for each message, as text or as JSON. Whoever logs never waits: the log's writer thread must not hang on a pipe that
/// nobody reads. Up to <see cref="MaxWaiting"/> lines wait; further ones are dropped and counted. Callable from any thread; disposing
/// writes what waits.
/// </summary>
internal sealed class StandardErrorLogger : ILoggerProvider, ILoggerFactory
{
    /// <summary>Lines that may wait to be written.</summary>
    public const int MaxWaiting = 4096;

    private static readonly TimeSpan LastWords = TimeSpan.FromSeconds(2);
    private readonly Channel<string> _lines = Channel.CreateBounded<string>(
        new BoundedChannelOptions(MaxWaiting) { SingleReader = true });

    private readonly LogLevel _least;
    private readonly LogFormat _format;
    private readonly TimeProvider _time;
    private readonly Stream _to;
    private readonly Task _writing;
    private long _dropped;

    /// <param name="least">The least level of our own messages; of libraries only warnings and worse are logged.</param>
    /// <param name="time">Clock of the lines.</param>
    /// <param name="to">Where they go.</param>
    /// <param name="format">How they look.</param>
    public StandardErrorLogger(LogLevel least, TimeProvider time, Stream to, LogFormat format = LogFormat.Text)
    {
        _least = least;
        _format = format;
        _time = time;
        _to = to;
        _writing = Task.Run(WriteAsync);
    }

    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName)
    {
        bool isOurs = categoryName.StartsWith("Tributary.", StringComparison.Ordinal);
        string name = categoryName[(categoryName.LastIndexOf('.') + 1)..];
        return new Category(this, name, isOurs || _least > LogLevel.Warning ? _least : LogLevel.Warning);
    }

    /// <inheritdoc/>
    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("this factory has one provider, itself");

    /// <inheritdoc/>
    public void Dispose()
    {
        _lines.Writer.TryComplete();
        _writing.Wait(LastWords);
    }

    private async Task WriteAsync()
    {
        try
        {
            await foreach (string line in _lines.Reader.ReadAllAsync().ConfigureAwait(false))
            {
                await _to.WriteAsync(Encoding.UTF8.GetBytes(line)).ConfigureAwait(false);
                if (Interlocked.Exchange(ref _dropped, 0) is > 0 and long dropped)
                {
                    string told = Line(new LogLine(
                        _time.GetUtcNow(), LogLevel.Warning, default, nameof(StandardErrorLogger), $"{dropped} messages were dropped: nobody read them in time"));
                    await _to.WriteAsync(Encoding.UTF8.GetBytes(told)).ConfigureAwait(false);
                }
            }
        }
        // Nobody listens any more. That is no reason to stop taking messages in.
        catch (IOException)
        {
        }
    }

    private string Line(in LogLine line) => _format == LogFormat.Json ? line.ToJson() : line.ToText();

    private void Add(in LogLine line)
    {
        if (!_lines.Writer.TryWrite(Line(line)))
        {
            Interlocked.Increment(ref _dropped);
        }
    }

    private sealed class Category(StandardErrorLogger owner, string name, LogLevel least) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= least && logLevel != LogLevel.None;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                owner.Add(new LogLine(
                    owner._time.GetUtcNow(), logLevel, eventId, name, formatter(state, exception), exception, state as IReadOnlyList<KeyValuePair<string, object?>>));
            }
        }
    }
}
