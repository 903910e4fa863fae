using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Groups;

/// <content>Offsets: committed, asked for, taken out.</content>
public sealed partial class GroupHost
{
    /// <inheritdoc cref="IGroupCoordinator.CommitAsync"/>
    public async Task<OffsetCommitResponse> CommitAsync(OffsetCommitRequest request, GroupCaller caller)
    {
        await ReadyAsync();
        ErrorCode refusal = !_writer.Exists && request.GenerationId >= 0 ? ErrorCode.IllegalGeneration
            : _group is ConsumerGroup classic ? classic.CheckCommit(Now, request)
            : Modern!.CheckCommit(request, caller.Version);
        Changed();
        long begin = _context.Time.GetTimestamp();
        long now = TimeOfCommit();
        int stored = 0;
        OffsetCommitResponse response = OffsetMessages.AnswerCommit(request, (partition, asked) =>
        {
            if (refusal != ErrorCode.None)
            {
                return refusal;
            }
            CommittedOffset offset = OffsetMessages.Committed(request, asked, _context.TopicId(partition.Topic), now);
            long newBytes = _offsets.TryGet(partition, out _) ? 0 : GroupOffsets.BytesOf(partition, offset);
            ErrorCode error = CheckSize(offset, newBytes);
            if (error == ErrorCode.None)
            {
                _writer.Set(partition, offset, newBytes);
                stored++;
            }
            return error;
        });
        try
        {
            if (stored > 0)
            {
                await _writer.WriteAsync();
                _context.Metrics.Committed(stored, _context.Time.GetElapsedTime(begin));
            }
            return response;
        }
        catch (GroupLimitException e)
        {
            Refuse(GroupRefusal.TooManyGroups, e.Message);
            return OffsetMessages.AnswerCommit(request, (_, _) => ErrorCode.PolicyViolation);
        }
    }

    /// <inheritdoc cref="IGroupCoordinator.FetchOffsetsAsync"/>
    public OffsetFetchResponse FetchOffsets(OffsetFetchRequest request)
    {
        ThrowIfOver();
        OffsetFetchRequest.OffsetFetchRequestGroup asked = request.Groups[0];
        ErrorCode error = Modern?.CheckFetch(asked.MemberId, asked.MemberEpoch) ?? ErrorCode.None;
        return error == ErrorCode.None
            ? OffsetMessages.AnswerFetch(asked, _offsets, IsShown, partition => request.RequireStable && _pending.Has(partition))
            : new OffsetFetchResponse { Groups = [new() { GroupId = asked.GroupId, ErrorCode = error }] };
    }

    /// <inheritdoc cref="IGroupCoordinator.DeleteOffsetsAsync"/>
    public async Task<OffsetDeleteResponse> DeleteOffsetsAsync(OffsetDeleteRequest request)
    {
        await ReadyAsync();
        if (!_writer.Exists)
        {
            return new OffsetDeleteResponse { ErrorCode = ErrorCode.GroupIdNotFound };
        }
        if (_group.State != GroupState.Empty && _group.ProtocolType != ConsumerSubscription.ProtocolType)
        {
            return new OffsetDeleteResponse { ErrorCode = ErrorCode.NonEmptyGroup };
        }
        bool hasAny = false;
        OffsetDeleteResponse response = OffsetMessages.AnswerDelete(request, partition =>
        {
            if (MayRead(partition.Topic))
            {
                return ErrorCode.GroupSubscribedToTopic;
            }
            if (_offsets.TryGet(partition, out _))
            {
                _writer.Remove(partition);
                hasAny = true;
            }
            hasAny |= RemovePending((one, _) => one == partition);
            return ErrorCode.None;
        });
        await (hasAny ? _writer.WriteAsync() : Task.CompletedTask);
        return response;
    }

    /// <summary>Takes out the offsets of a topic that is gone, those of another topic under its name excepted.</summary>
    public async Task ForgetTopicAsync(string topic)
    {
        await ReadyAsync();
        Guid current = _context.TopicId(topic);
        bool hasPending = RemovePending((partition, pending) => IsOfOther(partition, pending.Offset));
        await RemoveAsync([.. _offsets.All.Where(one => IsOfOther(one.Key, one.Value)).Select(one => one.Key)]);
        await (hasPending ? _writer.WriteAsync() : Task.CompletedTask);

        bool IsOfOther(GroupPartition partition, CommittedOffset offset) =>
            partition.Topic == topic && (current == Guid.Empty || offset.TopicId != current);
    }

    /// <summary>Takes out offsets that are kept no longer, and the group if it has nothing any more, as Kafka does.</summary>
    public async Task ExpireAsync()
    {
        await ReadyAsync();
        List<GroupPartition> expired = _offsets.FindExpired(_group, _context.Options.OffsetRetention, Now.Unix);
        expired.RemoveAll(_pending.Has);
        await RemoveAsync(expired);
        _context.Metrics.OffsetsExpired(expired.Count);
        await ReadyAsync();
        if (_writer.Exists && _writer.IsIdle && _offsets.Count == 0 && _pending.Count == 0 && _group.IsVacant)
        {
            await _writer.DeleteAsync();
        }
    }

    /// <summary>Notes that what transactions are to commit goes with the next write, as what they would replace does.</summary>
    /// <returns>Whether there is any.</returns>
    private bool RemovePending(Func<GroupPartition, PendingOffset, bool> isWanted)
    {
        List<PendingKey> keys = _pending.KeysOf(isWanted);
        keys.ForEach(_writer.RemovePending);
        return keys.Count > 0;
    }

    private bool IsShown(GroupPartition partition, CommittedOffset offset)
    {
        Guid current = _context.TopicId(partition.Topic);
        return current == Guid.Empty || offset.TopicId == Guid.Empty || offset.TopicId == current;
    }

    /// <summary>What is noted and not stored yet counts too: one request, or many at once, must not pass the limit.</summary>
    private ErrorCode CheckSize(CommittedOffset offset, long newBytes)
    {
        if (offset.Metadata.Length > _context.Options.MaxOffsetMetadata)
        {
            Refuse(
                GroupRefusal.OffsetMetadataTooLarge,
                $"the metadata of an offset of group '{_id}' is longer than groups:maxOffsetMetadata ({_context.Options.MaxOffsetMetadata})");
            return ErrorCode.OffsetMetadataTooLarge;
        }
        if (newBytes > 0 && _offsets.Bytes + _pending.Bytes + _writer.NewBytes + newBytes > _context.Options.MaxOffsetBytes)
        {
            Refuse(
                GroupRefusal.OffsetsTooLarge,
                $"an offset of group '{_id}' would be one too many: groups:maxOffsetBytes is {_context.Options.MaxOffsetBytes}");
            return ErrorCode.InvalidCommitOffsetSize;
        }
        return TryGrow(newBytes > 0 ? GroupMemory.OfOffsets(newBytes, 1) : 0) ? ErrorCode.None : RefuseForMemory("an offset");
    }

    private async Task RemoveAsync(IReadOnlyCollection<GroupPartition> partitions)
    {
        foreach (GroupPartition partition in partitions)
        {
            _writer.Remove(partition);
        }
        await (partitions.Count > 0 ? _writer.WriteAsync() : Task.CompletedTask);
    }
}
