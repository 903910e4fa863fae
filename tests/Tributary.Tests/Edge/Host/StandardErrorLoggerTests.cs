using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Tributary.Edge.Host;
using Xunit;

namespace Tributary.Tests.Edge.Host;

public sealed class StandardErrorLoggerTests
{
    private static readonly FakeTimeProvider Time = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, 678, TimeSpan.Zero));

    [Fact]
    public void A_message_is_one_line_whatever_it_holds()
    {
        var to = new MemoryStream();
        using (var logger = new StandardErrorLogger(LogLevel.Information, Time, to))
        {
            logger.CreateLogger("Tributary.Edge.Buffer.EdgeBuffer").Log(
                LogLevel.Warning, new EventId(42), "two\nlines", null, (text, _) => text);
        }

        Assert.Equal("2026-01-02T03:04:05.678Z warn EdgeBuffer 42: two | lines\n", Encoding.UTF8.GetString(to.ToArray()));
    }

    [Fact]
    public void Libraries_are_heard_from_warnings_on()
    {
        using var logger = new StandardErrorLogger(LogLevel.Debug, Time, Stream.Null);

        Assert.False(logger.CreateLogger("Microsoft.AspNetCore.Server.Kestrel").IsEnabled(LogLevel.Information));
        Assert.True(logger.CreateLogger("Microsoft.AspNetCore.Server.Kestrel").IsEnabled(LogLevel.Warning));
        Assert.True(logger.CreateLogger("Tributary.Edge.Uplink.KafkaCloud").IsEnabled(LogLevel.Debug));
    }

    [Fact]
    public void Who_logs_does_not_wait_for_a_reader_and_what_is_dropped_is_counted()
    {
        var to = new StuckStream();
        using (var logger = new StandardErrorLogger(LogLevel.Information, Time, to))
        {
            ILogger log = logger.CreateLogger("Tributary.Test");
            for (int i = 0; i < StandardErrorLogger.MaxWaiting + 100; i++)
            {
                log.Log(LogLevel.Information, default, i, null, (number, _) => $"number {number}");
            }
            to.Go.SetResult();
        }
        string[] lines = Encoding.UTF8.GetString(to.Written.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        int dropped = StandardErrorLogger.MaxWaiting + 100 - lines.Count(line => line.Contains("number", StringComparison.Ordinal));

        Assert.InRange(dropped, 98, 100);
        Assert.Single(lines, line => line.Contains($"{dropped} messages were dropped", StringComparison.Ordinal));
    }

    /// <summary>Takes nothing until it may go.</summary>
    private sealed class StuckStream : MemoryStream
    {
        public TaskCompletionSource Go { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public MemoryStream Written { get; } = new();

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await Go.Task;
            Written.Write(buffer.Span);
        }
    }
}
