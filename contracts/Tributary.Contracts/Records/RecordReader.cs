namespace Tributary.Contracts.Records;

/// <summary>
/// One record of a batch, over bytes that somebody else owns. Absent keys and values are told from empty ones by
/// <see cref="HasKey"/> and <see cref="HasValue"/>.
/// </summary>
public readonly ref struct Record
{
    /// <summary>Offset minus the batch's base offset.</summary>
    public required int OffsetDelta { get; init; }

    /// <summary>Timestamp minus the batch's base timestamp, milliseconds.</summary>
    public required long TimestampDelta { get; init; }

    /// <summary>Whether the record has a key (an empty one counts).</summary>
    public required bool HasKey { get; init; }

    /// <summary>The key; empty if there is none.</summary>
    public required ReadOnlySpan<byte> Key { get; init; }

    /// <summary>Whether the record has a value. A record without one is a tombstone on a compacted topic.</summary>
    public required bool HasValue { get; init; }

    /// <summary>The value; empty if there is none.</summary>
    public required ReadOnlySpan<byte> Value { get; init; }

    /// <summary>Number of headers.</summary>
    public required int HeaderCount { get; init; }

    /// <summary>The headers as they are encoded, without their count: <see cref="HeaderReader"/> reads them.</summary>
    public required ReadOnlySpan<byte> EncodedHeaders { get; init; }

    /// <summary>Reads the headers one by one.</summary>
    public HeaderReader ReadHeaders() => new(EncodedHeaders, HeaderCount);
}

/// <summary>
/// Reads the records of a batch whose payload is not compressed (or has been decompressed). Allocates nothing.
/// A malformed record ends the reading: <see cref="Read"/> returns false and <see cref="IsMalformed"/> is true.
/// </summary>
public ref struct RecordReader
{
    private ReadOnlySpan<byte> _rest;
    private int _left;

    /// <summary>Starts at the first of <paramref name="count"/> records in <paramref name="payload"/>.</summary>
    public RecordReader(ReadOnlySpan<byte> payload, int count)
    {
        _rest = payload;
        _left = count;
    }

    /// <summary>Whether bytes were found that are no record, or bytes are left over after the last.</summary>
    public bool IsMalformed { get; private set; }

    /// <summary>Reads the next record.</summary>
    /// <returns>False at the end, or when the bytes are malformed.</returns>
    public bool Read(out Record record)
    {
        record = default;
        if (IsMalformed || _left == 0)
        {
            IsMalformed |= _rest.Length > 0;
            return false;
        }
        if (!TryReadRecord(out record))
        {
            IsMalformed = true;
            return false;
        }
        _left--;
        return true;
    }

    private bool TryReadRecord(out Record record)
    {
        record = default;
        if (!Varint.TryRead(ref _rest, out int length) || length < 0 || length > _rest.Length)
        {
            return false;
        }
        ReadOnlySpan<byte> body = _rest[..length];
        _rest = _rest[length..];
        if (body.Length < 1)
        {
            return false;
        }
        body = body[1..]; // attributes: unused in magic 2
        if (!Varint.TryRead(ref body, out long timestampDelta) || !Varint.TryRead(ref body, out int offsetDelta) || offsetDelta < 0
            || !TryReadBytes(ref body, out bool hasKey, out ReadOnlySpan<byte> key)
            || !TryReadBytes(ref body, out bool hasValue, out ReadOnlySpan<byte> value)
            || !Varint.TryRead(ref body, out int headerCount) || headerCount < 0 || headerCount > body.Length / 2)
        {
            return false;
        }
        record = new Record
        {
            TimestampDelta = timestampDelta,
            OffsetDelta = offsetDelta,
            HasKey = hasKey,
            Key = key,
            HasValue = hasValue,
            Value = value,
            HeaderCount = headerCount,
            EncodedHeaders = body,
        };
        return true;
    }

    private static bool TryReadBytes(scoped ref ReadOnlySpan<byte> from, out bool present, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        present = false;
        if (!Varint.TryRead(ref from, out int length) || length < -1 || length > from.Length)
        {
            return false;
        }
        if (length >= 0)
        {
            present = true;
            bytes = from[..length];
            from = from[length..];
        }
        return true;
    }
}

/// <summary>Reads the headers of a record. Allocates nothing; ends early with <see cref="IsMalformed"/> on bad bytes.</summary>
public ref struct HeaderReader
{
    private ReadOnlySpan<byte> _rest;
    private int _left;

    /// <summary>Starts at the first of <paramref name="count"/> encoded headers.</summary>
    public HeaderReader(ReadOnlySpan<byte> encoded, int count)
    {
        _rest = encoded;
        _left = count;
    }

    /// <summary>Whether bytes were found that are no header, or bytes are left over after the last.</summary>
    public bool IsMalformed { get; private set; }

    /// <summary>Reads the next header; a header without value has <paramref name="hasValue"/> false.</summary>
    public bool Read(out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value, out bool hasValue)
    {
        key = default;
        value = default;
        hasValue = false;
        if (IsMalformed || _left == 0)
        {
            IsMalformed |= _rest.Length > 0;
            return false;
        }
        if (!Varint.TryRead(ref _rest, out int keyLength) || keyLength < 0 || keyLength > _rest.Length)
        {
            IsMalformed = true;
            return false;
        }
        key = _rest[..keyLength];
        _rest = _rest[keyLength..];
        if (!Varint.TryRead(ref _rest, out int valueLength) || valueLength < -1 || valueLength > _rest.Length)
        {
            IsMalformed = true;
            return false;
        }
        if (valueLength >= 0)
        {
            hasValue = true;
            value = _rest[..valueLength];
            _rest = _rest[valueLength..];
        }
        _left--;
        return true;
    }
}
