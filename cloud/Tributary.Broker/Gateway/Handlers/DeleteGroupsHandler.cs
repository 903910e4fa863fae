using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Deletes groups without members, with their offsets.</summary>
internal sealed class DeleteGroupsHandler(BrokerContext broker) : GroupHandler<DeleteGroupsRequest, DeleteGroupsResponse>(broker)
{
    /// <inheritdoc/>
    protected override async ValueTask<DeleteGroupsResponse> AnswerAsync(
        Request request, DeleteGroupsRequest body, CancellationToken cancellation)
    {
        var results = new DeleteGroupsResponse.DeletableGroupResult[body.GroupsNames.Length];
        for (int i = 0; i < results.Length; i++)
        {
            results[i] = await DeleteAsync(request, body.GroupsNames[i], cancellation);
        }
        return new DeleteGroupsResponse { Results = results };
    }

    private async Task<DeleteGroupsResponse.DeletableGroupResult> DeleteAsync(Request request, string id, CancellationToken cancellation)
    {
        DeleteGroupsResponse Refuse(ErrorCode error) => new() { Results = [new() { GroupId = id, ErrorCode = error }] };

        var one = new DeleteGroupsRequest { GroupsNames = [id] };
        DeleteGroupsResponse response = IsValid(id, mayBeEmpty: true)
            ? await AskAsync(id, groups => groups.DeleteAsync(one, CallerOf(request), cancellation), Refuse, cancellation)
            : Refuse(ErrorCode.InvalidGroupId);
        DeleteGroupsResponse.DeletableGroupResult result = response.Results.Single();
        Counted(result.ErrorCode);
        return result;
    }
}
