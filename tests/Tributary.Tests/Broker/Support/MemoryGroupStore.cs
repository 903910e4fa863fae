using Tributary.Broker.Groups;

namespace Tributary.Tests.Broker.Support;

/// <summary>Keeps groups in memory, with writes that a test can hold up or fail. Callable from any thread.</summary>
internal sealed class MemoryGroupStore : IGroupStore
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, Entry> _groups = new(StringComparer.Ordinal);
    private TaskCompletionSource _open = Opened();
    private long _lastVersion;

    public int MaxGroups { get; set; } = int.MaxValue;

    /// <summary>Writes that were made.</summary>
    public int Writes { get; private set; }

    /// <summary>What every write fails with, if anything.</summary>
    public Exception? Failure { get; set; }

    /// <summary>Writes wait from now on.</summary>
    public void Hold() => _open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Writes go on.</summary>
    public void Release() => _open.TrySetResult();

    public Task<StoredGroup?> LoadAsync(string group)
    {
        lock (_lock)
        {
            return Task.FromResult(
                _groups.TryGetValue(group, out Entry? entry)
                ? new StoredGroup(entry.Version, entry.Record, [.. entry.Offsets]) { Pending = [.. entry.Pending] }
                : null);
        }
    }

    public async Task<long> WriteAsync(GroupWrite write)
    {
        await _open.Task;
        lock (_lock)
        {
            if (Failure is not null)
            {
                throw Failure;
            }
            Entry? entry = _groups.GetValueOrDefault(write.Group);
            if ((entry?.Version ?? 0) != write.Version)
            {
                throw new GroupConflictException(write.Group);
            }
            if (entry is null && _groups.Count >= MaxGroups)
            {
                throw new GroupLimitException(write.Group, MaxGroups);
            }
            Writes++;
            if (write.Deletes)
            {
                _groups.Remove(write.Group);
                return 0;
            }
            entry ??= _groups[write.Group] = new Entry();
            entry.Record = write.Record ?? entry.Record;
            entry.Version = write.IsFirst || write.Record is not null ? ++_lastVersion : entry.Version;
            foreach (GroupPartition partition in write.Removed)
            {
                entry.Offsets.Remove(partition);
            }
            foreach ((GroupPartition partition, CommittedOffset offset) in write.Offsets)
            {
                entry.Offsets[partition] = offset;
            }
            foreach (PendingKey key in write.RemovedPending)
            {
                entry.Pending.Remove(key);
            }
            foreach ((PendingKey key, PendingOffset offset) in write.Pending)
            {
                entry.Pending[key] = offset;
            }
            return entry.Version;
        }
    }

    public Task<IReadOnlyList<GroupListing>> ListAsync(string? after, int count) => ListAsync(
        after, count, _ => true,
        (id, entry) => new GroupListing(
            id, entry.Record.ProtocolType ?? "", entry.Record.MemberCount > 0 ? GroupState.Stable : GroupState.Empty,
            entry.Record.Modern is not null));

    public Task<IReadOnlyList<string>> ListReadersAsync(string topic, string? after, int count) =>
        ListAsync(
            after, count,
            entry => entry.Offsets.Keys.Concat(entry.Pending.Keys.Select(key => key.Partition)).Any(partition => partition.Topic == topic),
            (id, _) => id);

    public Task<IReadOnlyList<string>> ListAgedAsync(long committedBefore, string? after, int count) => ListAsync(
        after, count,
        entry => entry.Offsets.Count == 0 || entry.Offsets.Values.Any(offset => offset.CommittedAt < committedBefore || offset.ExpiresAt is not null),
        (id, _) => id);

    private static TaskCompletionSource Opened()
    {
        var open = new TaskCompletionSource();
        open.SetResult();
        return open;
    }

    private Task<IReadOnlyList<T>> ListAsync<T>(string? after, int count, Func<Entry, bool> isWanted, Func<string, Entry, T> read)
    {
        lock (_lock)
        {
            return Task.FromResult<IReadOnlyList<T>>([
                .. _groups.Where(one => string.CompareOrdinal(one.Key, after ?? "") > 0 && isWanted(one.Value)).Take(count)
                    .Select(one => read(one.Key, one.Value)),
            ]);
        }
    }

    private sealed class Entry
    {
        public long Version { get; set; }

        public GroupRecord Record { get; set; } = new();

        public Dictionary<GroupPartition, CommittedOffset> Offsets { get; } = [];

        public Dictionary<PendingKey, PendingOffset> Pending { get; } = [];
    }
}
