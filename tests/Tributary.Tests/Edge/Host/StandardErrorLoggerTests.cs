using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Tributary.Edge;
using Tributary.Edge.Host;
using Tributary.Edge.Uplink;
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
    public void As_JSON_a_message_has_its_id_name_level_and_values()
    {
        var to = new MemoryStream();
        using (var logger = new StandardErrorLogger(LogLevel.Debug, Time, to, LogFormat.Json))
        {
            ILogger log = logger.CreateLogger("Tributary.Edge.Uplink.KafkaCloud");
            log.CloudDisconnected(new NodeEndpoint("cloud", 9092), "two\n\"lines\"");
            log.UplinkBegins("telemetry", 1, 2, 3, 4, 5);
            log.PageFailed("/", new IOException("why"));
        }
        string[] lines = Encoding.UTF8.GetString(to.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries);

        Assert.Equal(
            """{"time":"2026-01-02T03:04:05.678Z","level":"information","category":"KafkaCloud","event":312,"name":"CloudDisconnected","message":"Cloud: the connection to cloud:9092 is gone: two\n\"lines\"","values":{"endpoint":"cloud:9092","reason":"two\n\"lines\""}}""",
            lines[0]);
        Assert.Contains(""" "values":{"topic":"telemetry","partition":1,"acked":2,"flushedEnd":3,"producerId":4,"producerEpoch":5}}""".Trim(), lines[1], StringComparison.Ordinal);
        JsonElement failed = JsonDocument.Parse(lines[2]).RootElement;
        Assert.Equal("error", failed.GetProperty("level").GetString());
        Assert.StartsWith("System.IO.IOException: why", failed.GetProperty("exception").GetString(), StringComparison.Ordinal);
        Assert.Equal(3, lines.Length);
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
