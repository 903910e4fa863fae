using Tributary.Broker.Metadata;
using Tributary.Broker.Transactions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Log;

namespace Tributary.Broker.Groups;

/// <content>
/// Offsets that transactions commit (KIP-98). They are stored beside the group's offsets and become those, in one write, when the coordinator
/// has decided so. Each notes the version of the transaction it was taken in: a decision that was made before doesn't touch it.
/// </content>
public sealed partial class GroupHost
{
    private readonly PendingOffsets _pending = new();
    private readonly VerifiedProducers _verified = new();

    // When the last commit of the group itself came, and of what a transaction is to commit, Unix ms.
    private long _lastOwn;
    private long _lastPending;

    /// <inheritdoc cref="IGroupCoordinator.CommitAsync(TxnOffsetCommitRequest, GroupCaller, CancellationToken)"/>
    public async Task<TxnOffsetCommitResponse> CommitAsync(TxnOffsetCommitRequest request, GroupCaller caller)
    {
        await ReadyAsync();
        long number = _verified.Begin(request.ProducerId);
        VerifiedGroup verified = await _context.Transactions.VerifyGroupAsync(
            request.TransactionalId, new ProducerIdentity(request.ProducerId, request.ProducerEpoch), _id, CancellationToken.None);
        await ReadyAsync();
        ErrorCode refusal = verified.Error != ErrorCode.None ? ForCommitters(verified.Error)
            : !_verified.Allow(request.ProducerId, number) ? ErrorCode.InvalidTxnState // it ended while that was asked
            : CheckCommit(request, caller.Version);
        Changed();
        bool isAny = false;
        TxnOffsetCommitResponse response = OffsetMessages.AnswerCommit(request, (partition, asked) =>
        {
            ErrorCode error = refusal != ErrorCode.None ? refusal : NotePending(request.ProducerId, verified.Version, partition, asked);
            isAny |= error == ErrorCode.None;
            return error;
        });
        try
        {
            await (isAny ? _writer.WriteAsync() : Task.CompletedTask);
            return response;
        }
        catch (GroupLimitException e)
        {
            Refuse(GroupRefusal.TooManyGroups, e.Message);
            return OffsetMessages.AnswerCommit(request, (_, _) => ErrorCode.PolicyViolation);
        }
    }

    /// <inheritdoc cref="IGroupCoordinator.EndTransactionAsync"/>
    public async Task EndTransactionAsync(TransactionMarker marker)
    {
        await ReadyAsync();
        _verified.Forget(marker.ProducerId);
        if (!_writer.IsIdle)
        {
            await _writer.WriteAsync(); // what was noted before may be of the transaction, and nothing of it comes after that
        }
        await ReadyAsync();
        List<KeyValuePair<PendingKey, PendingOffset>> ended = _pending.Of(marker.ProducerId, marker.CoordinatorEpoch);
        foreach ((PendingKey key, PendingOffset pending) in ended)
        {
            _writer.RemovePending(key);
            bool isThere = _offsets.TryGet(key.Partition, out CommittedOffset? stored);
            if (marker.IsCommit && !(isThere && stored!.CommittedAt > pending.Offset.CommittedAt))
            {
                _writer.Set(key.Partition, pending.Offset, isThere ? 0 : GroupOffsets.BytesOf(key.Partition, pending.Offset));
            }
        }
        await (ended.Count > 0 ? _writer.WriteAsync() : Task.CompletedTask);
    }

    /// <summary>
    /// When a commit of the group itself comes. Of an offset that a transaction commits and one of the group itself the later one counts: so
    /// these times are in the order of coming, even if the clock is put back.
    /// </summary>
    private long TimeOfCommit() => _lastOwn = Math.Max(_lastOwn, Math.Max(Now.Unix, _lastPending + 1));

    /// <summary>When a transaction's commit of an offset comes, as <see cref="TimeOfCommit"/>: after those that the group has.</summary>
    private long TimeOfPending(GroupPartition partition)
    {
        long stored = _offsets.TryGet(partition, out CommittedOffset? offset) ? offset.CommittedAt : 0;
        return _lastPending = Math.Max(Math.Max(_lastPending, Now.Unix), Math.Max(_lastOwn, stored));
    }

    private ErrorCode CheckCommit(TxnOffsetCommitRequest request, short version)
    {
        var member = new OffsetCommitRequest
        {
            GroupId = request.GroupId,
            GenerationId = request.GenerationId,
            MemberId = request.MemberId,
            GroupInstanceId = request.GroupInstanceId,
        };
        ErrorCode error = !_writer.Exists && request.GenerationId >= 0 ? ErrorCode.IllegalGeneration
            : _group is ConsumerGroup classic ? classic.CheckCommit(Now, member, isTransactional: true)
            : Modern!.CheckCommit(member, version, isTransactional: true);
        return error == ErrorCode.StaleMemberEpoch ? ErrorCode.IllegalGeneration : error; // the only one of both that producers know
    }

    private ErrorCode NotePending(
        long producerId, int version, GroupPartition partition, TxnOffsetCommitRequest.TxnOffsetCommitRequestPartition asked)
    {
        if (!_context.Topics().TryGetValue(partition.Topic, out TopicInfo? topic) || (uint)partition.Partition >= (uint)topic.Partitions.Length)
        {
            return ErrorCode.UnknownTopicOrPartition;
        }
        var offset = new CommittedOffset(
            asked.CommittedOffset, asked.CommittedLeaderEpoch, asked.CommittedMetadata ?? "", topic.Id, TimeOfPending(partition),
            ExpiresAt: null);
        var key = new PendingKey(producerId, partition);
        var pending = new PendingOffset(offset, version);
        long newBytes = _pending.Has(key) ? 0 : PendingOffsets.BytesOf(key, pending);
        ErrorCode error = CheckSize(offset, newBytes);
        if (error == ErrorCode.None)
        {
            _writer.SetPending(key, pending, newBytes);
        }
        return error;
    }

    /// <summary>Producers of any age know these errors of a commit, and whether to try again.</summary>
    private static ErrorCode ForCommitters(ErrorCode error) => error switch
    {
        ErrorCode.ProducerFenced => ErrorCode.InvalidProducerEpoch,
        ErrorCode.ConcurrentTransactions => ErrorCode.CoordinatorLoadInProgress,
        _ => error,
    };
}
