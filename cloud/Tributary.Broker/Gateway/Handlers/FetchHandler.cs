using System.Runtime.CompilerServices;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Gives consumers the batches below the high watermark, from the log's memory into the connection's pipe. A request stands for itself, or
/// begins a session, or goes on in one (KIP-227): then it names what has changed, and so does the answer.
/// </summary>
internal sealed class FetchHandler(BrokerContext broker) : ApiHandler(broker, FetchRequest.Api)
{
    private const short StorageErrorsSince = 6;
    private const short TopicIdsSince = 13;
    private const sbyte ReadCommitted = 1;

    /// <summary>The session epoch of a request that begins a session.</summary>
    private const int FirstEpoch = 0;

    /// <summary>The session epoch of a request that ends its session, or has none.</summary>
    private const int FinalEpoch = -1;

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public override async ValueTask HandleAsync(Request request, ResponseFrame response, CancellationToken cancellation)
    {
        FetchRequest body = await ReadAsync<FetchRequest>(request, cancellation);
        bool byId = request.Version >= TopicIdsSince;
        if (body.SessionEpoch is not (FirstEpoch or FinalEpoch))
        {
            await GoOnAsync(request, body, byId, response, cancellation);
            return;
        }
        if (body.SessionId != 0)
        {
            Broker.FetchSessions.Remove(body.SessionId);
        }
        FetchTarget[] targets = Resolve(WishesOf(body, byId), byId, body);
        using FetchRound round = RoundOf(body, targets);
        await round.RunAsync(Limit(body.MaxWaitMs), cancellation);
        round.ChargeTo(response);
        int session = body.SessionEpoch == FirstEpoch ? Broker.FetchSessions.Create(targets, byId) : 0;
        Write(request, Answer(request, body, targets, session), response);
        Broker.Metrics.Fetched(response.SplicedBytes);
    }

    /// <summary>Goes on in a session.</summary>
    private async ValueTask GoOnAsync(
        Request request, FetchRequest body, bool byId, ResponseFrame response, CancellationToken cancellation)
    {
        // The request is small and what it stands for may not be.
        long claim = RequestMemory.CostOf(Broker.FetchSessions.SizeOf(body.SessionId));
        if (claim > 0 && !Broker.RequestMemory.TryAcquire(claim))
        {
            Broker.FetchSessions.Remove(body.SessionId);
            WriteError(request, ErrorCode.FetchSessionIdNotFound, response);
            return;
        }
        try
        {
            ErrorCode error = Broker.FetchSessions.Begin(body, byId, out FetchSession? session, out FetchWish[] wishes, out int epoch);
            if (error != ErrorCode.None)
            {
                WriteError(request, error, response);
                return;
            }
            FetchTarget[] targets = Resolve(wishes, byId, body);
            using FetchRound round = RoundOf(body, targets);
            await round.RunAsync(Limit(body.MaxWaitMs), cancellation);
            if (session!.Settle(targets, epoch) is not { } told)
            {
                WriteError(request, ErrorCode.InvalidFetchSessionEpoch, response);
                return;
            }
            round.ChargeTo(response);
            Write(request, Answer(request, body, told, wishes.Length == 0 ? 0 : session.Id), response);
            Broker.Metrics.Fetched(response.SplicedBytes);
        }
        finally
        {
            Broker.RequestMemory.Release(claim);
        }
    }

    private void WriteError(Request request, ErrorCode error, ResponseFrame response) =>
        Write(request, new FetchResponse { ErrorCode = Counted(error) }, response);

    private FetchRound RoundOf(FetchRequest body, FetchTarget[] targets) =>
        new(Broker, targets, body.MinBytes, Math.Clamp(body.MaxBytes, 0, Broker.Options.MaxFetchBytes));

    private TimeSpan Limit(int maxWaitMs)
    {
        var asked = TimeSpan.FromMilliseconds(Math.Max(maxWaitMs, 0));
        return asked < Broker.Options.MaxFetchWait ? asked : Broker.Options.MaxFetchWait;
    }

    private static FetchWish[] WishesOf(FetchRequest body, bool byId)
    {
        int count = 0;
        foreach (FetchRequest.FetchTopic topic in body.Topics)
        {
            count += topic.Partitions.Length;
        }
        var wishes = new FetchWish[count];
        int next = 0;
        foreach (FetchRequest.FetchTopic topic in body.Topics)
        {
            foreach (FetchRequest.FetchPartition asked in topic.Partitions)
            {
                wishes[next++] = FetchWish.Of(topic, asked, byId);
            }
        }
        return wishes;
    }

    private FetchTarget[] Resolve(FetchWish[] wishes, bool byId, FetchRequest body)
    {
        var targets = new FetchTarget[wishes.Length];
        for (int i = 0; i < targets.Length; i++)
        {
            FetchKey key = wishes[i].Key;
            ErrorCode error = byId
                ? Broker.Partitions.Get(key.TopicId, key.Partition, out Partition? partition)
                : Broker.Partitions.Get(key.Topic, key.Partition, out partition);
            targets[i] = new FetchTarget(wishes[i])
            {
                Partition = partition,
                Error = error,
                IsCommittedOnly = body.IsolationLevel == ReadCommitted,
            };
        }
        return targets;
    }

    /// <summary>Partitions of the same topic that lie beside each other share its entry.</summary>
    private FetchResponse Answer(Request request, FetchRequest body, FetchTarget[] targets, int session)
    {
        var hints = new LeaderHints(Broker.Control.Snapshot);
        var topics = new FetchResponse.FetchableTopicResponse[CountTopics(targets)];
        int next = 0;
        for (int i = 0; i < topics.Length; i++)
        {
            FetchKey topic = targets[next].Wish.Key;
            int end = EndOfTopic(targets, next);
            var partitions = new FetchResponse.PartitionData[end - next];
            for (int j = 0; j < partitions.Length; j++)
            {
                FetchTarget target = targets[next++];
                partitions[j] = Answer(target, request.Version);
                if (hints.Find(topic.Topic, topic.TopicId, target.Index, target.Error) is { } leader)
                {
                    partitions[j].CurrentLeader = new() { LeaderId = leader.Leader, LeaderEpoch = leader.LeaderEpoch };
                }
            }
            topics[i] = new() { Topic = topic.Topic, TopicId = topic.TopicId, Partitions = partitions };
        }
        return new FetchResponse
        {
            SessionId = session,
            Responses = topics,
            NodeEndpoints = hints.Nodes(ToEndpoint),
        };
    }

    private static int CountTopics(FetchTarget[] targets)
    {
        int count = 0;
        for (int at = 0; at < targets.Length; at = EndOfTopic(targets, at))
        {
            count++;
        }
        return count;
    }

    private static int EndOfTopic(FetchTarget[] targets, int from)
    {
        FetchKey topic = targets[from].Wish.Key with { Partition = 0 };
        int end = from + 1;
        while (end < targets.Length && targets[end].Wish.Key with { Partition = 0 } == topic)
        {
            end++;
        }
        return end;
    }

    private static FetchResponse.AbortedTransaction[] AbortedIn(FetchTarget target)
    {
        var aborted = new FetchResponse.AbortedTransaction[target.Aborted.Count];
        for (int i = 0; i < aborted.Length; i++)
        {
            aborted[i] = new() { ProducerId = target.Aborted[i].ProducerId, FirstOffset = target.Aborted[i].FirstOffset };
        }
        return aborted;
    }

    private static FetchResponse.NodeEndpoint ToEndpoint(BrokerNode node) =>
        new() { NodeId = node.NodeId, Host = node.Host, Port = node.Port };

    private FetchResponse.PartitionData Answer(FetchTarget target, short version) => new()
    {
        PartitionIndex = target.Index,
        ErrorCode = Counted(TopicLookup.ForVersion(target.Error, version, StorageErrorsSince)),
        HighWatermark = target.HighWatermark,
        LastStableOffset = target.LastStableOffset,
        LogStartOffset = target.StartOffset,
        DivergingEpoch = target.Diverging is { } diverging ? new() { Epoch = diverging.Epoch, EndOffset = diverging.EndOffset } : null,
        AbortedTransactions = target.IsCommittedOnly ? AbortedIn(target) : null,
        Records = target.Size > 0 ? target : default(RecordBytes),
    };
}
