using Microsoft.Extensions.Logging;
using Tributary.Cloud.Api;
using Tributary.Log;

namespace Tributary.Cloud;

/// <summary>Logs and counts what befalls the partitions' logs.</summary>
internal sealed class LogEventReporter(ILogger<LogEventReporter> logger, CloudMetrics metrics) : ILogEvents
{
    /// <inheritdoc/>
    public void Report(LogEvent what)
    {
        metrics.CountLogEvent(what.Kind);
        logger.LogEvent(SeverityOf(what.Kind), what.Kind, what.Partition, what.FromOffset, what.ToOffset, what.Message);
    }

    private static LogLevel SeverityOf(LogEventKind kind) => kind switch
    {
        LogEventKind.Expired => LogLevel.Information,
        LogEventKind.TailCut or LogEventKind.Rebuilt => LogLevel.Warning,
        LogEventKind.Offline => LogLevel.Critical,
        _ => LogLevel.Error,
    };
}
