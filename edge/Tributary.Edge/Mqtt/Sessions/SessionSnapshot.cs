using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>What was found where the snapshot should be.</summary>
internal enum SnapshotStatus
{
    /// <summary>A whole one.</summary>
    Ok,

    /// <summary>None was written.</summary>
    Missing,

    /// <summary>Bytes that are none.</summary>
    Damaged,
}

/// <summary>
/// The file <c>sessions.snapshot</c> in the journal's directory. It is replaced as a whole: written under a temporary name, flushed,
/// renamed, and the directory synced, so that a crash leaves the old or the new one, and perhaps a part of it under the temporary
/// name, which the next start removes. One thread at a time. Layout in FORMAT.md.
/// </summary>
internal sealed class SessionSnapshot(IStorage storage, string directory)
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "sessions.snapshot";

    /// <summary>Version that is written. Those before are read too.</summary>
    public const int Version = 2;

    /// <summary>The first version that is taken in pieces.</summary>
    public const int InPieces = 2;

    private const string TemporarySuffix = ".tmp";
    private const string DamagedSuffix = ".damaged";
    private const uint Magic = 0x54524253; // "TRBS"
    private const int CrcPosition = 12;
    private const int HeaderSize = 16;

    /// <summary>Path of the file.</summary>
    public string Path { get; } = $"{directory}/{FileName}";

    private string TemporaryPath => Path + TemporarySuffix;

    /// <summary>Where a damaged one is kept.</summary>
    public string DamagedPath => Path + DamagedSuffix;

    /// <summary>Makes a snapshot durable before it returns.</summary>
    /// <exception cref="IOException">It could not be written; the old one stands.</exception>
    public void Save(ReadOnlySpan<byte> content)
    {
        byte[] header = new byte[HeaderSize];
        BinaryPrimitives.WriteUInt32BigEndian(header, Magic);
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(4), Version);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(8), content.Length);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(CrcPosition), Checksum(header, content));
        try
        {
            using (IStorageFile file = storage.Open(TemporaryPath, create: true))
            {
                file.SetLength(0);
                file.Write(0, header);
                file.Write(HeaderSize, content);
                file.Flush();
            }
            storage.Rename(TemporaryPath, Path);
        }
        catch
        {
            DeleteTemporary(); // a part of it would take what room is left from those who can make more
            throw;
        }
        storage.SyncDirectory(directory);
    }

    /// <summary>Reads the snapshot. What is damaged is read twice before that is believed.</summary>
    /// <exception cref="IOException">The file is there and can't be read.</exception>
    public SnapshotStatus Load(out ReadOnlyMemory<byte> content, out int version)
    {
        DeleteTemporary();
        SnapshotStatus status = LoadOnce(out content, out version);
        return status == SnapshotStatus.Damaged ? LoadOnce(out content, out version) : status;
    }

    /// <summary>Keeps a damaged one under another name.</summary>
    public void SetAside()
    {
        storage.Rename(Path, DamagedPath);
        storage.SyncDirectory(directory);
    }

    private void DeleteTemporary()
    {
        try
        {
            storage.Delete(TemporaryPath);
        }
        // It takes room until the next one is saved or read.
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }

    private SnapshotStatus LoadOnce(out ReadOnlyMemory<byte> content, out int version)
    {
        (content, version) = (default, 0);
        byte[] bytes;
        try
        {
            using IStorageFile file = storage.Open(Path, create: false);
            if (file.Length is < HeaderSize or > int.MaxValue)
            {
                return SnapshotStatus.Damaged;
            }
            bytes = new byte[file.Length];
            if (file.Read(0, bytes) < bytes.Length)
            {
                return SnapshotStatus.Damaged;
            }
        }
        catch (FileNotFoundException)
        {
            return SnapshotStatus.Missing;
        }
        version = BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(4));
        if (BinaryPrimitives.ReadUInt32BigEndian(bytes) != Magic
            || version is < 1 or > Version
            || BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(8)) != bytes.Length - HeaderSize
            || BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(CrcPosition)) != Checksum(bytes.AsSpan(0, HeaderSize), bytes.AsSpan(HeaderSize)))
        {
            return SnapshotStatus.Damaged;
        }
        content = bytes.AsMemory(HeaderSize);
        return SnapshotStatus.Ok;
    }

    private static uint Checksum(ReadOnlySpan<byte> header, ReadOnlySpan<byte> content) =>
        Crc32C.Append(Crc32C.Compute(header[..CrcPosition]), content);
}
