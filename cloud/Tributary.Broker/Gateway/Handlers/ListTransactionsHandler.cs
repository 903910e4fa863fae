using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Lists transactional ids, by state and producer (KIP-664) and from version 1 on by how long their transaction is open (KIP-994).
/// </summary>
internal sealed class ListTransactionsHandler(BrokerContext broker)
    : TransactionHandler<ListTransactionsRequest, ListTransactionsResponse>(broker)
{
    private const int Page = 1000;
    private static readonly HashSet<string> States = [.. Enum.GetNames<TransactionState>()];

    /// <inheritdoc/>
    protected override async ValueTask<ListTransactionsResponse> AnswerAsync(
        Request request, ListTransactionsRequest body, CancellationToken cancellation)
    {
        ListTransactionsResponse response;
        try
        {
            response = await ListAsync(body, cancellation);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
        {
            Broker.Logger.TransactionRequestFailed(e, Name, "");
            response = new ListTransactionsResponse { ErrorCode = Counted(ErrorCode.CoordinatorNotAvailable) };
        }
        response.UnknownStateFilters = [.. body.StateFilters.Where(state => !States.Contains(state))];
        return response;
    }

    private async Task<ListTransactionsResponse> ListAsync(ListTransactionsRequest body, CancellationToken cancellation)
    {
        long now = Broker.Time.GetUtcNow().ToUnixTimeMilliseconds();
        HashSet<long> producers = [.. body.ProducerIdFilters];
        HashSet<string> states = [.. body.StateFilters];
        var listed = new List<ListTransactionsResponse.TransactionState>();
        IReadOnlyList<TransactionListing> page;
        string? after = null;
        do
        {
            page = await Transactions.ListAsync(after, Page, cancellation);
            foreach (TransactionListing one in page)
            {
                string state = one.State.ToString();
                bool isOpenLong = body.DurationFilter < 0 || (one.StartMs >= 0 && now - one.StartMs > body.DurationFilter);
                if (isOpenLong && (states.Count == 0 || states.Contains(state)) && (producers.Count == 0 || producers.Contains(one.ProducerId)))
                {
                    listed.Add(new() { TransactionalId = one.TransactionalId, ProducerId = one.ProducerId, State = state });
                }
                after = one.TransactionalId;
            }
        }
        while (page.Count == Page);
        return new ListTransactionsResponse { TransactionStates = [.. listed] };
    }
}
