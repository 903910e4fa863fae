using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Tributary.Cloud.Api;

/// <summary>What load balancers and supervisors ask: <c>/livez</c>, <c>/readyz</c> and its other name <c>/healthz</c>.</summary>
internal static class HealthEndpoints
{
    /// <summary>Adds them.</summary>
    public static void MapHealth(this IEndpointRouteBuilder routes, Readiness readiness)
    {
        RequestDelegate ready = context => AnswerReadyAsync(context, readiness);
        routes.MapGet("/livez", static context => AnswerAsync(context, StatusCodes.Status200OK, "The process runs."));
        routes.MapGet("/readyz", ready);
        routes.MapGet("/healthz", ready);
    }

    private static async Task AnswerReadyAsync(HttpContext context, Readiness readiness)
    {
        string? reason = await readiness.FindReasonAsync();
        await (reason is null
            ? AnswerAsync(context, StatusCodes.Status200OK, "Ready.")
            : AnswerAsync(context, StatusCodes.Status503ServiceUnavailable, reason));
    }

    private static Task AnswerAsync(HttpContext context, int status, string sentence)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        context.Response.Headers.CacheControl = "no-store";
        return context.Response.WriteAsync(sentence + "\n", context.RequestAborted);
    }
}
