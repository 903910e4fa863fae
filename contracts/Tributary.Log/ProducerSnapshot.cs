using System.Buffers;
using Tributary.Log.Storage;

namespace Tributary.Log;

/// <summary>A file with the state of all producers as it was when the log ended at the offset in its name.</summary>
internal static class ProducerSnapshot
{
    internal const ushort Version = 2;
    private const int SmallestProducer = 40;

    public static ArrayBufferWriter<byte> Encode(List<Producer> producers, long offset)
    {
        ArrayBufferWriter<byte> content = StateFile.Begin(StateKind.Producers, Version);
        content.WriteInt64(offset);
        content.WriteInt32(producers.Count);
        foreach (Producer producer in producers)
        {
            content.WriteInt64(producer.Id);
            content.WriteInt16(producer.Epoch);
            content.WriteInt64(producer.LastOffset);
            content.WriteInt64(producer.LastTimestamp);
            content.WriteInt64(producer.TransactionStart);
            content.WriteInt32(producer.CoordinatorEpoch);
            content.WriteInt16((short)producer.BatchCount);
            for (int age = producer.BatchCount - 1; age >= 0; age--)
            {
                ProducerBatch batch = producer.At(age);
                content.WriteInt32(batch.BaseSequence);
                content.WriteInt32(batch.LastDelta);
                content.WriteInt64(batch.BaseOffset);
            }
        }
        return content;
    }

    /// <summary>Puts what the snapshot at <paramref name="offset"/> holds into <paramref name="state"/>.</summary>
    public static StateStatus Load(IStorage storage, string directory, long offset, ProducerState state)
    {
        string path = $"{directory}/{LogFiles.Producers(offset)}";
        StateStatus status = StateFile.Read(storage, path, StateKind.Producers, Version, out Memory<byte> payload);
        if (status != StateStatus.Ok)
        {
            return status;
        }
        var reader = new StateReader(payload.Span);
        if (reader.ReadInt64() != offset)
        {
            return StateStatus.Bad;
        }
        for (int left = reader.ReadCount(SmallestProducer); left > 0; left--)
        {
            var producer = new Producer(reader.ReadInt64(), reader.ReadInt16());
            long lastOffset = reader.ReadInt64();
            long lastTimestamp = reader.ReadInt64();
            long transactionStart = reader.ReadInt64();
            int coordinatorEpoch = reader.ReadInt32();
            for (int batches = reader.ReadInt16(); batches > 0; batches--)
            {
                producer.Add(producer.Epoch, reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt64(), lastTimestamp);
            }
            producer.SetLast(lastOffset, lastTimestamp, transactionStart, coordinatorEpoch);
            state.Restore(producer);
        }
        return StateStatus.Ok;
    }
}
