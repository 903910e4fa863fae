using System.Buffers;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using Tributary.Edge.Access;
using Tributary.Edge.Buffer;
using Tributary.Edge.Mqtt;

namespace Tributary.Edge.Status;

/// <summary>
/// Health, status and metrics over HTTP, directly on Kestrel: routing, dependency injection and hosting would take more memory and time
/// to start than all these pages. Callable from any thread; holds nothing that a crash could lose.
/// </summary>
internal sealed class StatusPages : IHttpApplication<HttpContext>, IDisposable
{
    private const string Service = "tributary-edge";
    private const string MetricsPath = "/metrics";

    /// <summary>
    /// What the page may load, and from where: its own style, script and icon, and itself again. Nothing inline, nothing from elsewhere, and
    /// it stands in nobody's frame.
    /// </summary>
    private const string Policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private readonly StatusReader _reader;
    private readonly DeadLetters _deadLetters;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly EdgeMetrics _metrics;
    private readonly MeterProvider _meters;
    private readonly RequestDelegate _scrape;

    /// <param name="reader">What the pages tell.</param>
    /// <param name="deadLetters">Records that the cloud refused.</param>
    /// <param name="services">What the metrics' endpoint needs.</param>
    /// <param name="time">All time.</param>
    /// <param name="logger">Where it logs.</param>
    /// <param name="meters">The agent's meters beside its own: others in the process may have the same names.</param>
    public StatusPages(
        StatusReader reader, DeadLetters deadLetters, IServiceProvider services, TimeProvider time, ILogger logger, params Meter[] meters)
    {
        _time = time;
        _reader = reader;
        _deadLetters = deadLetters;
        _logger = logger;
        _metrics = new EdgeMetrics(reader);
        _meters = Sdk.CreateMeterProviderBuilder()
            .ConfigureResource(
                resource => resource.Clear().AddService(Service, serviceVersion: StatusReader.Version, serviceInstanceId: reader.Id))
            .AddMeter(EdgeMetrics.MeterName, MqttMetrics.MeterName, AccessMetrics.MeterName)
            .AddView(instrument => instrument.Meter == _metrics.Meter || meters.Contains(instrument.Meter) ? null : MetricStreamConfiguration.Drop)
            .AddPrometheusExporter(exporter =>
            {
                exporter.ScrapeEndpointPath = MetricsPath;
                exporter.ScrapeResponseCacheDurationMilliseconds = 0;
            })
            .Build();
        var scrape = new ApplicationBuilder(services);
        scrape.UseOpenTelemetryPrometheusScrapingEndpoint(_meters, null, null, null, null);
        _scrape = scrape.Build();
    }

    /// <inheritdoc/>
    public HttpContext CreateContext(IFeatureCollection contextFeatures) => new DefaultHttpContext(contextFeatures);

    /// <inheritdoc/>
    public void DisposeContext(HttpContext context, Exception? exception)
    {
    }

    /// <inheritdoc/>
    public async Task ProcessRequestAsync(HttpContext context)
    {
        try
        {
            await AnswerAsync(context);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            _logger.PageFailed(context.Request.Path, e);
            if (!context.Response.HasStarted)
            {
                context.Response.Clear();
                context.Response.StatusCode = StatusCodes.Status500InternalServerError;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _meters.Dispose();
        _metrics.Dispose();
    }

    private Task AnswerAsync(HttpContext context)
    {
        if (!HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method))
        {
            context.Response.Headers.Allow = "GET, HEAD";
            return TextAsync(context, StatusCodes.Status405MethodNotAllowed, "only GET and HEAD are served here");
        }
        switch (context.Request.Path.Value)
        {
            case "/":
                string page = StatusHtml.Of(StatusView.Of(_reader.Read(), _time.GetUtcNow()), StatusReader.Version);
                return SendAsync(context, "text/html; charset=utf-8", Encoding.UTF8.GetBytes(page));
            case "/livez":
                return TextAsync(context, StatusCodes.Status200OK, "ok");
            case "/readyz" or "/healthz":
                IReadOnlyList<string> reasons = _reader.NotReady();
                return reasons.Count == 0
                    ? TextAsync(context, StatusCodes.Status200OK, "ok")
                    : TextAsync(context, StatusCodes.Status503ServiceUnavailable, string.Join('\n', reasons));
            case "/status":
                return JsonAsync(context, _reader.Read(), EdgeStatusJson.Default.EdgeStatus);
            case "/dead-letters":
                return DeadLettersAsync(context);
            case MetricsPath:
                _metrics.Refresh();
                return _scrape(context);
            case { } path when Find(path) is { } file:
                return SendAsync(context, file.ContentType, file.Content);
            default:
                return TextAsync(
                    context, StatusCodes.Status404NotFound, "not found; there are /, /status, /metrics, /dead-letters, /livez, /readyz and /healthz");
        }
    }

    private static Task TextAsync(HttpContext context, int code, string text)
    {
        context.Response.StatusCode = code;
        return SendAsync(context, "text/plain; charset=utf-8", Encoding.UTF8.GetBytes(text + "\n"));
    }

    private static async Task SendAsync(HttpContext context, string contentType, ReadOnlyMemory<byte> content)
    {
        context.Response.ContentType = contentType;
        context.Response.ContentLength = content.Length;
        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers.ContentSecurityPolicy = Policy;
        context.Response.Headers.XContentTypeOptions = "nosniff";
        context.Response.Headers["Referrer-Policy"] = "no-referrer";
        if (!HttpMethods.IsHead(context.Request.Method))
        {
            await context.Response.Body.WriteAsync(content, context.RequestAborted);
        }
    }

    private static (string ContentType, byte[] Content)? Find(string path)
    {
        foreach ((string known, string resource, string contentType) in StatusHtml.Files)
        {
            if (known == path)
            {
                using Stream stream = typeof(StatusPages).Assembly.GetManifestResourceStream(resource)
                    ?? throw new InvalidOperationException($"the program lacks {resource}");
                byte[] content = new byte[stream.Length];
                stream.ReadExactly(content);
                return (contentType, content);
            }
        }
        return null;
    }

    private Task DeadLettersAsync(HttpContext context)
    {
        string? from = context.Request.Query["from"];
        if (!long.TryParse(from ?? "0", NumberStyles.None, CultureInfo.InvariantCulture, out long number))
        {
            return TextAsync(context, StatusCodes.Status400BadRequest, "from must be the number of a record");
        }
        return JsonAsync(context, DeadLetterPage.Of(_deadLetters, number), EdgeStatusJson.Default.DeadLetterPage);
    }

    private static Task JsonAsync<T>(HttpContext context, T content, JsonTypeInfo<T> type)
    {
        var json = new ArrayBufferWriter<byte>(4096);
        using (var writer = new Utf8JsonWriter(json, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            JsonSerializer.Serialize(writer, content, type);
        }
        json.Write("\n"u8);
        return SendAsync(context, "application/json", json.WrittenMemory);
    }
}
