using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Says which broker serves a group or a transactional id: any one does, so it is this one.</summary>
internal sealed class FindCoordinatorHandler(BrokerContext broker) : ApiHandler<FindCoordinatorRequest, FindCoordinatorResponse>(broker)
{
    private const sbyte GroupKey = 0;
    private const sbyte TransactionKey = 1;
    private const short ManyKeysSince = 4;
    private const int NoNode = -1;

    /// <inheritdoc/>
    protected override ValueTask<FindCoordinatorResponse> AnswerAsync(
        Request request, FindCoordinatorRequest body, CancellationToken cancellation)
    {
        if (request.Version >= ManyKeysSince)
        {
            return new(new FindCoordinatorResponse { Coordinators = [.. body.CoordinatorKeys.Select(key => Find(key, body.KeyType))] });
        }
        FindCoordinatorResponse.Coordinator found = Find(body.Key, body.KeyType);
        return new(new FindCoordinatorResponse
        {
            ErrorCode = found.ErrorCode,
            ErrorMessage = found.ErrorMessage,
            NodeId = found.NodeId,
            Host = found.Host,
            Port = found.Port,
        });
    }

    private FindCoordinatorResponse.Coordinator Find(string key, sbyte type)
    {
        ClusterSnapshot snapshot = Broker.Control.Snapshot;
        BrokerNode? here = snapshot.Brokers.FirstOrDefault(broker => broker.NodeId == snapshot.NodeId);
        return (type, here) switch
        {
            (GroupKey or TransactionKey, not null) => new() { Key = key, NodeId = here.NodeId, Host = here.Host, Port = here.Port, ErrorMessage = null },
            (GroupKey or TransactionKey, null) => Refuse(key, ErrorCode.CoordinatorNotAvailable, "This broker is not part of the cluster yet."),
            _ => Refuse(key, ErrorCode.InvalidRequest, $"There are no coordinators of key type {type} here."),
        };
    }

    private FindCoordinatorResponse.Coordinator Refuse(string key, ErrorCode error, string message) =>
        new() { Key = key, NodeId = NoNode, Host = "", Port = NoNode, ErrorCode = Counted(error), ErrorMessage = message };
}
