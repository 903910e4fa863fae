using System.Buffers;
using Tributary.Contracts.Records;

namespace Tributary.Edge.Ingest;

/// <summary>
/// Messages that go to the log in one record batch, and who waits for them. First filled under the partition's lock, then owned by the
/// writer thread until it is used again.
/// </summary>
internal sealed class IngestBatch : IDisposable
{
    private readonly HashSet<ICommitListener> _listeners = new(ReferenceEqualityComparer.Instance);
    private ICommitListener? _last;

    /// <summary>The records.</summary>
    public RecordBatchBuilder Records { get; } = new();

    /// <summary>Number of the message after the last one.</summary>
    public long EndNumber { get; private set; }

    /// <summary>The offset after the last record, once it is appended.</summary>
    public long EndOffset { get; set; }

    /// <summary>Those who wait, each once.</summary>
    public HashSet<ICommitListener> Listeners => _listeners;

    /// <param name="last">A header behind the others, encoded; empty for none.</param>
    public void Add(
        long number, long timestamp, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, EncodedHeaders headers, ReadOnlySpan<byte> last,
        ICommitListener listener)
    {
        if (last.IsEmpty)
        {
            Records.Add(timestamp, key, value, headers);
        }
        else
        {
            byte[] all = ArrayPool<byte>.Shared.Rent(headers.Bytes.Length + last.Length);
            headers.Bytes.Span.CopyTo(all);
            last.CopyTo(all.AsSpan(headers.Bytes.Length));
            Records.Add(
                timestamp, key, hasKey: true, value, hasValue: true, all.AsSpan(0, headers.Bytes.Length + last.Length), headers.Count + 1);
            ArrayPool<byte>.Shared.Return(all);
        }
        EndNumber = number + 1;
        // One connection sends many in a row.
        if (!ReferenceEquals(listener, _last))
        {
            _last = listener;
            _listeners.Add(listener);
        }
    }

    public void Reset()
    {
        Records.Reset();
        _listeners.Clear();
        _last = null;
        EndNumber = EndOffset = 0;
    }

    public void Dispose() => Records.Dispose();
}
