using System.Buffers;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>Where a leader epoch begins.</summary>
internal readonly record struct EpochStart(int Epoch, long StartOffset);

/// <summary>
/// The leader epochs of one partition and where each begins (KIP-101), both strictly (epochs) and weakly (offsets) growing.
/// Called under the partition's lock; saved by the partition before anything of a new epoch is acknowledged.
/// </summary>
internal sealed class LeaderEpochs
{
    public const string FileName = "epochs";
    internal const ushort Version = 1;
    private const int EntrySize = 12;
    private readonly List<EpochStart> _starts = [];

    /// <summary>The latest, −1 if none.</summary>
    public int Latest => _starts.Count == 0 ? -1 : _starts[^1].Epoch;

    /// <summary>Raised with each change; what was saved last is compared with it.</summary>
    public int Changes { get; private set; }

    public void Begin(int epoch, long startOffset)
    {
        if (epoch <= Latest)
        {
            throw new InvalidOperationException($"leader epoch {epoch} is not above {Latest}");
        }
        // An epoch without records, that begins where the new one does, tells nothing.
        _starts.RemoveAll(start => start.StartOffset >= startOffset);
        _starts.Add(new EpochStart(epoch, startOffset));
        Changes++;
    }

    /// <summary>
    /// A batch of this epoch was found at <paramref name="baseOffset"/>, by recovery, which sees batches in their order: it was appended
    /// before its epoch was saved, or after the epoch's start moved down.
    /// </summary>
    public void Observe(int epoch, long baseOffset)
    {
        int at = _starts.FindIndex(start => start.Epoch >= epoch);
        if (epoch < 0 || (at >= 0 && _starts[at].StartOffset <= baseOffset))
        {
            return;
        }
        _starts.RemoveAll(start => start.StartOffset >= baseOffset && start.Epoch <= epoch);
        at = _starts.FindIndex(start => start.Epoch > epoch);
        _starts.Insert(at < 0 ? _starts.Count : at, new EpochStart(epoch, baseOffset));
        Changes++;
    }

    /// <summary>The epoch that a record of that offset is of, and where it ends; −1 if that is not known.</summary>
    public (int Epoch, long EndOffset) At(long offset)
    {
        long end = long.MaxValue;
        for (int at = _starts.Count - 1; at >= 0; at--) // mostly it is the last one; every read asks
        {
            EpochStart start = _starts[at];
            if (start.StartOffset <= offset)
            {
                return (start.Epoch, end);
            }
            end = start.StartOffset;
        }
        return (-1, end);
    }

    /// <summary>The log was cut at <paramref name="endOffset"/>: epochs that begin there or later are gone.</summary>
    public void TruncateFromEnd(long endOffset)
    {
        if (_starts.RemoveAll(start => start.StartOffset >= endOffset) > 0)
        {
            Changes++;
        }
    }

    /// <summary>
    /// The log ends at <paramref name="endOffset"/> after a loss: the latest epoch stays in force and begins there at the latest.
    /// </summary>
    public void ClampToEnd(long endOffset)
    {
        if (_starts.Count > 0 && _starts[^1].StartOffset > endOffset)
        {
            int latest = Latest;
            TruncateFromEnd(endOffset);
            _starts.Add(new EpochStart(latest, endOffset));
        }
    }

    /// <summary>The log begins at <paramref name="startOffset"/>: epochs that end before are forgotten.</summary>
    public void TruncateFromStart(long startOffset)
    {
        int below = _starts.FindLastIndex(start => start.StartOffset <= startOffset);
        if (below > 0)
        {
            _starts.RemoveRange(0, below);
            Changes++;
        }
    }

    /// <summary>The largest epoch ≤ <paramref name="epoch"/> and where it ends (KIP-101, KIP-279).</summary>
    public (int Epoch, long EndOffset)? EndOffsetFor(int epoch, long logEnd)
    {
        if (_starts.Count == 0 || epoch < 0 || epoch > Latest)
        {
            return null;
        }
        int above = _starts.FindIndex(start => start.Epoch > epoch);
        return above switch
        {
            < 0 => (Latest, logEnd),
            0 => (epoch, _starts[0].StartOffset),
            _ => (_starts[above - 1].Epoch, _starts[above].StartOffset),
        };
    }

    public ArrayBufferWriter<byte> Encode()
    {
        ArrayBufferWriter<byte> content = StateFile.Begin(StateKind.LeaderEpochs, Version);
        content.WriteInt32(_starts.Count);
        foreach (EpochStart start in _starts)
        {
            content.WriteInt32(start.Epoch);
            content.WriteInt64(start.StartOffset);
        }
        return content;
    }

    /// <summary>Loads what <paramref name="path"/> holds.</summary>
    public StateStatus Load(IStorage storage, string path)
    {
        StateStatus status = StateFile.Read(storage, path, StateKind.LeaderEpochs, Version, out Memory<byte> payload);
        if (status == StateStatus.Ok)
        {
            var reader = new StateReader(payload.Span);
            for (int left = reader.ReadCount(EntrySize); left > 0; left--)
            {
                _starts.Add(new EpochStart(reader.ReadInt32(), reader.ReadInt64()));
            }
        }
        return status;
    }
}
