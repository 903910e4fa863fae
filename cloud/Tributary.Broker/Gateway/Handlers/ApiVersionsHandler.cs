using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Tells clients what is served (KIP-35). A request that is too new is answered in version 0 with UNSUPPORTED_VERSION and the same list, so
/// that the client knows what to ask instead (KIP-511).
/// </summary>
internal sealed class ApiVersionsHandler : ApiHandler
{
    /// <summary>The feature that stands for the newer consumer protocol, and its level (KIP-848).</summary>
    private const string GroupFeature = "group.version";
    private const short GroupLevel = 1;

    private const short FeaturesSince = 3;
    private const short LowestLevelSince = 4;

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
            ? WithFeatures(Answer(ErrorCode.None), request.Version)
            : new ApiVersionsResponse { ErrorCode = Counted(ErrorCode.InvalidRequest) };
        Write(request, answer, response);
    }

    private ApiVersionsResponse Answer(ErrorCode error) => new() { ErrorCode = Counted(error), ApiKeys = _served };

    /// <summary>Adds features. Clients of version 3 can't read that one may be at level 0 (KAFKA-17011).</summary>
    private static ApiVersionsResponse WithFeatures(ApiVersionsResponse response, short version)
    {
        if (version >= FeaturesSince)
        {
            short lowest = version >= LowestLevelSince ? (short)0 : GroupLevel;
            response.SupportedFeatures = [new() { Name = GroupFeature, MinVersion = lowest, MaxVersion = GroupLevel }];
            response.FinalizedFeatures = [new() { Name = GroupFeature, MinVersionLevel = GroupLevel, MaxVersionLevel = GroupLevel }];
            response.FinalizedFeaturesEpoch = 0;
        }
        return response;
    }

    /// <summary>Letters, digits, '-' and '.', neither of these two at an end (KIP-511).</summary>
    private static bool IsSoftwareName(string name) =>
        name.Length > 0 && char.IsAsciiLetterOrDigit(name[0]) && char.IsAsciiLetterOrDigit(name[^1])
        && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.');
}
