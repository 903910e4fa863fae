using System.Net;
using System.Net.WebSockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Net.Http.Headers;
using Tributary.Contracts.Limits;
using Tributary.Edge.Access;
using Tributary.Edge.Mqtt;

namespace Tributary.Edge.Listeners;

/// <summary>
/// MQTT over WebSocket (MQTT 5, 6): takes HTTP requests, whatever their path, that become a WebSocket with the subprotocol <c>mqtt</c>, and
/// refuses all others. Web pages are let in only if their origin is allowed: the browser of somebody at this machine must not make its
/// broker everybody's. Callable from any thread.
/// </summary>
internal sealed class WebSocketEntrance
{
    /// <summary>The subprotocol [MQTT-6.0.0-3, MQTT-6.0.0-4].</summary>
    private const string Protocol = "mqtt";

    private readonly IReadOnlyList<string> _origins;
    private readonly MqttOptions _limits;
    private readonly ConnectionDelegate _serve;
    private readonly AccessMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly LineLimit<Outcome> _lines;
    private readonly RequestDelegate _handle;

    /// <param name="origins">Origins of web pages that are let in; <c>*</c> for any.</param>
    /// <param name="limits">Limits of connections.</param>
    /// <param name="serve">Serves a connection.</param>
    /// <param name="services">Services of HTTP.</param>
    /// <param name="metrics">What is counted.</param>
    /// <param name="time">All time.</param>
    /// <param name="logger">Where it logs.</param>
    public WebSocketEntrance(
        IReadOnlyList<string> origins, MqttOptions limits, ConnectionDelegate serve, IServiceProvider services, AccessMetrics metrics,
        TimeProvider time, ILogger logger)
    {
        _origins = origins;
        _limits = limits;
        _serve = serve;
        _metrics = metrics;
        _time = time;
        _logger = logger;
        _lines = new LineLimit<Outcome>(time);
        var application = new ApplicationBuilder(services);
        // MQTT has its own keep-alive.
        application.UseWebSockets(new WebSocketOptions { KeepAliveInterval = Timeout.InfiniteTimeSpan });
        application.Run(UpgradeAsync);
        _handle = application.Build();
    }

    private enum Outcome
    {
        Refused,
    }

    /// <summary>
    /// Remembers the connection that a request comes over, and closes it if no request has become a WebSocket in time: a part of the
    /// listener's chain.
    /// </summary>
    public ConnectionDelegate Carry(ConnectionDelegate next) => async connection =>
    {
        var carrier = new Carrier(connection);
        connection.Features.Set(carrier);
        await using ITimer limit = _time.CreateTimer(
            static state => ((Carrier)state!).AbortIfIdle(), carrier, _limits.ConnectTimeout, Timeout.InfiniteTimeSpan);
        await next(connection);
    };

    /// <summary>Whether the request came to one of these listeners.</summary>
    public static bool IsFor(HttpContext context) => context.Features.Get<Carrier>() is not null;

    /// <summary>Serves a request until its WebSocket has ended.</summary>
    public Task ServeAsync(HttpContext context) => _handle(context);

    private async Task UpgradeAsync(HttpContext context)
    {
        if (RefusalOf(context) is (int code, string reason))
        {
            _metrics.UpgradeRefused();
            if (_lines.TryPass(Outcome.Refused, out string note))
            {
                _logger.WebSocketRefused($"{context.Connection.RemoteIpAddress}:{context.Connection.RemotePort}", reason, note);
            }
            context.Response.StatusCode = code;
            context.Response.ContentType = "text/plain; charset=utf-8";
            context.Response.Headers.Connection = "close";
            await context.Response.WriteAsync(reason + "\n", context.RequestAborted);
            return;
        }
        Carrier carrier = context.Features.Get<Carrier>()!;
        using WebSocket socket = await context.WebSockets.AcceptWebSocketAsync(Protocol);
        carrier.IsUpgraded = true;
        await new WebSocketTransport(socket, carrier.Connection, _limits.ReadBufferBytes).RunAsync(_serve);
    }

    private (int Code, string Reason)? RefusalOf(HttpContext context)
    {
        if (!context.WebSockets.IsWebSocketRequest)
        {
            return (StatusCodes.Status426UpgradeRequired, "only WebSocket is served here, with the subprotocol 'mqtt'");
        }
        if (!context.WebSockets.WebSocketRequestedProtocols.Contains(Protocol))
        {
            return (StatusCodes.Status400BadRequest, "the WebSocket must ask for the subprotocol 'mqtt'");
        }
        string origin = context.Request.Headers[HeaderNames.Origin].ToString();
        return origin.Length == 0 || IsOwn(context, origin)
            || _origins.Any(allowed => allowed == "*" || allowed.TrimEnd('/').Equals(origin, StringComparison.OrdinalIgnoreCase))
            ? null
            : (StatusCodes.Status403Forbidden, $"web pages of {Shown(origin)} are not let in; the setting mqtt:allowedOrigins says which are");
    }

    /// <summary>
    /// Whether the origin is the address that the request was sent to, as clients that are no browsers say. Where clients need no name,
    /// that must not be a name that somebody else may have pointed here (DNS rebinding); with TLS it can't be.
    /// </summary>
    private static bool IsOwn(HttpContext context, string origin)
    {
        HostString host = context.Request.Host;
        return Uri.TryCreate(origin, UriKind.Absolute, out Uri? from) && Uri.TryCreate($"{from.Scheme}://{host.Value}", UriKind.Absolute, out Uri? to)
            && from.Authority.Equals(to.Authority, StringComparison.OrdinalIgnoreCase)
            && (context.Request.IsHttps || context.Features.Get<ClientOrigin>() is { MayBeAnonymous: false }
                || host.Host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || IPAddress.TryParse(host.Host, out _));
    }

    private static string Shown(string origin) =>
        new([.. origin.Take(200).Select(character => char.IsControl(character) ? '?' : character)]);

    /// <summary>The connection under HTTP.</summary>
    private sealed class Carrier(ConnectionContext connection)
    {
        private volatile bool _isUpgraded;

        public ConnectionContext Connection => connection;

        public bool IsUpgraded
        {
            set => _isUpgraded = value;
        }

        public void AbortIfIdle()
        {
            if (!_isUpgraded)
            {
                connection.Abort();
            }
        }
    }
}
