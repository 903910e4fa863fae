using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Tributary.Broker.Metadata;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Log;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Appends record batches, one for each partition. What was appended is acknowledged when it is durable (acks=1) or committed (acks=all),
/// a duplicate when its original is. Without acks there is no answer, and a failure closes the connection.
/// </summary>
internal sealed class ProduceHandler(BrokerContext broker) : PipelinedHandler(broker, ProduceRequest.Api)
{
    private const short AcksNone = 0;
    private const short AcksLeader = 1;
    private const short AcksAll = -1;
    private const short StorageErrorsSince = 4;

    /// <summary>Versions 0 to 2 are not served, but a client of old that isn't told of them doesn't compress.</summary>
    public override short AdvertisedMinVersion => 0;

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public override async ValueTask<PendingProduce?> BeginAsync(Request request, CancellationToken cancellation)
    {
        ProduceRequest body = await ReadAsync<ProduceRequest>(request, cancellation);
        if (!Broker.Logs.HasRoom)
        {
            await Broker.Logs.WaitForRoomAsync(cancellation);
        }
        BatchVerification[]? verified = body.TransactionalId is null
            ? null
            : await TransactionVerification.VerifyAsync(Broker, body, cancellation);
        return Begin(request, body, verified);
    }

    private Pending? Begin(Request request, ProduceRequest body, BatchVerification[]? verified)
    {
        int count = 0;
        foreach (ProduceRequest.TopicProduceData topic in body.TopicData)
        {
            count += topic.PartitionData.Length;
        }
        var batches = new ProducedBatch[count];
        CommitWait? wait = body.Acks == AcksNone ? null : new CommitWait(count);
        int slot = 0;
        foreach (ProduceRequest.TopicProduceData topic in body.TopicData)
        {
            foreach (ProduceRequest.PartitionProduceData partition in topic.PartitionData)
            {
                BatchVerification verification = verified is null ? default : verified[slot];
                ErrorCode error = Append(topic.Name, partition, request.Version, body, verification, wait, slot, ref batches[slot]);
                if (error != ErrorCode.None)
                {
                    FailSlot(wait, slot, error, topic.Name, partition.Index, batches[slot].Message);
                }
                slot++;
            }
        }
        return wait is null ? null : new Pending(this, request, body, batches, wait, Limit(body));
    }

    private TimeSpan Limit(ProduceRequest body)
    {
        TimeSpan most = Broker.Options.MaxProduceWait;
        var asked = TimeSpan.FromMilliseconds(Math.Max(body.TimeoutMs, 0));
        return body.Acks == AcksAll && asked < most ? asked : most;
    }

    private void FailSlot(CommitWait? wait, int slot, ErrorCode error, string topic, int index, string? message)
    {
        if (wait is null)
        {
            throw new ConnectionRefusedException(
                CloseReason.UnacknowledgedFailure, $"a batch without acks for {topic}-{index} failed with {Counted(error)}: {message}");
        }
        wait.Complete(slot, error);
    }

    private ErrorCode Append(
        string topic, ProduceRequest.PartitionProduceData data, short version, ProduceRequest body, in BatchVerification verification,
        CommitWait? wait, int slot, ref ProducedBatch produced)
    {
        if (body.Acks is not (AcksNone or AcksLeader or AcksAll))
        {
            return ErrorCode.InvalidRequiredAcks;
        }
        ErrorCode error = Broker.Partitions.Get(topic, data.Index, out Partition? partition);
        if (error != ErrorCode.None)
        {
            return error;
        }
        TopicSettings settings = partition!.Settings;
        long nowMs = Broker.Time.GetUtcNow().ToUnixTimeMilliseconds();
        error = BatchCheck.Check(
            data.Records.Span, version, settings, nowMs, Broker.Options.MaxDecompressedBytes, out RecordBatch batch, out produced.Message,
            out produced.Faults);
        if (error != ErrorCode.None)
        {
            return error;
        }
        if (batch.IsTransactional && body.TransactionalId is null)
        {
            produced.Message = "a transactional batch comes without a transactional id";
            return ErrorCode.TransactionalIdAuthorizationFailed;
        }
        if (verification.Error != ErrorCode.None)
        {
            produced.Message = verification.Message;
            return verification.Error;
        }
        AppendResult result;
        var sender = new BatchSender(batch.ProducerId, body.Incarnation, batch.IsTransactional, batch.ProducerEpoch, verification.Number);
        bool committed = body.Acks == AcksAll;
        produced.AppendTimeMs = -1;
        if (settings.LogAppendTime)
        {
            produced.AppendTimeMs = nowMs;
            error = AppendStamped(partition, batch.Bytes, nowMs, sender, wait, slot, committed, out result);
        }
        else
        {
            error = partition.Append(batch.Bytes, sender, wait, slot, committed, out result);
        }
        if (error == ErrorCode.None)
        {
            produced.Partition = partition;
            produced.Result = result;
            if (!result.IsDuplicate)
            {
                Broker.Metrics.Produced(batch.Size, batch.RecordCount);
            }
        }
        return error;
    }

    /// <summary>Appends a copy of a batch with the broker's time: the frame isn't the handler's to change.</summary>
    private static ErrorCode AppendStamped(
        Partition partition, ReadOnlySpan<byte> batch, long nowMs, BatchSender sender, CommitWait? wait, int slot, bool committed,
        out AppendResult result)
    {
        byte[] rented = ArrayPool<byte>.Shared.Rent(batch.Length);
        try
        {
            Span<byte> copy = rented.AsSpan(0, batch.Length);
            batch.CopyTo(copy);
            BatchCheck.StampAppendTime(copy, nowMs);
            return partition.Append(copy, sender, wait, slot, committed, out result);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private void WriteAnswer(Pending pending, ResponseFrame response)
    {
        ProduceRequest body = pending.Body;
        var hints = new LeaderHints(Broker.Control.Snapshot);
        var topics = new ProduceResponse.TopicProduceResponse[body.TopicData.Length];
        int slot = 0;
        for (int i = 0; i < topics.Length; i++)
        {
            ProduceRequest.TopicProduceData topic = body.TopicData[i];
            var partitions = new ProduceResponse.PartitionProduceResponse[topic.PartitionData.Length];
            for (int j = 0; j < partitions.Length; j++, slot++)
            {
                int index = topic.PartitionData[j].Index;
                ErrorCode outcome = TopicLookup.ForVersion(pending.Wait.Outcome(slot), pending.Request.Version, StorageErrorsSince);
                partitions[j] = AnswerPartition(index, Counted(outcome), pending.Batches[slot]);
                if (hints.Find(topic.Name, Guid.Empty, index, partitions[j].ErrorCode) is { } leader)
                {
                    partitions[j].CurrentLeader = new() { LeaderId = leader.Leader, LeaderEpoch = leader.LeaderEpoch };
                }
            }
            topics[i] = new() { Name = topic.Name, PartitionResponses = partitions };
        }
        Write(pending.Request, new ProduceResponse { Responses = topics, NodeEndpoints = hints.Nodes(ToEndpoint) }, response);
    }

    private static ProduceResponse.NodeEndpoint ToEndpoint(BrokerNode node) =>
        new() { NodeId = node.NodeId, Host = node.Host, Port = node.Port };

    private static ProduceResponse.PartitionProduceResponse AnswerPartition(int index, ErrorCode outcome, in ProducedBatch batch) =>
        outcome != ErrorCode.None
            ? new()
            {
                Index = index,
                ErrorCode = outcome,
                BaseOffset = -1,
                ErrorMessage = batch.Message,
                RecordErrors = batch.Faults is null ? [] : [.. batch.Faults.Select(ToError)],
            }
            : new()
            {
                Index = index,
                BaseOffset = batch.Result.BaseOffset,
                LogAppendTimeMs = batch.AppendTimeMs >= 0 && batch.Result.IsDuplicate ? AppendTimeOf(batch) : batch.AppendTimeMs,
                LogStartOffset = batch.Partition!.Log.StartOffset,
            };

    private static ProduceResponse.BatchIndexAndErrorMessage ToError(RecordFault fault) =>
        new() { BatchIndex = fault.Index, BatchIndexErrorMessage = fault.Message };

    /// <summary>The time that the broker stamped on the original of a duplicate; −1 if it can't be had any more.</summary>
    private static long AppendTimeOf(in ProducedBatch duplicate)
    {
        try
        {
            using LogRead read = duplicate.Partition!.Log.Read(duplicate.Result.BaseOffset, 1, duplicate.Result.LastOffset + 1);
            Span<byte> header = stackalloc byte[BatchLayout.HeaderSize];
            if (read.Size < header.Length)
            {
                return -1;
            }
            read.Bytes.Slice(0, header.Length).CopyTo(header);
            return BinaryPrimitives.ReadInt64BigEndian(header[BatchLayout.MaxTimestamp..]);
        }
        catch (Exception e) when (e is OffsetOutOfRangeException or IOException)
        {
            return -1;
        }
    }

    /// <summary>What became of one batch, as far as its append says.</summary>
    private struct ProducedBatch
    {
        public Partition? Partition;
        public AppendResult Result;
        public long AppendTimeMs;
        public string? Message;
        public List<RecordFault>? Faults;
    }

    private sealed class Pending(
        ProduceHandler handler, Request request, ProduceRequest body, ProducedBatch[] batches, CommitWait wait, TimeSpan limit)
        : PendingProduce(request, wait, limit)
    {
        /// <summary>The request; its records are gone.</summary>
        public ProduceRequest Body { get; } = body;

        public ProducedBatch[] Batches { get; } = batches;

        public override void WriteTo(ResponseFrame response) => handler.WriteAnswer(this, response);
    }
}
