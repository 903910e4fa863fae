using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Describes groups. One that isn't there is dead, and from version 6 on an error (KIP-1043).</summary>
internal sealed class DescribeGroupsHandler(BrokerContext broker) : GroupHandler<DescribeGroupsRequest, DescribeGroupsResponse>(broker)
{
    private const short NotFoundSince = 6;
    private const short InternalVersion = 6;

    /// <inheritdoc/>
    protected override async ValueTask<DescribeGroupsResponse> AnswerAsync(
        Request request, DescribeGroupsRequest body, CancellationToken cancellation)
    {
        var groups = new DescribeGroupsResponse.DescribedGroup[body.Groups.Length];
        for (int i = 0; i < groups.Length; i++)
        {
            groups[i] = await DescribeAsync(request, body.Groups[i], cancellation);
            groups[i].AuthorizedOperations = body.IncludeAuthorizedOperations ? AllGroupOperations : int.MinValue;
        }
        return new DescribeGroupsResponse { Groups = groups };
    }

    private async Task<DescribeGroupsResponse.DescribedGroup> DescribeAsync(Request request, string id, CancellationToken cancellation)
    {
        DescribeGroupsResponse Refuse(ErrorCode error) => new()
        {
            Groups = [new() { GroupId = id, ErrorCode = error, GroupState = nameof(GroupState.Dead) }],
        };

        var one = new DescribeGroupsRequest { Groups = [id] };
        DescribeGroupsResponse response = IsValid(id, mayBeEmpty: true)
            ? await AskAsync(id, groups => groups.DescribeAsync(one, CallerOf(request, InternalVersion), cancellation), Refuse, cancellation)
            : Refuse(ErrorCode.InvalidGroupId);
        DescribeGroupsResponse.DescribedGroup group = response.Groups.Single();
        if (group.ErrorCode == ErrorCode.GroupIdNotFound && request.Version < NotFoundSince)
        {
            group.ErrorCode = ErrorCode.None;
            group.ErrorMessage = null;
        }
        Counted(group.ErrorCode);
        return group;
    }
}
