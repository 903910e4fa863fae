using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Tributary.Edge.Status;

namespace Tributary.Edge.Listeners;

/// <summary>All HTTP of the agent: its pages, and WebSocket at listeners of MQTT. Callable from any thread.</summary>
internal sealed class HttpApplication(StatusPages pages, WebSocketEntrance webSockets) : IHttpApplication<HttpContext>
{
    /// <inheritdoc/>
    public HttpContext CreateContext(IFeatureCollection contextFeatures) => pages.CreateContext(contextFeatures);

    /// <inheritdoc/>
    public void DisposeContext(HttpContext context, Exception? exception) => pages.DisposeContext(context, exception);

    /// <inheritdoc/>
    public async Task ProcessRequestAsync(HttpContext context)
    {
        if (WebSocketEntrance.IsFor(context))
        {
            await webSockets.ServeAsync(context);
            return;
        }
        await Task.Yield(); // a page takes longer than the thread has that reads from MQTT clients
        await pages.ProcessRequestAsync(context);
    }
}
