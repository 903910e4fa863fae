using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Edge.Uplink;

/// <summary>What was found where the checkpoint should be.</summary>
internal enum CheckpointStatus
{
    /// <summary>A whole one.</summary>
    Ok,

    /// <summary>None was ever written.</summary>
    Missing,

    /// <summary>
    /// Bytes that are no checkpoint. The producer id is lost, so nobody can tell what the cloud has: exactly once can't be claimed and
    /// the uplink stops, unless it is told to send again what is held.
    /// </summary>
    Damaged,
}

/// <summary>
/// The checkpoint file <c>uplink.checkpoint</c> in a local partition's directory. It is replaced as a whole: written under a
/// temporary name, flushed, renamed, and the directory synced, so that a crash leaves the old or the new one. One thread at a time.
/// <code>
/// uint32 magic "TRBU" | uint16 version 2 | uint16 0 | int32 bytes that follow the CRC | uint32 CRC-32C of all but itself
/// int64 producer id | int16 epoch | int64 epoch start | int64 acked | int64 unresolved end | 16 bytes topic id
/// int16 length, cluster id (UTF-8) | int64 refused total | int64 gap total
/// int32 n, n × (int64 from offset, int32 count) | int32 n, n × (int64 ordinal, int64 resume, int64 cloud end) | int32 n, n × int64 refused
/// since version 2: int64 starts | int64 conflict total | for each target (int16 epoch, int32 last sequence) before the epoch
/// </code>
/// All integers are big-endian. A change of layout takes a new version; an unknown one is refused like damage.
/// </summary>
internal sealed class CheckpointFile(IStorage storage, string directory)
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "uplink.checkpoint";

    /// <summary>The most bytes that a checkpoint takes: far above what the limits of its lists allow.</summary>
    private const int MaxSize = 16 << 20;

    private const string TemporarySuffix = ".tmp";
    private const uint Magic = 0x54524255;
    private const ushort Version = 2;
    private const ushort FirstVersion = 1;
    private const int CrcPosition = 12;
    private const int HeaderSize = 16;
    private const int CountSize = sizeof(long) + sizeof(int);
    private const int TargetSize = 3 * sizeof(long);

    /// <summary>Path of the file.</summary>
    public string Path { get; } = $"{directory}/{FileName}";

    /// <summary>Makes <paramref name="checkpoint"/> durable before it returns.</summary>
    /// <exception cref="IOException">It could not be written; the old one stands.</exception>
    public void Save(UplinkCheckpoint checkpoint)
    {
        byte[] bytes = Encode(checkpoint);
        string temporary = Path + TemporarySuffix;
        using (IStorageFile file = storage.Open(temporary, create: true))
        {
            file.SetLength(0);
            file.Write(0, bytes);
            file.Flush();
        }
        storage.Rename(temporary, Path);
        storage.SyncDirectory(directory);
    }

    /// <summary>Reads the checkpoint. What is damaged is read twice before that is believed.</summary>
    /// <exception cref="IOException">The file is there and can't be read.</exception>
    public CheckpointStatus Load(out UplinkCheckpoint checkpoint)
    {
        CheckpointStatus status = LoadOnce(out checkpoint);
        return status == CheckpointStatus.Damaged ? LoadOnce(out checkpoint) : status;
    }

    private CheckpointStatus LoadOnce(out UplinkCheckpoint checkpoint)
    {
        checkpoint = new UplinkCheckpoint();
        byte[] bytes;
        try
        {
            using IStorageFile file = storage.Open(Path, create: false);
            if (file.Length is < HeaderSize or > MaxSize)
            {
                return CheckpointStatus.Damaged;
            }
            bytes = new byte[file.Length];
            if (file.Read(0, bytes) < bytes.Length)
            {
                return CheckpointStatus.Damaged;
            }
        }
        catch (FileNotFoundException)
        {
            return CheckpointStatus.Missing;
        }
        return TryDecode(bytes, out checkpoint) ? CheckpointStatus.Ok : CheckpointStatus.Damaged;
    }

    private static byte[] Encode(UplinkCheckpoint checkpoint)
    {
        var to = new ArrayBufferWriter<byte>(256);
        to.Advance(HeaderSize, clear: true);
        to.Int64(checkpoint.ProducerId);
        to.Int16(checkpoint.ProducerEpoch);
        to.Int64(checkpoint.EpochStart);
        to.Int64(checkpoint.Acked);
        to.Int64(checkpoint.UnresolvedEnd);
        checkpoint.TopicId.TryWriteBytes(to.GetSpan(16), bigEndian: true, out int written);
        to.Advance(written);
        byte[] cluster = Encoding.UTF8.GetBytes(checkpoint.ClusterId);
        to.Int16(checked((short)cluster.Length));
        to.Write(cluster);
        to.Int64(checkpoint.RefusedTotal);
        to.Int64(checkpoint.GapTotal);
        to.Int32(checkpoint.Counts.Count);
        foreach (CountInForce count in checkpoint.Counts)
        {
            to.Int64(count.FromOffset);
            to.Int32(count.Count);
        }
        to.Int32(checkpoint.Targets.Count);
        foreach (TargetCheckpoint target in checkpoint.Targets)
        {
            to.Int64(target.NextOrdinal);
            to.Int64(target.ResumeOffset);
            to.Int64(target.CloudEnd);
        }
        to.Int32(checkpoint.Refused.Count);
        foreach (long offset in checkpoint.Refused)
        {
            to.Int64(offset);
        }
        to.Int64(checkpoint.Starts);
        to.Int64(checkpoint.ConflictTotal);
        foreach (TargetCheckpoint target in checkpoint.Targets)
        {
            to.Int16(target.Before.Epoch);
            to.Int32(target.Before.LastSequence);
        }
        byte[] bytes = to.WrittenSpan.ToArray();
        BinaryPrimitives.WriteUInt32BigEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(4), Version);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(8), bytes.Length - HeaderSize);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(CrcPosition), Checksum(bytes));
        return bytes;
    }

    private static bool TryDecode(ReadOnlySpan<byte> bytes, out UplinkCheckpoint checkpoint)
    {
        checkpoint = new UplinkCheckpoint();
        ushort version = BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]);
        if (BinaryPrimitives.ReadUInt32BigEndian(bytes) != Magic
            || version is < FirstVersion or > Version
            || BinaryPrimitives.ReadInt32BigEndian(bytes[8..]) != bytes.Length - HeaderSize
            || BinaryPrimitives.ReadUInt32BigEndian(bytes[CrcPosition..]) != Checksum(bytes))
        {
            return false;
        }
        var from = new FieldReader(bytes[HeaderSize..]);
        checkpoint = new UplinkCheckpoint
        {
            ProducerId = from.Int64(),
            ProducerEpoch = from.Int16(),
            EpochStart = from.Int64(),
            Acked = from.Int64(),
            UnresolvedEnd = from.Int64(),
            TopicId = new Guid(from.Take(16), bigEndian: true),
            ClusterId = Encoding.UTF8.GetString(from.Take(from.Int16())),
            RefusedTotal = from.Int64(),
            GapTotal = from.Int64(),
            Counts = ReadCounts(ref from),
            Targets = ReadTargets(ref from),
            Refused = ReadRefused(ref from),
        };
        if (version > FirstVersion)
        {
            checkpoint = checkpoint with
            {
                Starts = from.Int64(),
                ConflictTotal = from.Int64(),
                Targets = ReadBefore(ref from, checkpoint.Targets),
            };
        }
        return !from.Failed && from.AtEnd;
    }

    private static CountInForce[] ReadCounts(ref FieldReader from)
    {
        var counts = new CountInForce[from.Count(CountSize)];
        for (int i = 0; i < counts.Length; i++)
        {
            counts[i] = new CountInForce(from.Int64(), from.Int32());
        }
        return counts;
    }

    private static TargetCheckpoint[] ReadTargets(ref FieldReader from)
    {
        var targets = new TargetCheckpoint[from.Count(TargetSize)];
        for (int i = 0; i < targets.Length; i++)
        {
            targets[i] = new TargetCheckpoint(from.Int64(), from.Int64(), from.Int64(), ProducerPosition.Unknown);
        }
        return targets;
    }

    private static TargetCheckpoint[] ReadBefore(ref FieldReader from, IReadOnlyList<TargetCheckpoint> targets)
    {
        var read = new TargetCheckpoint[targets.Count];
        for (int i = 0; i < read.Length; i++)
        {
            read[i] = targets[i] with { Before = new ProducerPosition(from.Int16(), from.Int32()) };
        }
        return read;
    }

    private static long[] ReadRefused(ref FieldReader from)
    {
        long[] refused = new long[from.Count(sizeof(long))];
        for (int i = 0; i < refused.Length; i++)
        {
            refused[i] = from.Int64();
        }
        return refused;
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes) => Crc32C.Append(Crc32C.Compute(bytes[..CrcPosition]), bytes[HeaderSize..]);

    /// <summary>Big-endian fields; after one that does not fit, everything reads as zero and <see cref="Failed"/> is true.</summary>
    private ref struct FieldReader(ReadOnlySpan<byte> bytes)
    {
        private ReadOnlySpan<byte> _rest = bytes;

        public bool Failed { get; private set; }

        public readonly bool AtEnd => _rest.IsEmpty;

        public short Int16() => BinaryPrimitives.ReadInt16BigEndian(Take(sizeof(short)));

        public int Int32() => BinaryPrimitives.ReadInt32BigEndian(Take(sizeof(int)));

        public long Int64() => BinaryPrimitives.ReadInt64BigEndian(Take(sizeof(long)));

        public int Count(int itemSize)
        {
            int count = Int32();
            if (count >= 0 && (long)count * itemSize <= _rest.Length)
            {
                return count;
            }
            Failed = true;
            return 0;
        }

        public ReadOnlySpan<byte> Take(int count)
        {
            if (count < 0 || count > _rest.Length)
            {
                Failed = true;
                return count is > 0 and <= 16 ? new byte[count] : [];
            }
            ReadOnlySpan<byte> taken = _rest[..count];
            _rest = _rest[count..];
            return taken;
        }
    }
}

/// <summary>Big-endian fields appended to a buffer.</summary>
file static class FieldWriting
{
    public static void Int16(this ArrayBufferWriter<byte> to, short value)
    {
        BinaryPrimitives.WriteInt16BigEndian(to.GetSpan(sizeof(short)), value);
        to.Advance(sizeof(short));
    }

    public static void Int32(this ArrayBufferWriter<byte> to, int value)
    {
        BinaryPrimitives.WriteInt32BigEndian(to.GetSpan(sizeof(int)), value);
        to.Advance(sizeof(int));
    }

    public static void Int64(this ArrayBufferWriter<byte> to, long value)
    {
        BinaryPrimitives.WriteInt64BigEndian(to.GetSpan(sizeof(long)), value);
        to.Advance(sizeof(long));
    }

    public static void Advance(this ArrayBufferWriter<byte> to, int count, bool clear)
    {
        if (clear)
        {
            to.GetSpan(count)[..count].Clear();
        }
        to.Advance(count);
    }
}
