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

    /// <summary>Whether the time of some of the records is not known yet.</summary>
    public bool HasUndated { get; set; }

    /// <summary>Those who wait, each once.</summary>
    public HashSet<ICommitListener> Listeners => _listeners;

    /// <param name="number">Its number in the stream.</param>
    /// <param name="arrival">When it came, as the clock stamps it: what the batch is dated by, whatever its records say.</param>
    /// <param name="record">The record.</param>
    /// <param name="listener">Who waits for it.</param>
    public void Add(long number, long arrival, in IngestRecord record, ICommitListener listener)
    {
        EncodedHeaders headers = record.Headers;
        if (Records.Count == 0)
        {
            Records.BaseTimestamp = arrival;
        }
        long timestamp = record.Timestamp ?? arrival;
        if (record.MoreCount == 0)
        {
            Records.Add(timestamp, record.Key, record.Payload, headers);
        }
        else
        {
            int size = headers.Bytes.Length + record.More.Length;
            byte[] all = ArrayPool<byte>.Shared.Rent(size);
            headers.Bytes.Span.CopyTo(all);
            record.More.CopyTo(all.AsSpan(headers.Bytes.Length));
            Records.Add(
                timestamp, record.Key, hasKey: true, record.Payload, hasValue: true, all.AsSpan(0, size), headers.Count + record.MoreCount);
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
        HasUndated = false;
    }

    public void Dispose() => Records.Dispose();
}

/// <summary>A message as the record that it becomes: valid during the call only.</summary>
/// <param name="key">Its key.</param>
/// <param name="payload">Its value.</param>
/// <param name="headers">Its headers, as far as they are the same for all messages of its MQTT topic.</param>
internal ref struct IngestRecord(ReadOnlySpan<byte> key, ReadOnlySpan<byte> payload, EncodedHeaders headers)
{
    /// <summary>Its key.</summary>
    public ReadOnlySpan<byte> Key { readonly get; set; } = key;

    /// <summary>Its value.</summary>
    public readonly ReadOnlySpan<byte> Payload { get; } = payload;

    /// <summary>Its headers, as far as they are the same for all messages of its MQTT topic.</summary>
    public readonly EncodedHeaders Headers { get; } = headers;

    /// <summary>Headers behind these, encoded.</summary>
    public ReadOnlySpan<byte> More { readonly get; set; }

    /// <summary>Number of these.</summary>
    public int MoreCount { readonly get; set; }

    /// <summary>Unix milliseconds; null for the time of arrival.</summary>
    public long? Timestamp { readonly get; set; }
}
