using System.Collections.Concurrent;
using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Tributary.Broker.Configs;
using Tributary.Broker.Metadata;
using Tributary.Cloud.Grains;

namespace Tributary.Cloud;

/// <summary>Topics that are changed and deleted.</summary>
internal sealed partial class GrainControlPlane
{
    /// <summary>Topics of which a change failed, and may have happened all the same, or whose deletion isn't finished.</summary>
    private readonly ConcurrentDictionary<string, bool> _unsettled = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public Task<TopicOutcome> DeleteTopicAsync(string name, Guid id, CancellationToken cancellation) =>
        TryAsync(name, () => DeleteAsync(name, id)).WaitAsync(cancellation);

    /// <inheritdoc/>
    public Task<TopicOutcome> CreatePartitionsAsync(MorePartitions more, CancellationToken cancellation) =>
        TryAsync(more.Topic, () => ChangeAsync(
            more.Topic, topic => topic.CreatePartitionsAsync(more.Count, more.ValidateOnly), more.ValidateOnly)).WaitAsync(cancellation);

    /// <inheritdoc/>
    public Task<TopicOutcome> AlterConfigsAsync(ConfigAlteration alteration, CancellationToken cancellation)
    {
        ImmutableArray<StoredConfigEdit> edits = [.. alteration.Edits.Select(StoredConfigEdit.From)];
        return TryAsync(alteration.Topic, () => ChangeAsync(
            alteration.Topic, topic => topic.AlterConfigsAsync(edits, alteration.ReplaceAll, alteration.ValidateOnly),
            alteration.ValidateOnly)).WaitAsync(cancellation);
    }

    private async Task<T> TryAsync<T>(string topic, Func<Task<T>> change)
    {
        try
        {
            return await change();
        }
        catch
        {
            _unsettled.TryAdd(topic, true);
            throw;
        }
    }

    private async Task<TopicOutcome> ChangeAsync(string name, Func<ITopicGrain, Task<TopicChangeAnswer>> change, bool validateOnly)
    {
        TopicChangeAnswer answer = await change(Topic(name));
        if (answer.Refusal is { } refusal)
        {
            return new TopicOutcome(refusal.Error, refusal.Message);
        }
        if (!validateOnly)
        {
            await RefreshAsync(name);
        }
        return TopicOutcome.Done;
    }

    private async Task<TopicOutcome> DeleteAsync(string name, Guid id)
    {
        if (await Cluster.DeleteTopicAsync(name, id) is not { } deleted)
        {
            return new TopicOutcome(ErrorCode.UnknownTopicOrPartition, "This server does not host this topic-partition.");
        }
        await WithdrawAsync(deleted);
        await FinishDeletionAsync(deleted);
        return TopicOutcome.Done;
    }

    /// <summary>Applies what is stored of a topic now: of two changes, the one that is applied later is not the older one.</summary>
    private async Task RefreshAsync(string name)
    {
        await _changing.WaitAsync();
        try
        {
            TopicRecord? stored = await Topic(name).GetAsync();
            ClusterSnapshot before = Snapshot;
            if (stored is null || !before.Topics.TryGetValue(name, out TopicInfo? known) || known.Id != stored.Id)
            {
                return; // deleted meanwhile
            }
            ClusterSnapshot next = before.With(stored.ToInfo());
            await ApplyAsync(next);
            Volatile.Write(ref _snapshot, next);
            logger.TopicChanged(name, stored.Partitions.Length, stored.Configs.Count);
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <summary>Nobody is served a deleted topic any more, and whoever waits for it is answered.</summary>
    private async Task WithdrawAsync(TopicListing deleted)
    {
        await _changing.WaitAsync();
        try
        {
            ClusterSnapshot before = Snapshot;
            if (!before.Topics.TryGetValue(deleted.Name, out TopicInfo? known) || known.Id != deleted.Id)
            {
                return;
            }
            ClusterSnapshot next = before.Without(deleted.Name);
            await ApplyAsync(next);
            Volatile.Write(ref _snapshot, next);
            logger.TopicDeleted(deleted.Name, deleted.Id);
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <summary>
    /// Removes what is left of a deleted topic, and has it forgotten when nothing is. Each step may be repeated: after a crash, the next
    /// start begins at the first. A disk that fails is tried again later.
    /// </summary>
    private async Task FinishDeletionAsync(TopicListing deleted)
    {
        await Topic(deleted.Name).ForgetAsync(deleted.Id);
        try
        {
            await Partitions.RemoveAsync(new DeletedTopic(deleted.Name, deleted.Id, deleted.Partitions));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _unsettled.TryAdd(deleted.Name, true);
            logger.TopicNotRemoved(e, deleted.Name, deleted.Id);
            return;
        }
        foreach (ITopicFollower follower in followers)
        {
            await follower.TopicDeletedAsync(deleted.Name, deleted.Id);
        }
        await Cluster.ForgetTopicAsync(deleted.Name, deleted.Id);
    }

    private async Task SettleAllAsync()
    {
        foreach (string name in _unsettled.Keys)
        {
            _unsettled.TryRemove(name, out _);
            try
            {
                await SettleAsync(name);
            }
            catch (Exception e)
            {
                _unsettled.TryAdd(name, true);
                logger.TopicUnsettled(e, name);
            }
        }
    }

    /// <summary>Finds out what became of a topic, and does what remains to be done.</summary>
    private async Task SettleAsync(string name)
    {
        TopicStanding standing = await Cluster.FindTopicAsync(name);
        if (standing.Deleted is { } deleted)
        {
            await WithdrawAsync(deleted);
            await FinishDeletionAsync(deleted);
        }
        if (standing.Topic is not { } listed)
        {
            return;
        }
        if (!Snapshot.Topics.ContainsKey(name) && await Topic(name).GetAsync() is { } stored && stored.Id == listed.Id)
        {
            await AddAsync(stored.ToInfo());
        }
        await RefreshAsync(name);
    }
}
