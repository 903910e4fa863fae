using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Names the brokers of the cluster (KIP-700).</summary>
internal sealed class DescribeClusterHandler(BrokerContext broker) : ApiHandler<DescribeClusterRequest, DescribeClusterResponse>(broker)
{
    private const sbyte Brokers = 1;
    private const sbyte Controllers = 2;

    /// <inheritdoc/>
    protected override ValueTask<DescribeClusterResponse> AnswerAsync(
        Request request, DescribeClusterRequest body, CancellationToken cancellation)
    {
        if (body.EndpointType != Brokers)
        {
            return new(body.EndpointType == Controllers
                ? Refuse(ErrorCode.MismatchedEndpointType, "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER")
                : Refuse(ErrorCode.UnsupportedEndpointType, $"Unsupported endpoint type {body.EndpointType}"));
        }
        ClusterSnapshot snapshot = Broker.Control.Snapshot;
        return new(new DescribeClusterResponse
        {
            ClusterId = snapshot.ClusterId,
            ControllerId = snapshot.ControllerId,
            Brokers =
            [
                .. snapshot.Brokers.Select(node => new DescribeClusterResponse.DescribeClusterBroker
                {
                    BrokerId = node.NodeId,
                    Host = node.Host,
                    Port = node.Port,
                }),
            ],
            ClusterAuthorizedOperations =
                body.IncludeClusterAuthorizedOperations ? AuthorizedOperations.OfCluster : AuthorizedOperations.Omitted,
        });
    }

    private DescribeClusterResponse Refuse(ErrorCode error, string message) => new() { ErrorCode = Counted(error), ErrorMessage = message };
}
