using System.Buffers;
using Tributary.Contracts.Records;
using Tributary.Log;

namespace Tributary.Edge.Mqtt.Sessions;

/// <summary>
/// Reads messages back from the journal for one connection, which asks for them in their order: some are read at once, and each batch's
/// CRC is checked once. Used by one thread at a time; <see cref="Rest"/> gives its memory back.
/// </summary>
internal sealed class JournalReader(PartitionLog log, LocalMessages messages) : IDisposable
{
    private const int ReadBytes = 64 << 10;

    private byte[] _bytes = [];
    private int _length;

    /// <summary>Where the next batch begins.</summary>
    private int _nextBatch;

    // The next record: where it stands, its offset, and how many the batch has from it on.
    private int _at;
    private long _offset;
    private int _left;

    /// <summary>Reads a message.</summary>
    /// <param name="offset">Offset of its entry, which is durable.</param>
    /// <returns>The message, which the caller releases; null if it is damaged, or given up: it will never be read any more.</returns>
    /// <exception cref="IOException">It can't be read at the moment.</exception>
    public LocalMessage? Read(long offset)
    {
        try
        {
            return ReadOnce(offset);
        }
        catch (InvalidDataException)
        {
            // Damage between the disk and here may be gone at a second look; only what stays is believed.
            Rest();
            log.ReportDamage(offset);
        }
        catch (OffsetOutOfRangeException)
        {
            Rest();
            return null;
        }
        try
        {
            return ReadOnce(offset);
        }
        catch (Exception e) when (e is InvalidDataException or OffsetOutOfRangeException)
        {
            Rest();
            return null;
        }
    }

    /// <summary>Gives the memory back until more is read.</summary>
    public void Rest()
    {
        if (_bytes.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_bytes);
            _bytes = [];
        }
        (_length, _nextBatch, _at, _left) = (0, 0, 0, 0);
    }

    /// <inheritdoc/>
    public void Dispose() => Rest();

    private LocalMessage? ReadOnce(long offset)
    {
        if (!TryFind(offset))
        {
            Load(offset);
            if (!TryFind(offset))
            {
                return null;
            }
        }
        var records = new RecordReader(_bytes.AsSpan(_at, _nextBatch - _at), _left);
        if (!records.Read(out Record record))
        {
            throw new InvalidDataException("a record of the journal is malformed");
        }
        var entry = new EntryReader(record.Value);
        if (entry.Kind() is not (EntryKind.Message or EntryKind.MessageMoved))
        {
            return null;
        }
        EntryMessage message = entry.Message();
        return messages.Restore(message.Qos, message.Topic, message.Properties, message.Payload, message.ArrivedAt);
    }

    /// <exception cref="IOException">The disk can't be read.</exception>
    private void Load(long offset)
    {
        Rest();
        using LogRead read = log.Read(offset, ReadBytes, log.FlushedEnd);
        if (read.Size == 0 && read.NextOffset <= offset)
        {
            throw new IOException($"the journal gave nothing at offset {offset} although it ends at {log.FlushedEnd}");
        }
        _bytes = ArrayPool<byte>.Shared.Rent(Math.Max(1, read.Size));
        read.Bytes.CopyTo(_bytes);
        _length = read.Size;
    }

    /// <summary>Goes on to the record of that offset.</summary>
    /// <returns>False if it does not stand in what was read.</returns>
    private bool TryFind(long offset)
    {
        while (true)
        {
            if (_left > 0 && _offset <= offset)
            {
                if (_offset == offset)
                {
                    return true;
                }
                ReadOnlySpan<byte> rest = _bytes.AsSpan(_at, _nextBatch - _at);
                int before = rest.Length;
                if (!Varint.TryRead(ref rest, out int length) || length < 0 || length > rest.Length)
                {
                    throw new InvalidDataException("a record of the journal is malformed");
                }
                _at += before - rest.Length + length;
                _offset++;
                _left--;
                continue;
            }
            if (_left > 0 || _nextBatch >= _length || !TryEnterBatch())
            {
                return false;
            }
        }
    }

    private bool TryEnterBatch()
    {
        ReadOnlySpan<byte> rest = _bytes.AsSpan(_nextBatch, _length - _nextBatch);
        if (RecordBatch.TryRead(rest, out RecordBatch batch) != BatchStatus.Ok || !batch.IsCrcValid())
        {
            throw new InvalidDataException("a batch of the journal is damaged");
        }
        _at = _nextBatch + (batch.Size - batch.Payload.Length);
        _nextBatch += batch.Size;
        (_offset, _left) = (batch.BaseOffset, batch.RecordCount);
        return true;
    }
}
