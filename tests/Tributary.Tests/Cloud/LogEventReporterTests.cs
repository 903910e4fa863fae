using Microsoft.Extensions.Logging;
using Tributary.Cloud;
using Tributary.Cloud.Api;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Log.Support;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Cloud;

public sealed class LogEventReporterTests
{
    private readonly RecordingLogger _logger = new();

    public static TheoryData<LogEventKind> Kinds => [.. Enum.GetValues<LogEventKind>()];

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Whatever_befalls_a_log_is_in_the_metrics_and_the_log(LogEventKind kind)
    {
        using CloudMetrics metrics = Measured.Watch(static () => new CloudMetrics(), out Measured measured);
        using (measured)
        {
            var reporter = new LogEventReporter(new Logger<LogEventReporter>(_logger), metrics);
            var mishap = new Mishap<OpenLog>(storage => new OpenLog(storage, reporter), static opened => opened.Log);
            await using OpenLog opened = await mishap.ProvokeAsync(kind);

            await LogHarness.UntilAsync(() => measured["tributary.cloud.log_events", kind.ToString()] == 1, $"{kind} is counted");
            (LogLevel level, string text) = Assert.Single(_logger.Lines, line => line.Text.StartsWith($"{kind} in p-0 ", StringComparison.Ordinal));
            Assert.InRange(level, kind == LogEventKind.Expired ? LogLevel.Information : LogLevel.Warning, LogLevel.Critical);
            Assert.Contains("p-0: ", text);
        }
    }

    private sealed class OpenLog : IAsyncDisposable
    {
        private readonly LogDirectory _directory;

        public OpenLog(IStorage storage, ILogEvents events)
        {
            _directory = LogDirectory.Open(storage, "data", new LogDirectoryOptions(), TimeProvider.System, events);
            Log = _directory.OpenPartition("p-0", new PartitionLogOptions { SegmentBytes = Mishap<OpenLog>.SegmentBytes, RetentionBytes = 1 });
        }

        public PartitionLog Log { get; }

        public ValueTask DisposeAsync() => _directory.DisposeAsync();
    }
}
