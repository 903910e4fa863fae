using System.Buffers.Binary;
using System.Text;
using Tributary.Contracts.Records;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>What an entry of the journal says. The numbers stand on disk: see FORMAT.md.</summary>
internal enum EntryKind : byte
{
    SessionOpened = 1,
    SessionChanged = 2,
    SessionEnded = 3,
    Subscribed = 4,
    Unsubscribed = 5,
    WillSet = 6,
    WillCleared = 7,
    Message = 8,
    MessageMoved = 9,
    Acknowledged = 10,
    Received = 11,
    UsesReceipts = 12,
    Released = 13,
    Passed = 14,
    Left = 15,
}

/// <summary>Bits of the flags of a message entry.</summary>
[Flags]
internal enum MessageFlags : byte
{
    None = 0,

    /// <summary>It was published with the retain flag: it is, or clears, the topic's retained message.</summary>
    Retained = 1,

    /// <summary>It was published with QoS 2 by a durable session: packet identifier and receipt number follow.</summary>
    HasReceipt = 2,
}

/// <summary>Who gets a message, and how.</summary>
/// <param name="Session">Number of the session.</param>
/// <param name="Qos">1 or 2.</param>
/// <param name="Retain">Whether it is sent with the retain flag.</param>
/// <param name="Sequence">The message's sequence number in the session; −1 if it is not kept for it.</param>
/// <param name="Share">The shared subscription that it came by, whole as it was subscribed to; null for none.</param>
/// <param name="Identifier">Subscription identifier, 0 for none.</param>
/// <param name="MoreIdentifiers">Further ones; null for none.</param>
internal readonly record struct EntryRecipient(
    long Session, int Qos, bool Retain, long Sequence, byte[]? Share, uint Identifier, uint[]? MoreIdentifiers);

/// <summary>The message of an entry, in the bytes that it was read from.</summary>
internal readonly ref struct EntryMessage
{
    public required MessageFlags Flags { get; init; }

    /// <summary>QoS that it was published with.</summary>
    public required int Qos { get; init; }

    /// <summary>The session that published it, 0 for one that is not durable.</summary>
    public required long Publisher { get; init; }

    /// <summary>Packet identifier of a QoS 2 message, 0 for none.</summary>
    public required ushort PacketId { get; init; }

    /// <summary>Its receipt's number.</summary>
    public required long Receipt { get; init; }

    /// <summary>Stamp of its arrival, as the clock gives it.</summary>
    public required long ArrivedAt { get; init; }

    public required ReadOnlySpan<byte> Topic { get; init; }

    public required ReadOnlySpan<byte> Properties { get; init; }

    public required ReadOnlySpan<byte> Payload { get; init; }
}

/// <summary>Writes entries into a buffer that is kept. Used under one lock.</summary>
internal sealed class EntryWriter
{
    private const int KeptBytes = 64 << 10;
    private byte[] _buffer = new byte[256];
    private int _length;

    /// <summary>What was written since <see cref="Begin"/>; valid until the next one.</summary>
    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, _length);

    public EntryWriter Begin(EntryKind kind)
    {
        if (_buffer.Length > KeptBytes)
        {
            _buffer = new byte[256];
        }
        _length = 0;
        return Byte((byte)kind);
    }

    /// <summary>Begins what is no entry: a snapshot.</summary>
    public EntryWriter Begin()
    {
        _length = 0;
        return this;
    }

    public EntryWriter Byte(byte value)
    {
        Reserve(1)[0] = value;
        _length++;
        return this;
    }

    /// <summary>What was written elsewhere.</summary>
    public EntryWriter Raw(ReadOnlySpan<byte> written)
    {
        written.CopyTo(Reserve(written.Length));
        _length += written.Length;
        return this;
    }

    public EntryWriter Flag(bool value) => Byte(value ? (byte)1 : (byte)0);

    /// <summary>A signed number in as few bytes as it needs.</summary>
    public EntryWriter Number(long value)
    {
        _length += Varint.Write(Reserve(Varint.MaxSize), value);
        return this;
    }

    /// <summary>Bytes with their length.</summary>
    public EntryWriter Bytes(ReadOnlySpan<byte> bytes)
    {
        Number(bytes.Length);
        bytes.CopyTo(Reserve(bytes.Length));
        _length += bytes.Length;
        return this;
    }

    public EntryWriter Text(string text)
    {
        int bytes = Encoding.UTF8.GetByteCount(text);
        Number(bytes);
        Encoding.UTF8.GetBytes(text, Reserve(bytes));
        _length += bytes;
        return this;
    }

    /// <summary>A user; null for an anonymous one.</summary>
    public EntryWriter User(string? user) => user is null ? Flag(false) : Flag(true).Text(user);

    public EntryWriter Message(
        MessageFlags flags, int qos, long publisher, ushort packetId, long receipt, long arrivedAt, ReadOnlySpan<byte> topic,
        ReadOnlySpan<byte> properties, ReadOnlySpan<byte> payload)
    {
        Byte((byte)flags).Byte((byte)qos).Number(arrivedAt);
        if ((flags & MessageFlags.HasReceipt) != 0)
        {
            Number(publisher).Number(packetId).Number(receipt);
        }
        return Bytes(topic).Bytes(properties).Bytes(payload);
    }

    /// <summary>Who gets a message.</summary>
    /// <param name="recipients">They.</param>
    /// <param name="isKnown">Whether how they get it stands in another entry.</param>
    public EntryWriter Recipients(ReadOnlySpan<EntryRecipient> recipients, bool isKnown = false)
    {
        Number(recipients.Length);
        foreach (EntryRecipient recipient in recipients)
        {
            Number(recipient.Session).Number(recipient.Sequence);
            if (isKnown)
            {
                continue;
            }
            Byte((byte)(recipient.Qos | (recipient.Retain ? 4 : 0) | (recipient.Share is null ? 0 : 8)));
            if (recipient.Share is { } share)
            {
                Bytes(share);
            }
            Identifiers(recipient.Identifier, recipient.MoreIdentifiers);
        }
        return this;
    }

    public EntryWriter Identifiers(uint identifier, uint[]? more)
    {
        Number(identifier == 0 ? 0 : 1 + (more?.Length ?? 0));
        if (identifier != 0)
        {
            Number(identifier);
            foreach (uint other in more ?? [])
            {
                Number(other);
            }
        }
        return this;
    }

    private Span<byte> Reserve(int bytes)
    {
        if (_length + bytes > _buffer.Length)
        {
            Array.Resize(ref _buffer, Math.Max(_length + bytes, _buffer.Length * 2));
        }
        return _buffer.AsSpan(_length);
    }
}

/// <summary>Reads what <see cref="EntryWriter"/> wrote. What does not fit throws <see cref="InvalidDataException"/>.</summary>
internal ref struct EntryReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public readonly bool AtEnd => _rest.IsEmpty;

    public EntryKind Kind() => (EntryKind)Byte();

    public byte Byte()
    {
        if (_rest.IsEmpty)
        {
            throw Short();
        }
        byte value = _rest[0];
        _rest = _rest[1..];
        return value;
    }

    public bool Flag() => Byte() != 0;

    public long Number() => Varint.TryRead(ref _rest, out long value) ? value : throw Short();

    /// <summary>A count of items that take at least so many bytes each.</summary>
    public int Count(int least = 1)
    {
        long count = Number();
        return count >= 0 && count <= _rest.Length / least ? (int)count : throw Short();
    }

    public ReadOnlySpan<byte> Bytes()
    {
        int length = Count();
        ReadOnlySpan<byte> taken = _rest[..length];
        _rest = _rest[length..];
        return taken;
    }

    public string Text() => Encoding.UTF8.GetString(Bytes());

    public string? User() => Flag() ? Text() : null;

    public EntryMessage Message()
    {
        var flags = (MessageFlags)Byte();
        int qos = Byte();
        long arrivedAt = Number();
        bool hasReceipt = (flags & MessageFlags.HasReceipt) != 0;
        return new EntryMessage
        {
            Flags = flags,
            Qos = qos,
            ArrivedAt = arrivedAt,
            Publisher = hasReceipt ? Number() : 0,
            PacketId = hasReceipt ? (ushort)Number() : (ushort)0,
            Receipt = hasReceipt ? Number() : -1,
            Topic = Bytes(),
            Properties = Bytes(),
            Payload = Bytes(),
        };
    }

    public EntryRecipient Recipient(bool isKnown = false)
    {
        long session = Number();
        long sequence = Number();
        if (isKnown)
        {
            return new EntryRecipient(session, 0, false, sequence, null, 0, null);
        }
        byte how = Byte();
        byte[]? share = (how & 8) != 0 ? Bytes().ToArray() : null;
        (uint identifier, uint[]? more) = Identifiers();
        return new EntryRecipient(session, how & 3, (how & 4) != 0, sequence, share, identifier, more);
    }

    public (uint Identifier, uint[]? More) Identifiers()
    {
        int count = Count();
        if (count == 0)
        {
            return (0, null);
        }
        uint first = (uint)Number();
        uint[]? more = count > 1 ? new uint[count - 1] : null;
        for (int i = 1; i < count; i++)
        {
            more![i - 1] = (uint)Number();
        }
        return (first, more);
    }

    private static InvalidDataException Short() => new("an entry ends within a field");
}

/// <summary>
/// The header that a QoS 2 message of a durable session carries in its record, so that a repeated PUBLISH finds it after a crash. It is
/// the last header, has a fixed length, and is taken off before anything leaves the agent.
/// </summary>
/// <param name="Session">Number of the session.</param>
/// <param name="PacketId">Packet identifier.</param>
/// <param name="Number">The receipt's number, which only grows within the session.</param>
internal readonly record struct ReceiptHeader(long Session, ushort PacketId, long Number)
{
    /// <summary>Its name: no other header may have it.</summary>
    public const string Name = "tributary.mqtt.receipt";

    private const int ValueLength = sizeof(long) + sizeof(ushort) + sizeof(long);

    /// <summary>Length of the name, name, length of the value.</summary>
    private static readonly byte[] Prefix = EncodePrefix();

    /// <summary>Bytes of the header as it is encoded in a record.</summary>
    public static int EncodedLength { get; } = Prefix.Length + ValueLength;

    /// <summary>Writes the header as it stands in a record.</summary>
    public void Write(Span<byte> into)
    {
        Prefix.CopyTo(into);
        Span<byte> value = into[Prefix.Length..];
        BinaryPrimitives.WriteInt64BigEndian(value, Session);
        BinaryPrimitives.WriteUInt16BigEndian(value[8..], PacketId);
        BinaryPrimitives.WriteInt64BigEndian(value[10..], Number);
    }

    /// <summary>Looks for the header as the last one of a record.</summary>
    public static bool TryRead(in Record record, out ReceiptHeader header)
    {
        header = default;
        ReadOnlySpan<byte> headers = record.EncodedHeaders;
        if (record.HeaderCount == 0 || headers.Length < EncodedLength || !headers[^EncodedLength..].StartsWith(Prefix)
            || !IsLastOf(record))
        {
            return false;
        }
        ReadOnlySpan<byte> value = headers[^ValueLength..];
        header = new ReceiptHeader(
            BinaryPrimitives.ReadInt64BigEndian(value), BinaryPrimitives.ReadUInt16BigEndian(value[8..]),
            BinaryPrimitives.ReadInt64BigEndian(value[10..]));
        return true;
    }

    /// <summary>The record as it leaves the agent.</summary>
    public static Record Strip(in Record record) => !TryRead(record, out _)
        ? record
        : new Record
        {
            OffsetDelta = record.OffsetDelta,
            TimestampDelta = record.TimestampDelta,
            HasKey = record.HasKey,
            Key = record.Key,
            HasValue = record.HasValue,
            Value = record.Value,
            HeaderCount = record.HeaderCount - 1,
            EncodedHeaders = record.EncodedHeaders[..^EncodedLength],
        };

    /// <summary>
    /// Whether the last header begins where this one would: the same bytes may also be the end of another header's value, which a client
    /// chooses.
    /// </summary>
    private static bool IsLastOf(in Record record)
    {
        HeaderReader reader = new(record.EncodedHeaders[..^EncodedLength], record.HeaderCount - 1);
        while (reader.Read(out _, out _, out _))
        {
        }
        return !reader.IsMalformed;
    }

    private static byte[] EncodePrefix()
    {
        var whole = new EncodedHeaders([new(Name, new byte[ValueLength])]);
        return whole.Bytes[..^ValueLength].ToArray();
    }
}
