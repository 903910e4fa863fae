using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Broker.Partitions;

/// <summary>What is known of the topic that a partition's directory belongs to.</summary>
internal enum IdentityStatus
{
    /// <summary>There is no directory yet, or one without anything in it.</summary>
    New,

    /// <summary>The directory says which topic it belongs to.</summary>
    Known,

    /// <summary>There is something in the directory, and its identity is missing or fails its checksum.</summary>
    Unreadable,
}

/// <summary>
/// The file <c>partition.meta</c> in a partition's directory: the id of the topic whose records lie there, so that a topic of the same
/// name that was made anew is never served with the old one's records. It is written, and durable, before the log puts anything into
/// the directory. Layout, big-endian: "TRPM", int16 version 1, int16 zero, 16 bytes topic id (as Kafka writes uuids), uint32 CRC-32C of
/// what stands before. A crash leaves the old file, the new one, or a temporary one beside it.
/// </summary>
internal static class PartitionIdentity
{
    public const string FileName = "partition.meta";
    private const string TemporaryName = FileName + ".tmp";
    private const uint Magic = 0x5452504D;
    private const short Version = 1;
    private const int IdPosition = 8;
    private const int CrcPosition = 24;
    private const int Size = 28;

    /// <summary>Reads the identity of <paramref name="directory"/>.</summary>
    public static IdentityStatus Read(IStorage storage, string directory, out Guid topicId)
    {
        topicId = Guid.Empty;
        if (!storage.Exists(directory))
        {
            return IdentityStatus.New;
        }
        IReadOnlyList<string> names = storage.List(directory);
        if (!names.Contains(FileName))
        {
            return names.All(name => name == TemporaryName) ? IdentityStatus.New : IdentityStatus.Unreadable;
        }
        Span<byte> bytes = stackalloc byte[Size];
        using IStorageFile file = storage.Open($"{directory}/{FileName}", create: false);
        if (file.Length != Size || file.Read(0, bytes) != Size
            || BinaryPrimitives.ReadUInt32BigEndian(bytes) != Magic
            || BinaryPrimitives.ReadInt16BigEndian(bytes[4..]) != Version
            || BinaryPrimitives.ReadUInt32BigEndian(bytes[CrcPosition..]) != Crc32C.Compute(bytes[..CrcPosition]))
        {
            return IdentityStatus.Unreadable;
        }
        topicId = new Guid(bytes[IdPosition..CrcPosition], bigEndian: true);
        return IdentityStatus.Known;
    }

    /// <summary>Makes the directory with its identity, durably.</summary>
    public static void Write(IStorage storage, string parent, string name, Guid topicId)
    {
        Span<byte> bytes = stackalloc byte[Size];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, Magic);
        BinaryPrimitives.WriteInt16BigEndian(bytes[4..], Version);
        BinaryPrimitives.WriteInt16BigEndian(bytes[6..], 0);
        topicId.TryWriteBytes(bytes[IdPosition..], bigEndian: true, out _);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[CrcPosition..], Crc32C.Compute(bytes[..CrcPosition]));
        string directory = $"{parent}/{name}";
        storage.CreateDirectory(directory);
        using (IStorageFile file = storage.Open($"{directory}/{TemporaryName}", create: true))
        {
            file.SetLength(0);
            file.Write(0, bytes);
            file.Flush();
        }
        storage.Rename($"{directory}/{TemporaryName}", $"{directory}/{FileName}");
        storage.SyncDirectory(directory);
        storage.SyncDirectory(parent);
    }
}
