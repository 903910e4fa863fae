using Tributary.Broker.Groups.Modern;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Hears members of the newer protocol join, live and leave, and tells them what they shall have (KIP-848).</summary>
internal sealed class ConsumerGroupHeartbeatHandler(BrokerContext broker)
    : GroupHandler<ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<ConsumerGroupHeartbeatResponse> AnswerAsync(
        Request request, ConsumerGroupHeartbeatRequest body, CancellationToken cancellation)
    {
        ConsumerGroupHeartbeatResponse response = body.GroupId.Length == 0 ? Refuse(ErrorCode.InvalidRequest, "GroupId can't be empty.")
            : !IsValid(body.GroupId, mayBeEmpty: false) ? Refuse(ErrorCode.InvalidGroupId, "GroupId is too long.")
            : HeartbeatRules.FindFault(body, request.Version) is { } fault ? Refuse(fault.Error, fault.Message)
            : await AskAsync(
                body.GroupId, groups => groups.HeartbeatAsync(body, CallerOf(request), cancellation), error => Refuse(error, null), cancellation);
        Counted(response.ErrorCode);
        return response;
    }

    private static ConsumerGroupHeartbeatResponse Refuse(ErrorCode error, string? message) => new() { ErrorCode = error, ErrorMessage = message };
}
