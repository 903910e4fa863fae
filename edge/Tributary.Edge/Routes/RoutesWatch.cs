using Microsoft.Extensions.Logging;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Access;
using Tributary.Edge.Ingest;

namespace Tributary.Edge.Routes;

/// <summary>How it stands with the routes file.</summary>
/// <param name="File">Its path.</param>
/// <param name="Reloads">Changes that were taken.</param>
/// <param name="Refused">Changes that were not.</param>
/// <param name="LastError">Why the file as it is now is not in force, or not wholly; null if it is.</param>
internal sealed record RoutesFileStatus(string File, long Reloads, long Refused, string? LastError);

/// <summary>
/// Lets a changed routes file be in force without a restart. One that can't be read, has something wrong in it or leads to too many topics
/// changes nothing: what was in force before stays, and log, status and metrics say why.
/// <para>Callable from any thread. It keeps nothing that a crash could lose.</para>
/// </summary>
internal sealed class RoutesWatch : IDisposable
{
    private readonly string _path;
    private readonly Ingestor _ingest;
    private readonly ILogger _logger;
    private readonly FileWatch _watch;
    private volatile RoutesFileStatus _status;

    /// <param name="path">The routes file, which is in force.</param>
    /// <param name="interval">Time between two looks whether it has changed.</param>
    /// <param name="ingest">What goes by the routes.</param>
    /// <param name="time">All time.</param>
    /// <param name="logger">Where it logs.</param>
    public RoutesWatch(string path, TimeSpan interval, Ingestor ingest, TimeProvider time, ILogger logger)
    {
        _path = path;
        _ingest = ingest;
        _logger = logger;
        _status = new RoutesFileStatus(path, 0, 0, null);
        // First the stamps, then the content once more: a change since the first look is seen.
        _watch = new FileWatch([path], interval, time, logger);
        Begin();
        _watch.Start(Take);
    }

    /// <summary>How it stands.</summary>
    public RoutesFileStatus Status => _status;

    /// <inheritdoc/>
    public void Dispose() => _watch.Dispose();

    /// <summary>
    /// At the start there is no former file: with routes that lead to too many topics, since others are left from before, the agent begins
    /// nevertheless, and what is beyond them goes to <c>unrouted</c>.
    /// </summary>
    private void Begin()
    {
        try
        {
            RouteTable routes = RoutesFile.Read(_path);
            _ingest.Use(routes);
            _logger.RoutesTaken(_path, routes.Routes.Count);
        }
        catch (RoutesFileException e)
        {
            Refuse(e);
        }
        catch (ArgumentException e)
        {
            _status = _status with { LastError = e.Message };
            _logger.RoutesOverLimit(_path, e.Message);
        }
    }

    private void Take()
    {
        try
        {
            RouteTable routes = RoutesFile.Read(_path);
            _ingest.Use(routes);
            _status = _status with { Reloads = _status.Reloads + 1, LastError = null };
            _logger.RoutesTaken(_path, routes.Routes.Count);
        }
        catch (Exception e) when (e is RoutesFileException or ArgumentException)
        {
            Refuse(e);
        }
    }

    private void Refuse(Exception reason)
    {
        _status = _status with { Refused = _status.Refused + 1, LastError = reason.Message };
        _logger.RoutesNotTaken(reason.Message);
    }
}
