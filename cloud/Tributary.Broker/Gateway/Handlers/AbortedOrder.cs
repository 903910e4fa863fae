using System.Buffers;
using Tributary.Contracts.Records;
using Tributary.Log;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// In which order a client is told of the aborted transactions in what it gets. Most sort them as they need them. But there are clients,
/// kafkajs among them, that only look at the next one of the list, take one off for each record at most, and forget a producer at its marker:
/// told in the order of the markers, they show records of a transaction that began before another one and was aborted after it. So each
/// comes in the order of the first of its records there, or of its marker if none is there.
/// </summary>
internal static class AbortedOrder
{
    /// <param name="aborted">In the order of their markers.</param>
    /// <param name="read">The batches that the client gets.</param>
    public static IReadOnlyList<AbortedTransaction> Of(IReadOnlyList<AbortedTransaction> aborted, LogRead read)
    {
        if (aborted.Count < 2)
        {
            return aborted;
        }
        var waiting = new Dictionary<long, Queue<AbortedTransaction>>();
        foreach (AbortedTransaction one in aborted)
        {
            if (!waiting.TryGetValue(one.ProducerId, out Queue<AbortedTransaction>? ofProducer))
            {
                waiting.Add(one.ProducerId, ofProducer = []);
            }
            ofProducer.Enqueue(one);
        }
        var ordered = new List<AbortedTransaction>(aborted.Count);
        foreach (ReadOnlyMemory<byte> piece in read.Bytes)
        {
            ReadOnlySpan<byte> rest = piece.Span;
            while (RecordBatch.TryRead(rest, out RecordBatch batch) == BatchStatus.Ok)
            {
                if (batch.IsTransactional && batch.RecordCount > 0 && waiting.TryGetValue(batch.ProducerId, out Queue<AbortedTransaction>? next)
                    && next.TryPeek(out AbortedTransaction first) && first.FirstOffset <= batch.BaseOffset)
                {
                    ordered.Add(next.Dequeue());
                }
                rest = rest[batch.Size..];
            }
        }
        // Of the others there is nothing in what the client gets.
        ordered.AddRange(waiting.Values.SelectMany(left => left));
        return ordered;
    }
}
