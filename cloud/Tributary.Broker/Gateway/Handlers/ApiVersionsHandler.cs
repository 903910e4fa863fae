using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Tells clients what is served (KIP-35). A request that is too new is answered in version 0 with UNSUPPORTED_VERSION and the same list, so
/// that the client knows what to ask instead (KIP-511).
/// </summary>
internal sealed class ApiVersionsHandler : ApiHandler
{
    private readonly ApiVersionsResponse.ApiVersion[] _served;

    /// <summary>Takes the handlers of all other APIs.</summary>
    public ApiVersionsHandler(BrokerContext broker, IEnumerable<ApiHandler> others)
        : base(broker, ApiVersionsRequest.Api)
    {
        _served =
        [
            .. others.Append(this).OrderBy(handler => handler.Api.Key).Select(handler => new ApiVersionsResponse.ApiVersion
            {
                ApiKey = handler.Api.Key,
                MinVersion = handler.AdvertisedMinVersion,
                MaxVersion = handler.MaxVersion,
            }),
        ];
    }

    /// <inheritdoc/>
    public override async ValueTask HandleAsync(Request request, ResponseFrame response, CancellationToken cancellation)
    {
        if (!request.IsVersionSupported)
        {
            Write(request with { Version = 0 }, Answer(ErrorCode.UnsupportedVersion), response);
            return;
        }
        ApiVersionsRequest body = await ReadAsync<ApiVersionsRequest>(request, cancellation);
        bool isNamed = request.Version < ApiVersionsRequest.FirstFlexibleVersion
            || (IsSoftwareName(body.ClientSoftwareName) && IsSoftwareName(body.ClientSoftwareVersion));
        ApiVersionsResponse answer = isNamed
            ? Answer(ErrorCode.None)
            : new ApiVersionsResponse { ErrorCode = Counted(ErrorCode.InvalidRequest) };
        Write(request, answer, response);
    }

    private ApiVersionsResponse Answer(ErrorCode error) => new() { ErrorCode = Counted(error), ApiKeys = _served };

    /// <summary>Letters, digits, '-' and '.', neither of these two at an end (KIP-511).</summary>
    private static bool IsSoftwareName(string name) =>
        name.Length > 0 && char.IsAsciiLetterOrDigit(name[0]) && char.IsAsciiLetterOrDigit(name[^1])
        && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.');
}
