using System.Buffers;
using System.Buffers.Binary;
using Tributary.Broker.Partitions;
using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Storage;

namespace Tributary.Tests.Fuzz;

/// <summary>
/// The entry points of decoders of files, as <see cref="FuzzTargets"/> has them for what comes over connections. A checksum keeps damage
/// out of most files: here it is made right, so that the decoders are tried and not the checksum.
/// </summary>
internal static class FileFuzzTargets
{
    private const string Root = "data";
    private const string Partition = "p-0";
    private const string Directory = $"{Root}/{Partition}";
    private const int CrcAt = 12;
    private const int HeaderSize = 16;

    /// <summary>A manifest, behind its header.</summary>
    public static void ManifestFile(ReadOnlySpan<byte> bytes) =>
        State(bytes, StateKind.Manifest, Manifest.Version, LogFiles.Manifest, storage => Manifest.Load(storage, Directory, out _));

    /// <summary>A leader epoch checkpoint, behind its header.</summary>
    public static void LeaderEpochFile(ReadOnlySpan<byte> bytes) =>
        State(bytes, StateKind.LeaderEpochs, LeaderEpochs.Version, "epochs", storage => new LeaderEpochs().Load(storage, $"{Directory}/epochs"));

    /// <summary>A snapshot of producer state, behind its header.</summary>
    public static void ProducerFile(ReadOnlySpan<byte> bytes) => State(
        bytes, StateKind.Producers, ProducerSnapshot.Version, LogFiles.Producers(0), storage => ProducerSnapshot.Load(storage, Directory, 0, new ProducerState()));

    /// <summary>An index, behind its header.</summary>
    public static void IndexFile(ReadOnlySpan<byte> bytes) =>
        State(bytes, StateKind.SegmentIndex, SegmentIndex.Version, LogFiles.Index(0), storage => SegmentIndex.Load(storage, Directory, 0, out _, out _));

    /// <summary>An uplink checkpoint, whole.</summary>
    public static void CheckpointFile(ReadOnlySpan<byte> bytes)
    {
        byte[] file = bytes.ToArray();
        if (file.Length >= HeaderSize)
        {
            BinaryPrimitives.WriteUInt32BigEndian(
                file.AsSpan(CrcAt), Crc32C.Append(Crc32C.Compute(file.AsSpan(0, CrcAt)), file.AsSpan(HeaderSize)));
        }
        MemoryStorage storage = With(Tributary.Edge.Uplink.CheckpointFile.FileName, file);
        new Tributary.Edge.Uplink.CheckpointFile(storage, Directory).Load(out _);
    }

    /// <summary>The file that says which topic a partition belongs to, whole.</summary>
    public static void IdentityFile(ReadOnlySpan<byte> bytes) =>
        PartitionIdentity.Read(With(PartitionIdentity.FileName, bytes), Directory, out _);

    /// <summary>A segment file that a partition is opened with: what can be read of it can be read, and it takes more.</summary>
    public static void SegmentFile(ReadOnlySpan<byte> bytes)
    {
        MemoryStorage storage = With(LogFiles.Segment(0), bytes);
        var logs = LogDirectory.Open(storage, Root, new LogDirectoryOptions(), TimeProvider.System, new Silent());
        try
        {
            PartitionLog log = logs.OpenPartition(Partition, new PartitionLogOptions { SegmentBytes = 4096, IndexIntervalBytes = 256 });
            long end = log.AppendedEnd;
            for (long at = log.StartOffset; at < end;)
            {
                using LogRead read = log.Read(at, 1 << 20, end);
                FuzzTargets.Require(read.NextOffset > at, $"a read at {at} of {end} gets no further");
                at = read.NextOffset;
            }
            AppendResult added = log.Append(Tests.Broker.Support.Batches.Of(), Math.Max(0, log.LeaderEpoch));
            FuzzTargets.Require(added.Error == AppendError.None && added.BaseOffset == end, $"nothing can be appended at {end}: {added.Error}");
        }
        finally
        {
            logs.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    private static void State(ReadOnlySpan<byte> payload, StateKind kind, ushort version, string name, Func<IStorage, StateStatus> load)
    {
        ArrayBufferWriter<byte> content = StateFile.Begin(kind, version);
        content.Write(payload);
        MemoryStorage storage = With("other", []);
        StateFile.Replace(storage, Directory, name, content);
        try
        {
            load(storage);
        }
        catch (InvalidDataException)
        {
            // Said so: only a program that wrote it wrongly can have made such a file.
        }
    }

    private static MemoryStorage With(string name, ReadOnlySpan<byte> bytes)
    {
        var storage = new MemoryStorage();
        storage.CreateDirectory(Root);
        storage.CreateDirectory(Directory);
        using IStorageFile file = storage.Open($"{Directory}/{name}", create: true);
        file.Write(0, bytes);
        file.Flush();
        storage.SyncDirectory("");
        storage.SyncDirectory(Root);
        storage.SyncDirectory(Directory);
        return storage;
    }

    private sealed class Silent : ILogEvents
    {
        public void Report(LogEvent what)
        {
        }
    }
}
