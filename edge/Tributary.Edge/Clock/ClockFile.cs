using System.Buffers.Binary;
using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Edge.Clock;

/// <summary>
/// The file <c>clock</c> in the data directory: the boots of the device and what each learned of the time. It is replaced as a whole:
/// written under a temporary name, flushed, renamed, and the directory synced, so that a crash leaves the old or the new one. One thread
/// at a time.
/// <code>
/// uint32 magic "TRBC" | uint16 version 1 | uint16 0 | int32 boots | uint32 CRC-32C of all but itself
/// each boot: int32 number | 16 bytes boot id | int64 last ms | int64 told booted at | uint8 anchors, 0 or 2
/// each anchor: int64 ms since boot | int64 Unix ms | int64 error ms | uint8 1 if synchronised
/// </code>
/// All integers are big-endian. A change of layout takes a new version; an unknown one is refused like damage.
/// </summary>
internal sealed class ClockFile(IStorage storage, string directory)
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "clock";

    /// <summary>Boots that are remembered, the latest; records of older ones that still wait have their times estimated.</summary>
    public const int MostBoots = 512;

    private const string TemporarySuffix = ".tmp";
    private const uint Magic = 0x54524243;
    private const ushort Version = 1;
    private const int CrcPosition = 12;
    private const int HeaderSize = 16;
    private const int BootSize = sizeof(int) + 16 + (2 * sizeof(long)) + 1;
    private const int AnchorSize = (3 * sizeof(long)) + 1;

    /// <summary>Path of the file.</summary>
    public string Path { get; } = $"{directory}/{FileName}";

    /// <summary>Makes the boots durable before it returns.</summary>
    /// <exception cref="IOException">They could not be written; the old file stands.</exception>
    public void Save(IReadOnlyList<Boot> boots)
    {
        string temporary = Path + TemporarySuffix;
        using (IStorageFile file = storage.Open(temporary, create: true))
        {
            file.SetLength(0);
            file.Write(0, Encode(boots));
            file.Flush();
        }
        storage.Rename(temporary, Path);
        storage.SyncDirectory(directory);
    }

    /// <summary>Reads the boots. What is damaged is read twice before that is believed.</summary>
    /// <returns>Null if the file is damaged; empty if there is none.</returns>
    /// <exception cref="IOException">The file is there and can't be read.</exception>
    public IReadOnlyList<Boot>? Load() => LoadOnce() ?? LoadOnce();

    private List<Boot>? LoadOnce()
    {
        try
        {
            using IStorageFile file = storage.Open(Path, create: false);
            if (file.Length is < HeaderSize or > HeaderSize + (MostBoots * (BootSize + (2 * AnchorSize))))
            {
                return null;
            }
            byte[] bytes = new byte[file.Length];
            return file.Read(0, bytes) == bytes.Length ? Decode(bytes) : null;
        }
        catch (FileNotFoundException)
        {
            return [];
        }
    }

    private static byte[] Encode(IReadOnlyList<Boot> boots)
    {
        byte[] bytes = new byte[HeaderSize + boots.Sum(boot => BootSize + (boot.First is null ? 0 : 2 * AnchorSize))];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(4), Version);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(8), boots.Count);
        Span<byte> to = bytes.AsSpan(HeaderSize);
        foreach (Boot boot in boots)
        {
            BinaryPrimitives.WriteInt32BigEndian(to, boot.Number);
            boot.Id.TryWriteBytes(to[4..], bigEndian: true, out _);
            BinaryPrimitives.WriteInt64BigEndian(to[20..], boot.LastMs);
            BinaryPrimitives.WriteInt64BigEndian(to[28..], boot.ToldBootedAt);
            to[36] = boot is { First: not null, Last: not null } ? (byte)2 : (byte)0;
            to = to[BootSize..];
            if (boot is { First: { } first, Last: { } last })
            {
                to = Write(Write(to, first), last);
            }
        }
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(CrcPosition), Checksum(bytes));
        return bytes;
    }

    private static Span<byte> Write(Span<byte> to, ClockAnchor anchor)
    {
        BinaryPrimitives.WriteInt64BigEndian(to, anchor.SinceBootMs);
        BinaryPrimitives.WriteInt64BigEndian(to[8..], anchor.UnixMs);
        BinaryPrimitives.WriteInt64BigEndian(to[16..], anchor.ErrorMs);
        to[24] = anchor.IsSynchronized ? (byte)1 : (byte)0;
        return to[AnchorSize..];
    }

    private static List<Boot>? Decode(ReadOnlySpan<byte> bytes)
    {
        if (BinaryPrimitives.ReadUInt32BigEndian(bytes) != Magic || BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]) != Version
            || BinaryPrimitives.ReadUInt32BigEndian(bytes[CrcPosition..]) != Checksum(bytes))
        {
            return null;
        }
        int count = BinaryPrimitives.ReadInt32BigEndian(bytes[8..]);
        ReadOnlySpan<byte> rest = bytes[HeaderSize..];
        var boots = new List<Boot>();
        for (int i = 0; i < count; i++)
        {
            if (rest.Length < BootSize || rest[36] is not (0 or 2) || rest.Length < BootSize + (rest[36] * AnchorSize))
            {
                return null;
            }
            boots.Add(ReadBoot(rest));
            rest = rest[(BootSize + (rest[36] * AnchorSize))..];
        }
        return rest.IsEmpty ? boots : null;
    }

    private static Boot ReadBoot(ReadOnlySpan<byte> from)
    {
        bool isKnown = from[36] == 2;
        return new Boot(
            BinaryPrimitives.ReadInt32BigEndian(from), new Guid(from.Slice(4, 16), bigEndian: true), BinaryPrimitives.ReadInt64BigEndian(from[20..]),
            isKnown ? ReadAnchor(from[BootSize..]) : null, isKnown ? ReadAnchor(from[(BootSize + AnchorSize)..]) : null,
            BinaryPrimitives.ReadInt64BigEndian(from[28..]));
    }

    private static ClockAnchor ReadAnchor(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadInt64BigEndian(from), BinaryPrimitives.ReadInt64BigEndian(from[8..]), BinaryPrimitives.ReadInt64BigEndian(from[16..]),
        from[24] != 0);

    private static uint Checksum(ReadOnlySpan<byte> bytes) => Crc32C.Append(Crc32C.Compute(bytes[..CrcPosition]), bytes[HeaderSize..]);
}
