using Tributary.Contracts.Records;
using Tributary.Log.Storage;

namespace Tributary.Log.Compaction;

/// <summary>
/// Reads the batches of a segment in order, each with a right checksum, and steps over known holes. Holds the segment meanwhile, so that its
/// file is not used again, through a file of its own. Used by one thread.
/// </summary>
internal sealed class SegmentSource : IDisposable
{
    private readonly PartitionLog _log;
    private readonly PlannedSegment _planned;
    private readonly IReadOnlyList<Hole> _holes;
    private readonly IStorageFile _file;
    private readonly BatchFileReader _reader;
    private long _offset;
    private int _position;

    /// <param name="log">The log, which has opened <paramref name="file"/> for this and holds the segment.</param>
    /// <param name="planned">The segment.</param>
    /// <param name="holes">The holes of the log.</param>
    /// <param name="file">Its file.</param>
    public SegmentSource(PartitionLog log, PlannedSegment planned, IReadOnlyList<Hole> holes, IStorageFile file)
    {
        (_log, _planned, _holes, _file) = (log, planned, holes, file);
        _reader = new BatchFileReader(file, planned.EndPosition);
        _offset = planned.BaseOffset;
    }

    /// <summary>Where the next batch or hole begins.</summary>
    public long Offset => _offset;

    /// <summary>The next batch, or none and the end of a hole.</summary>
    /// <returns>False at the end of the segment.</returns>
    /// <exception cref="IOException">There is damage that nobody knew of; by now it is a hole.</exception>
    public bool Next(out RecordBatch batch, out long holeEnd)
    {
        holeEnd = -1;
        batch = default;
        if (_offset >= _planned.EndOffset)
        {
            return false;
        }
        foreach (Hole hole in _holes)
        {
            if (hole.From <= _offset && _offset < hole.To)
            {
                _offset = holeEnd = Math.Min(hole.To, _planned.EndOffset);
                return true;
            }
        }
        if (!TryRead(out batch))
        {
            _log.ReportDamage(_offset);
            throw new IOException($"segment {_planned.BaseOffset} of {_log.Name} can't be read at offset {_offset}");
        }
        _offset = batch.NextOffset;
        _position += batch.Size;
        return true;
    }

    public void Dispose()
    {
        _reader.Dispose();
        _file.Dispose();
        _log.EndHold(_planned.Segment);
    }

    private bool TryRead(out RecordBatch batch)
    {
        if (_reader.TryReadWhole(_position, _offset, out batch) && batch.NextOffset <= _planned.EndOffset)
        {
            return true;
        }
        bool isBehindHole = false;
        foreach (Hole hole in _holes)
        {
            isBehindHole |= hole.To == _offset;
        }
        if (!isBehindHole)
        {
            return false;
        }
        int found = _reader.FindNext(_position, _planned.EndPosition, _offset, _offset, out _);
        if (found < 0)
        {
            return false;
        }
        _position = found;
        return _reader.TryReadWhole(_position, _offset, out batch) && batch.NextOffset <= _planned.EndOffset;
    }
}
