using System.Globalization;
using Microsoft.Extensions.Logging;
using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Broker.Partitions;

/// <summary>
/// Which topic the directories of partitions belong to. Callable from any thread, for one partition by one at a time. What a crash leaves
/// is what <see cref="PartitionIdentity"/> says.
/// </summary>
internal sealed class PartitionDirectories(LogDirectory logs, TimeProvider time, ILogger logger)
{
    private readonly IStorage _storage = logs.Shared;

    /// <summary>The name of a partition's directory.</summary>
    public static string NameOf(string topic, int index) => string.Create(CultureInfo.InvariantCulture, $"{topic}-{index}");

    /// <summary>Whether the directory is there and is known to belong to the topic.</summary>
    public bool BelongsTo(string name, Guid topicId) =>
        PartitionIdentity.Read(_storage, $"{logs.Path}/{name}", out Guid found) == IdentityStatus.Known && found == topicId;

    /// <summary>Sees to it that the directory belongs to the topic. What belongs to another is moved aside.</summary>
    public bool TryIdentify(string name, Guid topicId)
    {
        string directory = $"{logs.Path}/{name}";
        IdentityStatus status = PartitionIdentity.Read(_storage, directory, out Guid found);
        if (status == IdentityStatus.Unreadable)
        {
            logger.PartitionIdentityUnreadable(name, PartitionIdentity.FileName, PartitionManager.AsideDirectory);
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
        PartitionIdentity.Write(_storage, logs.Path, name, topicId);
        return true;
    }

    private void MoveAside(string name, string directory, Guid found, Guid wanted)
    {
        string data = Path.GetDirectoryName(logs.Path) is { Length: > 0 } parent ? parent : ".";
        string aside = $"{data}/{PartitionManager.AsideDirectory}";
        string index = name[(name.LastIndexOf('-') + 1)..]; // a topic's name may be as long as a file's
        string target = $"{aside}/{found:N}-{index}.{time.GetUtcNow().ToUnixTimeMilliseconds()}";
        _storage.CreateDirectory(aside);
        _storage.SyncDirectory(data);
        _storage.Rename(directory, target);
        _storage.SyncDirectory(aside);
        _storage.SyncDirectory(logs.Path);
        logger.PartitionMovedAside(name, found, wanted, target);
    }
}
