using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Takes members into a group. The answer comes when the group's next generation begins.</summary>
internal sealed class JoinGroupHandler(BrokerContext broker) : GroupHandler<JoinGroupRequest, JoinGroupResponse>(broker)
{
    private const short NullProtocolSince = 7;

    /// <inheritdoc/>
    protected override async ValueTask<JoinGroupResponse> AnswerAsync(
        Request request, JoinGroupRequest body, CancellationToken cancellation)
    {
        JoinGroupResponse response = IsValid(body.GroupId, mayBeEmpty: false)
            ? await AskAsync(
                body.GroupId, groups => groups.JoinAsync(body, CallerOf(request), cancellation), error => Refuse(body, error), cancellation)
            : Refuse(body, ErrorCode.InvalidGroupId);
        if (Counted(response.ErrorCode) != ErrorCode.None)
        {
            response.ProtocolName = request.Version >= NullProtocolSince ? null : "";
        }
        return response;
    }

    private static JoinGroupResponse Refuse(JoinGroupRequest request, ErrorCode error) => new() { ErrorCode = error, MemberId = request.MemberId };
}
