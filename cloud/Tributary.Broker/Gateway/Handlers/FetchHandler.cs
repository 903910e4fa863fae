using System.Runtime.CompilerServices;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Gives consumers the batches below the high watermark, from the log's memory into the connection's pipe. Each request stands for itself:
/// the answer's session id is 0, and who believes to have a session is told that it is gone (KIP-227).
/// </summary>
internal sealed class FetchHandler(BrokerContext broker) : ApiHandler(broker, FetchRequest.Api)
{
    private const short TopicIdsSince = 13;
    private const sbyte ReadCommitted = 1;

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public override async ValueTask HandleAsync(Request request, ResponseFrame response, CancellationToken cancellation)
    {
        FetchRequest body = await ReadAsync<FetchRequest>(request, cancellation);
        if (body.SessionEpoch > 0)
        {
            Write(request, new FetchResponse { ErrorCode = Counted(ErrorCode.FetchSessionIdNotFound) }, response);
            return;
        }
        FetchTarget[] targets = Resolve(body, request.Version >= TopicIdsSince);
        int maxBytes = Math.Clamp(body.MaxBytes, 0, Broker.Options.MaxFetchBytes);
        using var round = new FetchRound(Broker, targets, body.MinBytes, maxBytes);
        await round.RunAsync(Limit(body.MaxWaitMs), cancellation);
        round.ChargeTo(response);
        Write(request, Answer(body, targets), response);
        Broker.Metrics.Fetched(response.SplicedBytes);
    }

    private TimeSpan Limit(int maxWaitMs)
    {
        var asked = TimeSpan.FromMilliseconds(Math.Max(maxWaitMs, 0));
        return asked < Broker.Options.MaxFetchWait ? asked : Broker.Options.MaxFetchWait;
    }

    private FetchTarget[] Resolve(FetchRequest body, bool byId)
    {
        int count = 0;
        foreach (FetchRequest.FetchTopic topic in body.Topics)
        {
            count += topic.Partitions.Length;
        }
        var targets = new FetchTarget[count];
        int next = 0;
        foreach (FetchRequest.FetchTopic topic in body.Topics)
        {
            foreach (FetchRequest.FetchPartition asked in topic.Partitions)
            {
                ErrorCode error = byId
                    ? Broker.Partitions.Get(topic.TopicId, asked.Partition, out Partition? partition)
                    : Broker.Partitions.Get(topic.Topic, asked.Partition, out partition);
                targets[next++] = new FetchTarget(
                    asked.Partition, asked.FetchOffset, asked.PartitionMaxBytes, asked.CurrentLeaderEpoch, asked.LastFetchedEpoch)
                {
                    Partition = partition,
                    Error = error,
                };
            }
        }
        return targets;
    }

    private FetchResponse Answer(FetchRequest body, FetchTarget[] targets)
    {
        var hints = new LeaderHints(Broker.Control.Snapshot);
        var topics = new FetchResponse.FetchableTopicResponse[body.Topics.Length];
        int next = 0;
        for (int i = 0; i < topics.Length; i++)
        {
            FetchRequest.FetchTopic asked = body.Topics[i];
            var partitions = new FetchResponse.PartitionData[asked.Partitions.Length];
            for (int j = 0; j < partitions.Length; j++)
            {
                FetchTarget target = targets[next++];
                partitions[j] = Answer(target, body.IsolationLevel == ReadCommitted);
                if (hints.Find(asked.Topic, asked.TopicId, target.Index, target.Error) is { } leader)
                {
                    partitions[j].CurrentLeader = new() { LeaderId = leader.Leader, LeaderEpoch = leader.LeaderEpoch };
                }
            }
            topics[i] = new() { Topic = asked.Topic, TopicId = asked.TopicId, Partitions = partitions };
        }
        return new FetchResponse
        {
            Responses = topics,
            NodeEndpoints = hints.Nodes(ToEndpoint),
        };
    }

    private static FetchResponse.NodeEndpoint ToEndpoint(BrokerNode node) =>
        new() { NodeId = node.NodeId, Host = node.Host, Port = node.Port };

    private FetchResponse.PartitionData Answer(FetchTarget target, bool isCommittedOnly) => new()
    {
        PartitionIndex = target.Index,
        ErrorCode = Counted(target.Error),
        HighWatermark = target.HighWatermark,
        LastStableOffset = target.HighWatermark, // nothing is transactional
        LogStartOffset = target.StartOffset,
        DivergingEpoch = target.Diverging is { } diverging ? new() { Epoch = diverging.Epoch, EndOffset = diverging.EndOffset } : null,
        AbortedTransactions = isCommittedOnly ? [] : null,
        Records = target.Size > 0 ? target : default(RecordBytes),
    };
}
