using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Describes groups of the newer protocol with their members (KIP-848); clients ask DescribeGroups for the others.</summary>
internal sealed class ConsumerGroupDescribeHandler(BrokerContext broker)
    : GroupHandler<ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<ConsumerGroupDescribeResponse> AnswerAsync(
        Request request, ConsumerGroupDescribeRequest body, CancellationToken cancellation)
    {
        var groups = new ConsumerGroupDescribeResponse.DescribedGroup[body.GroupIds.Length];
        for (int i = 0; i < groups.Length; i++)
        {
            groups[i] = await DescribeAsync(request, body.GroupIds[i], cancellation);
            groups[i].AuthorizedOperations = body.IncludeAuthorizedOperations ? AllGroupOperations : int.MinValue;
        }
        return new ConsumerGroupDescribeResponse { Groups = groups };
    }

    private async Task<ConsumerGroupDescribeResponse.DescribedGroup> DescribeAsync(Request request, string id, CancellationToken cancellation)
    {
        ConsumerGroupDescribeResponse Refuse(ErrorCode error) => new()
        {
            Groups = [new() { GroupId = id, ErrorCode = error, GroupState = nameof(GroupState.Dead) }],
        };

        var one = new ConsumerGroupDescribeRequest { GroupIds = [id] };
        ConsumerGroupDescribeResponse response = IsValid(id, mayBeEmpty: false)
            ? await AskAsync(id, groups => groups.DescribeAsync(one, CallerOf(request), cancellation), Refuse, cancellation)
            : Refuse(ErrorCode.InvalidGroupId);
        ConsumerGroupDescribeResponse.DescribedGroup group = response.Groups.Single();
        Counted(group.ErrorCode);
        return group;
    }
}
