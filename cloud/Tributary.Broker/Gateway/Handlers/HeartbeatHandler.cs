using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Hears that members live, and tells them when the group makes its next generation.</summary>
internal sealed class HeartbeatHandler(BrokerContext broker) : GroupHandler<HeartbeatRequest, HeartbeatResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<HeartbeatResponse> AnswerAsync(
        Request request, HeartbeatRequest body, CancellationToken cancellation)
    {
        HeartbeatResponse response = IsValid(body.GroupId, mayBeEmpty: false)
            ? await AskAsync(body.GroupId, groups => groups.HeartbeatAsync(body, CallerOf(request), cancellation), Refuse, cancellation)
            : Refuse(ErrorCode.InvalidGroupId);
        Counted(response.ErrorCode);
        return response;
    }

    private static HeartbeatResponse Refuse(ErrorCode error) => new() { ErrorCode = error };
}
