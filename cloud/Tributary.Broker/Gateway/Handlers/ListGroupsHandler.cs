using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Lists groups, from version 4 on by state (KIP-518) and from version 5 on by type (KIP-848).</summary>
internal sealed class ListGroupsHandler(BrokerContext broker) : GroupHandler<ListGroupsRequest, ListGroupsResponse>(broker)
{
    private const string Classic = "classic";
    private const string Consumer = "consumer";
    private const int Page = 1000;

    /// <inheritdoc/>
    protected override async ValueTask<ListGroupsResponse> AnswerAsync(
        Request request, ListGroupsRequest body, CancellationToken cancellation)
    {
        ListGroupsResponse response = await AskAsync(
            "", groups => ListAsync(groups, body, cancellation), error => new() { ErrorCode = error }, cancellation);
        Counted(response.ErrorCode);
        return response;
    }

    private static async Task<ListGroupsResponse> ListAsync(IGroupCoordinator groups, ListGroupsRequest body, CancellationToken cancellation)
    {
        var listed = new List<ListGroupsResponse.ListedGroup>();
        string? after = null;
        while (true)
        {
            IReadOnlyList<GroupListing> page = await groups.ListAsync(after, Page, cancellation);
            foreach (GroupListing group in page)
            {
                string state = group.State.ToString();
                string type = group.IsModern ? Consumer : Classic;
                if (IsWanted(state, body.StatesFilter) && IsWanted(type, body.TypesFilter))
                {
                    listed.Add(new() { GroupId = group.Id, ProtocolType = group.ProtocolType, GroupState = state, GroupType = type });
                }
            }
            if (page.Count < Page)
            {
                return new ListGroupsResponse { Groups = [.. listed] };
            }
            after = page[^1].Id;
        }
    }

    private static bool IsWanted(string what, string[] filter) =>
        filter.Length == 0 || filter.Contains(what, StringComparer.OrdinalIgnoreCase);
}
