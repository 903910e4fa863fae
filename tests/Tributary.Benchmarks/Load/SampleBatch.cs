using Tributary.Contracts.Records;

namespace Tributary.Benchmarks.Load;

/// <summary>Batches to append: one record whose value doesn't compress.</summary>
internal static class SampleBatch
{
    /// <summary>A batch of exactly so many bytes.</summary>
    public static byte[] OfSize(int size)
    {
        byte[] value = new byte[size];
        Random.Shared.NextBytes(value);
        int over = Build(value).Length - size;
        byte[] batch = Build(value.AsSpan(0, size - over));
        return batch.Length <= size ? batch : Build(value.AsSpan(0, size - over - (batch.Length - size)));
    }

    private static byte[] Build(ReadOnlySpan<byte> value)
    {
        using var builder = new RecordBatchBuilder();
        builder.Add(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), "device"u8, value, EncodedHeaders.None);
        return builder.Build(BatchProducer.None).ToArray();
    }
}
