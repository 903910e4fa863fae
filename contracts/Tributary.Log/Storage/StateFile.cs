using System.Buffers;
using System.Buffers.Binary;
using Tributary.Contracts.Records;

namespace Tributary.Log.Storage;

/// <summary>What a state file holds; part of its header, so that one kind is never taken for another.</summary>
internal enum StateKind : ushort
{
    Manifest = 1,
    LeaderEpochs = 2,
    Producers = 3,
    SegmentIndex = 4,
}

/// <summary>What was found where a state file should be.</summary>
internal enum StateStatus
{
    Ok,
    Missing,
    Bad,
}

/// <summary>
/// Small files that are replaced as a whole: written under a temporary name, flushed, renamed, and the directory synced. After a crash
/// there is the old or the new content, or (only if the disk lies) a CRC that does not match. Layout in FORMAT.md.
/// </summary>
internal static class StateFile
{
    public const string TemporarySuffix = ".tmp";
    public const int HeaderSize = 16;
    private const uint Magic = 0x54524246; // "TRBF"
    private const int CrcPosition = 12;

    /// <summary>Begins a file's content: a buffer with room for the header.</summary>
    public static ArrayBufferWriter<byte> Begin(StateKind kind, ushort version)
    {
        var content = new ArrayBufferWriter<byte>(256);
        Span<byte> header = content.GetSpan(HeaderSize);
        header[..HeaderSize].Clear();
        BinaryPrimitives.WriteUInt32BigEndian(header, Magic);
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], (ushort)kind);
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], version);
        content.Advance(HeaderSize);
        return content;
    }

    /// <summary>Finishes the header and puts the file in place. The directory is synced unless the caller does it.</summary>
    /// <returns>Bytes of the file.</returns>
    public static int Replace(IStorage storage, string directory, string name, ArrayBufferWriter<byte> content, bool syncDirectory = true)
    {
        byte[] bytes = content.WrittenSpan.ToArray();
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(8), bytes.Length - HeaderSize);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(CrcPosition), Checksum(bytes));
        string path = $"{directory}/{name}";
        string temporary = path + TemporarySuffix;
        using (IStorageFile file = storage.Open(temporary, create: true))
        {
            file.SetLength(0);
            file.Write(0, bytes);
            file.Flush();
        }
        storage.Rename(temporary, path);
        if (syncDirectory)
        {
            storage.SyncDirectory(directory);
        }
        return bytes.Length;
    }

    /// <summary>Reads a file of this kind and exactly this version. What is bad is read twice before that is believed.</summary>
    /// <param name="payload">What follows the header, when the answer is <see cref="StateStatus.Ok"/>.</param>
    public static StateStatus Read(IStorage storage, string path, StateKind kind, ushort version, out Memory<byte> payload)
    {
        StateStatus status = ReadOnce(storage, path, kind, version, out payload);
        return status == StateStatus.Bad ? ReadOnce(storage, path, kind, version, out payload) : status;
    }

    private static StateStatus ReadOnce(IStorage storage, string path, StateKind kind, ushort version, out Memory<byte> payload)
    {
        payload = default;
        byte[] bytes;
        try
        {
            using IStorageFile file = storage.Open(path, create: false);
            long length = file.Length;
            if (length > Array.MaxLength)
            {
                return StateStatus.Bad;
            }
            bytes = GC.AllocateUninitializedArray<byte>((int)length);
            if (file.Read(0, bytes) < bytes.Length)
            {
                return StateStatus.Bad;
            }
        }
        catch (FileNotFoundException)
        {
            return StateStatus.Missing;
        }
        catch (IOException)
        {
            return StateStatus.Bad; // a sector that can't be read is damage like any other
        }
        if (bytes.Length < HeaderSize
            || BinaryPrimitives.ReadUInt32BigEndian(bytes) != Magic
            || BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(4)) != (ushort)kind
            || BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(6)) != version
            || BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(8)) != bytes.Length - HeaderSize
            || BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(CrcPosition)) != Checksum(bytes))
        {
            return StateStatus.Bad;
        }
        payload = bytes.AsMemory(HeaderSize);
        return StateStatus.Ok;
    }

    private static uint Checksum(ReadOnlySpan<byte> file) =>
        Crc32C.Append(Crc32C.Compute(file[..CrcPosition]), file[HeaderSize..]);
}

/// <summary>Big-endian fields appended to a state file.</summary>
internal static class StateWriting
{
    public static void WriteInt16(this ArrayBufferWriter<byte> to, short value)
    {
        BinaryPrimitives.WriteInt16BigEndian(to.GetSpan(sizeof(short)), value);
        to.Advance(sizeof(short));
    }

    public static void WriteInt32(this ArrayBufferWriter<byte> to, int value)
    {
        BinaryPrimitives.WriteInt32BigEndian(to.GetSpan(sizeof(int)), value);
        to.Advance(sizeof(int));
    }

    public static void WriteInt64(this ArrayBufferWriter<byte> to, long value)
    {
        BinaryPrimitives.WriteInt64BigEndian(to.GetSpan(sizeof(long)), value);
        to.Advance(sizeof(long));
    }
}

/// <summary>Reads big-endian fields; a read beyond the end throws <see cref="InvalidDataException"/>.</summary>
internal ref struct StateReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public readonly bool AtEnd => _rest.IsEmpty;

    /// <summary>Bytes that are left.</summary>
    public readonly int Left => _rest.Length;

    public short ReadInt16() => BinaryPrimitives.ReadInt16BigEndian(Take(sizeof(short)));

    public int ReadInt32() => BinaryPrimitives.ReadInt32BigEndian(Take(sizeof(int)));

    public long ReadInt64() => BinaryPrimitives.ReadInt64BigEndian(Take(sizeof(long)));

    /// <summary>A count of items of <paramref name="itemSize"/> bytes each, which must fit what is left.</summary>
    public int ReadCount(int itemSize)
    {
        int count = ReadInt32();
        return count >= 0 && (long)count * itemSize <= _rest.Length
            ? count
            : throw new InvalidDataException("a count is larger than the file");
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count < 0 || count > _rest.Length)
        {
            throw new InvalidDataException("the file ends within a field");
        }
        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
