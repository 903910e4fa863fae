using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Lists groups, from version 4 on by state (KIP-518) and from version 5 on by type (KIP-848); all are of the classic type.</summary>
internal sealed class ListGroupsHandler(BrokerContext broker) : GroupHandler<ListGroupsRequest, ListGroupsResponse>(broker)
{
    private const string Classic = "classic";
    private const int Page = 1000;

    /// <inheritdoc/>
    protected override async ValueTask<ListGroupsResponse> AnswerAsync(
        Request request, ListGroupsRequest body, CancellationToken cancellation)
    {
        if (body.TypesFilter.Length > 0 && !body.TypesFilter.Contains(Classic, StringComparer.OrdinalIgnoreCase))
        {
            return new ListGroupsResponse();
        }
        ListGroupsResponse response = await AskAsync(
            "", groups => ListAsync(groups, body.StatesFilter, cancellation), error => new() { ErrorCode = error }, cancellation);
        Counted(response.ErrorCode);
        return response;
    }

    private static async Task<ListGroupsResponse> ListAsync(IGroupCoordinator groups, string[] states, CancellationToken cancellation)
    {
        var listed = new List<ListGroupsResponse.ListedGroup>();
        string? after = null;
        while (true)
        {
            IReadOnlyList<GroupListing> page = await groups.ListAsync(after, Page, cancellation);
            foreach (GroupListing group in page)
            {
                string state = group.State.ToString();
                if (states.Length == 0 || states.Contains(state, StringComparer.OrdinalIgnoreCase))
                {
                    listed.Add(new() { GroupId = group.Id, ProtocolType = group.ProtocolType, GroupState = state, GroupType = Classic });
                }
            }
            if (page.Count < Page)
            {
                return new ListGroupsResponse { Groups = [.. listed] };
            }
            after = page[^1].Id;
        }
    }
}
