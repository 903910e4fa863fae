using System.Collections.Frozen;
using Microsoft.Extensions.Logging;
using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;
using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Broker.Partitions;

/// <summary>
/// The partitions that this broker serves, as the last applied snapshot says. Each lies in the log directory as
/// <c>TOPIC-PARTITION</c>, with the topic's id in <c>partition.meta</c> beside its records.
/// </summary>
/// <remarks>
/// Invariants: a partition is served only under the topic id its directory names; one directory is open once. Snapshots are applied one
/// after the other; look-ups never wait and see one snapshot's partitions as a whole. Callable from any thread. After a crash, the next
/// process opens what its first snapshot names. A directory whose topic isn't in the snapshot stays where it is, unserved.
/// </remarks>
public sealed class PartitionManager : IAsyncDisposable
{
    /// <summary>Where directories go, beside the log directory, whose topic id is not the one that is wanted.</summary>
    public const string AsideDirectory = "aside";

    private readonly LogDirectory _logs;
    private readonly BrokerOptions _options;
    private readonly IStorage _storage;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly SemaphoreSlim _applying = new(1, 1);
    private readonly Dictionary<string, Partition> _open = new(StringComparer.Ordinal);
    private readonly ITimer _retention;
    private int _retaining;
    private Served _served = Served.Nothing;

    internal PartitionManager(LogDirectory logs, IStorage storage, BrokerOptions options, TimeProvider time, ILogger logger)
    {
        _logs = logs;
        _options = options;
        _storage = storage;
        _time = time;
        _logger = logger;
        _retention = time.CreateTimer(_ => Retain(), null, options.RetentionInterval, options.RetentionInterval);
    }

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
    /// Opens what the snapshot says this node leads, begins new leader epochs and ends service of what it leads no longer. When it
    /// returns, the partitions can be used. A partition that can't be opened answers with an error and is tried again with the next
    /// snapshot; the others are not held up.
    /// </summary>
    public async ValueTask ApplyAsync(ClusterSnapshot snapshot, CancellationToken cancellation = default)
    {
        await _applying.WaitAsync(cancellation);
        try
        {
            await Task.Run(() => Apply(snapshot), CancellationToken.None); // recovery reads files: not on the caller's thread
        }
        finally
        {
            _applying.Release();
        }
    }

    /// <summary>Ends retention. The log directory belongs to whoever opened it.</summary>
    public async ValueTask DisposeAsync()
    {
        await _retention.DisposeAsync();
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

    private void Apply(ClusterSnapshot snapshot)
    {
        var byName = new Dictionary<string, TopicSlots>(StringComparer.Ordinal);
        var left = new HashSet<string>(_open.Keys, StringComparer.Ordinal);
        foreach (TopicInfo topic in snapshot.Topics.Values)
        {
            var settings = TopicSettings.From(topic.Configs);
            var slots = new Slot[topic.Partitions.Length];
            for (int i = 0; i < slots.Length; i++)
            {
                slots[i] = Take(topic, topic.Partitions[i], settings, snapshot.NodeId);
                left.Remove(DirectoryName(topic.Name, i));
            }
            byName.Add(topic.Name, new TopicSlots(topic.Id, slots));
        }
        Volatile.Write(ref _served, new Served(byName));
        foreach (string name in left)
        {
            _open[name].Resign(ErrorCode.UnknownTopicOrPartition);
        }
    }

    private Slot Take(TopicInfo topic, PartitionAssignment assignment, TopicSettings settings, int node)
    {
        string name = DirectoryName(topic.Name, assignment.Index);
        try
        {
            if (_open.TryGetValue(name, out Partition? partition) && partition.TopicId != topic.Id)
            {
                partition.Resign(ErrorCode.UnknownTopicId);
                _open.Remove(name);
                _logs.DeletePartition(name);
                _logger.PartitionOfFormerTopicDeleted(name, partition.TopicId, topic.Id);
                partition = null;
            }
            if (assignment.Leader != node)
            {
                partition?.Resign(ErrorCode.NotLeaderOrFollower);
                return new Slot(null, ErrorCode.NotLeaderOrFollower);
            }
            if (partition is null)
            {
                if (!TryIdentify(name, topic.Id))
                {
                    return new Slot(null, ErrorCode.KafkaStorageError);
                }
                PartitionLogOptions logOptions = settings.ToLogOptions(_options.ProducerExpiration) with { MaxLeaderEpoch = assignment.LeaderEpoch };
                PartitionLog log = _logs.OpenPartition(name, logOptions);
                partition = new Partition(topic.Name, topic.Id, log, settings, assignment, node);
                _open.Add(name, partition);
                _logger.PartitionOpened(name, assignment.LeaderEpoch, log.StartOffset, log.FlushedEnd);
            }
            partition.Lead(assignment, settings);
            return new Slot(partition, ErrorCode.None);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.PartitionUnavailable(e, name);
            return new Slot(null, ErrorCode.KafkaStorageError);
        }
    }

    /// <summary>Sees to it that the directory belongs to the topic. What belongs to another is moved aside.</summary>
    private bool TryIdentify(string name, Guid topicId)
    {
        string directory = $"{_logs.Path}/{name}";
        IdentityStatus status = PartitionIdentity.Read(_storage, directory, out Guid found);
        if (status == IdentityStatus.Unreadable)
        {
            _logger.PartitionIdentityUnreadable(name, PartitionIdentity.FileName, AsideDirectory);
            return false;
        }
        if (status == IdentityStatus.Known && found == topicId)
        {
            return true;
        }
        if (status == IdentityStatus.Known)
        {
            MoveAside(name, directory, found, topicId);
        }
        PartitionIdentity.Write(_storage, _logs.Path, name, topicId);
        return true;
    }

    private void MoveAside(string name, string directory, Guid found, Guid wanted)
    {
        string data = Path.GetDirectoryName(_logs.Path) is { Length: > 0 } parent ? parent : ".";
        string aside = $"{data}/{AsideDirectory}";
        string index = name[(name.LastIndexOf('-') + 1)..]; // a topic's name may be as long as a file's
        string target = $"{aside}/{found:N}-{index}.{_time.GetUtcNow().ToUnixTimeMilliseconds()}";
        _storage.CreateDirectory(aside);
        _storage.SyncDirectory(data);
        _storage.Rename(directory, target);
        _storage.SyncDirectory(aside);
        _storage.SyncDirectory(_logs.Path);
        _logger.PartitionMovedAside(name, found, wanted, target);
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

    private static string DirectoryName(string topic, int index) => $"{topic}-{index}";

    /// <summary>One partition: served, or why not.</summary>
    private readonly record struct Slot(Partition? Partition, ErrorCode Error);

    /// <summary>One topic's partitions by index.</summary>
    private sealed record TopicSlots(Guid Id, Slot[] Slots);

    /// <summary>What one snapshot made of it.</summary>
    private sealed class Served(Dictionary<string, TopicSlots> byName)
    {
        public static readonly Served Nothing = new([]);

        public FrozenDictionary<string, TopicSlots> ByName { get; } = byName.ToFrozenDictionary(StringComparer.Ordinal);

        public FrozenDictionary<Guid, TopicSlots> ById { get; } = byName.Values.ToFrozenDictionary(topic => topic.Id);

        public IEnumerable<Partition> All =>
            ByName.Values.SelectMany(topic => topic.Slots).Select(slot => slot.Partition).OfType<Partition>();
    }
}
