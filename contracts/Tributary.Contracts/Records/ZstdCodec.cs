using ZstdSharp;

namespace Tributary.Contracts.Records;

/// <summary>
/// Zstandard (KIP-110). Payloads are decoded in one pass into the caller's buffer, which is its own window: a frame that asks for a window
/// of gigabytes gets none. Contexts hold native memory and are pooled, one for each processor at most.
/// </summary>
internal static class ZstdCodec
{
    private const int FirstSize = 1 << 20;
    private const int FirstRatio = 16;
    private const int GrowthFactor = 4;
    private static readonly ContextPool<Compressor> Compressors = new(static () => new Compressor());
    private static readonly ContextPool<Decompressor> Decompressors = new(static () => new Decompressor());

    public static int Compress(ReadOnlySpan<byte> payload, ref byte[]? pooled, int reserve, int level)
    {
        PooledBuffer.Ensure(ref pooled, (long)reserve + Compressor.GetCompressBound(payload.Length));
        Compressor compressor = Compressors.Rent();
        try
        {
            int wanted = level == 0 ? Compressor.DefaultCompressionLevel : level;
            if (compressor.Level != wanted)
            {
                compressor.Level = wanted;
            }
            return reserve + compressor.Wrap(payload, pooled.AsSpan(reserve));
        }
        finally
        {
            Compressors.Return(compressor);
        }
    }

    public static int Decompress(ReadOnlySpan<byte> payload, ref byte[]? pooled, int limit)
    {
        if (payload.IsEmpty)
        {
            throw new InvalidDataException("an empty payload is no zstd frame");
        }
        Decompressor decompressor = Decompressors.Rent();
        try
        {
            // What the blocks can make at most, or what the frame states. A frame that states much may hold little, so the buffer starts
            // at what such a payload usually makes, and the pass is made again with a larger one when it was too small.
            ulong bound = Decompressor.GetDecompressedSize(payload);
            long most = (long)Math.Min(bound, (ulong)limit);
            long size = Math.Min(most, Math.Max(FirstSize, (long)FirstRatio * payload.Length));
            while (true)
            {
                PooledBuffer.Ensure(ref pooled, size);
                if (decompressor.TryUnwrap(payload, pooled.AsSpan(0, (int)Math.Min(pooled!.Length, most)), out int written))
                {
                    return written;
                }
                if (pooled!.Length >= most)
                {
                    throw most == limit
                        ? Compression.TooLarge(limit)
                        : new InvalidDataException("the zstd frame makes more than it states");
                }
                size = Math.Min(most, (long)GrowthFactor * pooled.Length);
            }
        }
        catch (ZstdException e)
        {
            throw new InvalidDataException($"the zstd frame is damaged: {e.Message}", e);
        }
        finally
        {
            Decompressors.Return(decompressor);
        }
    }

    /// <summary>Keeps as many contexts as there are processors; more are made when more are wanted, and disposed of afterwards.</summary>
    private sealed class ContextPool<T>(Func<T> create)
        where T : class, IDisposable
    {
        private readonly T?[] _free = new T?[Environment.ProcessorCount];

        public T Rent()
        {
            for (int i = 0; i < _free.Length; i++)
            {
                if (Interlocked.Exchange(ref _free[i], null) is { } context)
                {
                    return context;
                }
            }
            return create();
        }

        public void Return(T context)
        {
            for (int i = 0; i < _free.Length; i++)
            {
                if (Interlocked.CompareExchange(ref _free[i], context, null) is null)
                {
                    return;
                }
            }
            context.Dispose();
        }
    }
}
