using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Tributary.Broker.Configs;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Log;

namespace Tributary.Broker.Partitions;

/// <summary>
/// The partitions that this broker serves, as the last applied snapshot says. Each lies in the log directory as
/// <c>TOPIC-PARTITION</c>, with the topic's id in <c>partition.meta</c> beside its records.
/// </summary>
/// <remarks>
/// Invariants: a partition is served only under the topic id its directory names; one directory is open once. Snapshots are applied, and
/// deleted topics removed, one after the other; of a snapshot only what changed is looked at. Look-ups never wait and see one snapshot's
/// partitions as a whole. Callable from any thread. After a crash, the next process opens what its first snapshot names. A directory whose
/// topic isn't in the snapshot stays where it is, unserved, until <see cref="RemoveAsync"/> says that the topic was deleted.
/// </remarks>
public sealed class PartitionManager : IAsyncDisposable
{
    /// <summary>Where directories go, beside the log directory, whose topic id is not the one that is wanted.</summary>
    public const string AsideDirectory = "aside";

    /// <summary>Partitions that are opened at a time: each waits for its disk most of the time, and they share flushes.</summary>
    private const int OpenAtATime = 64;

    private readonly LogDirectory _logs;
    private readonly BrokerOptions _options;
    private readonly PartitionDirectories _directories;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly SemaphoreSlim _applying = new(1, 1);
    private readonly ConcurrentDictionary<string, Partition> _open = new(StringComparer.Ordinal);
    private readonly ITimer _retention;
    private int _retaining;
    private bool _hasApplied;
    private Served _served = Served.Nothing;

    internal PartitionManager(LogDirectory logs, BrokerOptions options, TimeProvider time, ILogger logger)
    {
        _logs = logs;
        _options = options;
        _directories = new PartitionDirectories(logs, time, logger);
        _time = time;
        _logger = logger;
        Compaction = new PartitionCompaction(() => All, options, time, logger);
        _retention = time.CreateTimer(_ => Retain(), null, options.RetentionInterval, options.RetentionInterval);
    }

    /// <summary>Whether a snapshot was applied: before, no partition is known.</summary>
    public bool IsServing => Volatile.Read(ref _hasApplied);

    /// <summary>Who compacts them.</summary>
    internal PartitionCompaction Compaction { get; }

    /// <summary>All partitions that this broker leads now.</summary>
    public IEnumerable<Partition> All => Volatile.Read(ref _served).All;

    /// <summary>Finds a partition by its topic's name.</summary>
    /// <returns>None, or what the client is to be told.</returns>
    public ErrorCode Get(string topic, int index, out Partition? partition) =>
        Find(Volatile.Read(ref _served).ByName.GetValueOrDefault(topic), index, ErrorCode.UnknownTopicOrPartition, out partition);

    /// <summary>Finds a partition by its topic's id.</summary>
    /// <returns>None, or what the client is to be told: <see cref="ErrorCode.UnknownTopicId"/> for an id that isn't (any more).</returns>
    public ErrorCode Get(Guid topicId, int index, out Partition? partition) =>
        Find(Volatile.Read(ref _served).ById.GetValueOrDefault(topicId), index, ErrorCode.UnknownTopicId, out partition);

    /// <summary>
    /// Opens what the snapshot says this node leads, begins new leader epochs, takes changed configs over and ends service of what it leads
    /// no longer. When it returns, the partitions can be used. A partition that can't be opened answers with an error and is tried again
    /// with the next snapshot; the others are not held up.
    /// </summary>
    public Task ApplyAsync(ClusterSnapshot snapshot, CancellationToken cancellation = default) =>
        InTurnAsync(() => Apply(snapshot), cancellation);

    /// <summary>
    /// Removes, durably, whatever there is of a topic that was deleted: no applied snapshot has it any more. Nothing happens to a topic of
    /// the same name that was made anew. May be repeated.
    /// </summary>
    /// <exception cref="IOException">The disk failed; it may be tried again.</exception>
    public Task RemoveAsync(DeletedTopic topic, CancellationToken cancellation = default) => InTurnAsync(() => Remove(topic), cancellation);

    /// <summary>Ends retention and compaction. The log directory belongs to whoever opened it.</summary>
    public async ValueTask DisposeAsync()
    {
        await _retention.DisposeAsync();
        await Compaction.DisposeAsync();
        await _applying.WaitAsync();
        foreach (Partition partition in _open.Values)
        {
            partition.Resign(ErrorCode.NotLeaderOrFollower);
        }
        _applying.Release();
    }

    private static ErrorCode Find(TopicSlots? topic, int index, ErrorCode unknown, out Partition? partition)
    {
        partition = null;
        if (topic is null)
        {
            return unknown;
        }
        if ((uint)index >= (uint)topic.Slots.Length)
        {
            return ErrorCode.UnknownTopicOrPartition;
        }
        (partition, ErrorCode error) = topic.Slots[index];
        return error;
    }

    private async Task InTurnAsync(Action work, CancellationToken cancellation)
    {
        await _applying.WaitAsync(cancellation);
        try
        {
            await Task.Run(work, CancellationToken.None); // files are read and written: not on the caller's thread
        }
        finally
        {
            _applying.Release();
        }
    }

    private void Apply(ClusterSnapshot snapshot)
    {
        Served before = _served;
        TopicSlots[] changed = FindChanged(snapshot, before);
        TopicSlots[] gone =
        [
            .. before.ByName.Values.Where(
                slots => !snapshot.Topics.TryGetValue(slots.Topic.Name, out TopicInfo? now) || now.Id != slots.Topic.Id),
        ];
        if (changed.Length == 0 && gone.Length == 0 && ReferenceEquals(snapshot.Overrides, before.Overrides))
        {
            Volatile.Write(ref _hasApplied, true);
            return;
        }
        (TopicSlots Slots, int Index)[] work = [.. changed.SelectMany(slots => Enumerable.Range(0, slots.Slots.Length).Select(i => (slots, i)))];
        long start = _time.GetTimestamp();
        int open = _open.Count;
        ForEach(work, one => one.Slots.Slots[one.Index] =
            Take(one.Slots, one.Slots.Topic.Partitions[one.Index], snapshot.NodeId));
        if (_open.Count > open)
        {
            _logger.PartitionsOpened(_open.Count - open, _time.GetElapsedTime(start));
        }
        Volatile.Write(ref _served, before.With(changed, gone, snapshot.Overrides));
        Volatile.Write(ref _hasApplied, true);
        foreach (TopicSlots slots in gone)
        {
            Resign(slots.Topic);
        }
    }

    /// <summary>
    /// Topics that are new or other than they were, those with a partition that couldn't be opened, and those for which other configs of
    /// brokers make other settings.
    /// </summary>
    private TopicSlots[] FindChanged(ClusterSnapshot snapshot, Served before)
    {
        bool sameOverrides = ReferenceEquals(snapshot.Overrides, before.Overrides);
        TimeSpan expiration = snapshot.Overrides.FindNumber(DynamicConfigs.ProducerExpirationMs) is { } ms
            ? TimeSpan.FromMilliseconds(ms)
            : _options.ProducerExpiration;
        var changed = new List<TopicSlots>();
        foreach (TopicInfo topic in snapshot.Topics.Values)
        {
            TopicSlots? served = before.Find(topic);
            if (served is not null && sameOverrides)
            {
                continue;
            }
            var settings = TopicSettings.From(topic.Configs, snapshot.Overrides);
            if (served is null || served.Settings != settings || served.ProducerExpiration != expiration)
            {
                changed.Add(new TopicSlots(topic, settings, expiration));
            }
        }
        return [.. changed];
    }

    /// <summary>Works on threads of its own: they block, and the pool is slow to have many that do.</summary>
    private void ForEach<T>(T[] work, Action<T> perform)
    {
        int next = -1;
        void Run()
        {
            try
            {
                for (int i = Interlocked.Increment(ref next); i < work.Length; i = Interlocked.Increment(ref next))
                {
                    perform(work[i]);
                }
            }
            finally
            {
                _logs.Expect(-1);
            }
        }
        int count = Math.Min(work.Length, OpenAtATime);
        _logs.Expect(count);
        Task[] threads =
        [
            .. Enumerable.Range(0, count).Select(_ => Task.Factory.StartNew(
                Run, CancellationToken.None, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default)),
        ];
        Task.WaitAll(threads);
    }

    private void Resign(TopicInfo gone)
    {
        for (int i = 0; i < gone.Partitions.Length; i++)
        {
            if (_open.TryGetValue(PartitionDirectories.NameOf(gone.Name, i), out Partition? partition) && partition.TopicId == gone.Id)
            {
                partition.Resign(ErrorCode.UnknownTopicOrPartition);
            }
        }
    }

    private void Remove(DeletedTopic topic)
    {
        if (_served.ById.ContainsKey(topic.Id))
        {
            throw new InvalidOperationException($"topic '{topic.Name}' is served and can't be removed");
        }
        for (int i = 0; i < topic.Partitions; i++)
        {
            string name = PartitionDirectories.NameOf(topic.Name, i);
            if (_open.TryGetValue(name, out Partition? partition) && partition.TopicId == topic.Id)
            {
                partition.Resign(ErrorCode.UnknownTopicOrPartition);
                _open.TryRemove(name, out _);
                _logs.DeletePartition(name);
            }
            else if (partition is null && _directories.BelongsTo(name, topic.Id))
            {
                _logs.DeletePartition(name);
            }
        }
        _logger.TopicRemoved(topic.Name, topic.Id);
    }

    private Slot Take(TopicSlots slots, PartitionAssignment assignment, int node)
    {
        TopicInfo topic = slots.Topic;
        TopicSettings settings = slots.Settings;
        string name = PartitionDirectories.NameOf(topic.Name, assignment.Index);
        try
        {
            if (_open.TryGetValue(name, out Partition? partition) && partition.TopicId != topic.Id)
            {
                partition.Resign(ErrorCode.UnknownTopicId);
                _open.TryRemove(name, out _);
                _logs.DeletePartition(name);
                _logger.PartitionOfFormerTopicDeleted(name, partition.TopicId, topic.Id);
                partition = null;
            }
            if (assignment.Leader != node)
            {
                partition?.Resign(ErrorCode.NotLeaderOrFollower);
                return new Slot(null, ErrorCode.NotLeaderOrFollower);
            }
            PartitionLogOptions options =
                settings.ToLogOptions(slots.ProducerExpiration) with { MaxLeaderEpoch = assignment.LeaderEpoch };
            if (partition is null)
            {
                if (!_directories.TryIdentify(name, topic.Id))
                {
                    return new Slot(null, ErrorCode.KafkaStorageError);
                }
                PartitionLog log = _logs.OpenPartition(name, options);
                partition = new Partition(topic.Name, topic.Id, log, settings, assignment, node);
                _open[name] = partition;
                _logger.PartitionOpened(name, assignment.LeaderEpoch, log.StartOffset, log.FlushedEnd);
            }
            partition.Log.Reconfigure(options);
            partition.Lead(assignment, settings);
            return new Slot(partition, ErrorCode.None);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.PartitionUnavailable(e, name);
            return new Slot(null, ErrorCode.KafkaStorageError);
        }
    }

    private void Retain()
    {
        if (Interlocked.Exchange(ref _retaining, 1) != 0)
        {
            return;
        }
        foreach (Partition partition in All)
        {
            try
            {
                partition.Log.ApplyRetention();
            }
            catch (Exception e) // a timer's callback: nobody else would catch it, and the other partitions must not wait
            {
                _logger.RetentionFailed(e, partition.Log.Name);
            }
        }
        Volatile.Write(ref _retaining, 0);
    }

    /// <summary>One partition: served, or why not.</summary>
    private readonly record struct Slot(Partition? Partition, ErrorCode Error);

    /// <summary>One topic's partitions by index.</summary>
    private sealed class TopicSlots(TopicInfo topic, TopicSettings settings, TimeSpan producerExpiration)
    {
        public TopicInfo Topic { get; } = topic;

        public TopicSettings Settings { get; } = settings;

        public TimeSpan ProducerExpiration { get; } = producerExpiration;

        public Slot[] Slots { get; } = new Slot[topic.Partitions.Length];

        /// <summary>Whether none of them has to be tried again.</summary>
        public bool IsWhole => Array.TrueForAll(Slots, slot => slot.Error != ErrorCode.KafkaStorageError);
    }

    /// <summary>What one snapshot made of it; never changed.</summary>
    private sealed class Served(Dictionary<string, TopicSlots> byName, Dictionary<Guid, TopicSlots> byId, BrokerOverrides overrides)
    {
        public static readonly Served Nothing = new(new(StringComparer.Ordinal), [], BrokerOverrides.None);

        public BrokerOverrides Overrides { get; } = overrides;

        public Dictionary<string, TopicSlots> ByName { get; } = byName;

        public Dictionary<Guid, TopicSlots> ById { get; } = byId;

        public IEnumerable<Partition> All =>
            ByName.Values.SelectMany(topic => topic.Slots).Select(slot => slot.Partition).OfType<Partition>();

        /// <summary>The topic as it is now; null if it isn't served as such.</summary>
        public TopicSlots? Find(TopicInfo topic) =>
            ByName.TryGetValue(topic.Name, out TopicSlots? slots) && ReferenceEquals(slots.Topic, topic) && slots.IsWhole ? slots : null;

        /// <summary>Copies: to copy thousands of entries takes microseconds.</summary>
        public Served With(TopicSlots[] changed, TopicSlots[] gone, BrokerOverrides overrides)
        {
            var names = new Dictionary<string, TopicSlots>(ByName, StringComparer.Ordinal);
            var ids = new Dictionary<Guid, TopicSlots>(ById);
            foreach (TopicSlots slots in gone)
            {
                names.Remove(slots.Topic.Name);
                ids.Remove(slots.Topic.Id);
            }
            foreach (TopicSlots slots in changed)
            {
                names[slots.Topic.Name] = slots;
                ids[slots.Topic.Id] = slots;
            }
            return new Served(names, ids, overrides);
        }
    }
}
