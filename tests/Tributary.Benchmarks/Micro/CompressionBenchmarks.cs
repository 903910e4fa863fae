using BenchmarkDotNet.Attributes;
using Tributary.Contracts.Records;

namespace Tributary.Benchmarks.Micro;

/// <summary>The codecs on 64 KiB of readings as text.</summary>
public class CompressionBenchmarks
{
    private byte[] _plain = [];
    private byte[]? _compressed;
    private byte[]? _back;
    private int _size;

    [Params(CompressionCodec.Gzip, CompressionCodec.Snappy, CompressionCodec.Lz4, CompressionCodec.Zstd)]
    public CompressionCodec Codec { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        var random = new Random(1);
        var text = new System.Text.StringBuilder();
        while (text.Length < 64 << 10)
        {
            text.Append(System.Globalization.CultureInfo.InvariantCulture, $"{{\"temperature\":{20 + (5 * random.NextDouble()):0.00},\"unit\":\"C\",\"seq\":{text.Length}}}");
        }
        _plain = System.Text.Encoding.UTF8.GetBytes(text.ToString());
        _size = Compression.Compress(Codec, _plain, ref _compressed, 0, 0);
    }

    [Benchmark]
    public int Compress() => Compression.Compress(Codec, _plain, ref _back, 0, 0);

    [Benchmark]
    public int Decompress() => Compression.Decompress(Codec, _compressed.AsSpan(0, _size), ref _back, _plain.Length);
}
