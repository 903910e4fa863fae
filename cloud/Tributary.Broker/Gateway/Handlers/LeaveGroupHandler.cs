using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Takes members out of a group; from version 3 on several, and static ones by their name (KIP-345).</summary>
internal sealed class LeaveGroupHandler(BrokerContext broker) : GroupHandler<LeaveGroupRequest, LeaveGroupResponse>(broker)
{
    private const short ManySince = 3;
    private const short InternalVersion = 5;

    /// <inheritdoc/>
    protected override async ValueTask<LeaveGroupResponse> AnswerAsync(
        Request request, LeaveGroupRequest body, CancellationToken cancellation)
    {
        bool isOne = request.Version < ManySince;
        var named = new LeaveGroupRequest
        {
            GroupId = body.GroupId,
            Members = isOne ? [new() { MemberId = body.MemberId }] : body.Members,
        };
        LeaveGroupResponse response = IsValid(body.GroupId, mayBeEmpty: false)
            ? await AskAsync(
                body.GroupId, groups => groups.LeaveAsync(named, CallerOf(request, InternalVersion), cancellation), Refuse, cancellation)
            : Refuse(ErrorCode.InvalidGroupId);
        if (isOne && response.ErrorCode == ErrorCode.None)
        {
            response = Refuse(response.Members.Single().ErrorCode);
        }
        Counted(response.ErrorCode);
        foreach (LeaveGroupResponse.MemberResponse member in response.Members)
        {
            Counted(member.ErrorCode);
        }
        return response;
    }

    private static LeaveGroupResponse Refuse(ErrorCode error) => new() { ErrorCode = error };
}
