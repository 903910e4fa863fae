using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Takes the leader's assignments and hands each member its own, once they are stored.</summary>
internal sealed class SyncGroupHandler(BrokerContext broker) : GroupHandler<SyncGroupRequest, SyncGroupResponse>(broker)
{
    private const short ProtocolRequiredSince = 5;

    /// <inheritdoc/>
    protected override async ValueTask<SyncGroupResponse> AnswerAsync(
        Request request, SyncGroupRequest body, CancellationToken cancellation)
    {
        bool namesProtocol = request.Version < ProtocolRequiredSince || (body.ProtocolType is not null && body.ProtocolName is not null);
        SyncGroupResponse response = !IsValid(body.GroupId, mayBeEmpty: false) ? Refuse(ErrorCode.InvalidGroupId)
            : !namesProtocol ? Refuse(ErrorCode.InconsistentGroupProtocol)
            : await AskAsync(body.GroupId, groups => groups.SyncAsync(body, CallerOf(request), cancellation), Refuse, cancellation);
        Counted(response.ErrorCode);
        return response;
    }

    private static SyncGroupResponse Refuse(ErrorCode error) => new() { ErrorCode = error };
}
