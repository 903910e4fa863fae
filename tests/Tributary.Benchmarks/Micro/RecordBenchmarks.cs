using BenchmarkDotNet.Attributes;
using Tributary.Contracts.Records;

namespace Tributary.Benchmarks.Micro;

/// <summary>A batch of 100 records of 150 bytes: built, checked, read. The baseline is the checksum, which both ends always pay.</summary>
public class RecordBenchmarks
{
    private const int Records = 100;
    private readonly RecordBatchBuilder _builder = new();
    private readonly EncodedHeaders _headers = new(
        [new("mqtt.topic", "devices/d1/temperature"u8.ToArray()), new("metric", "temperature"u8.ToArray()), new("edge", "e1"u8.ToArray())]);

    private readonly byte[] _value = new byte[150];
    private byte[] _batch = [];

    [GlobalSetup]
    public void Setup() => _batch = Build().ToArray();

    [Benchmark(Baseline = true)]
    public uint Checksum() => Crc32C.Compute(_batch);

    [Benchmark]
    public int BuildBatch() => Build().Length;

    [Benchmark]
    public int ReadBatch()
    {
        RecordBatch.TryRead(_batch, out RecordBatch batch);
        var reader = new RecordReader(batch.Payload, batch.RecordCount);
        int bytes = 0;
        while (reader.Read(out Record record))
        {
            bytes += record.Value.Length;
        }
        return bytes;
    }

    private Memory<byte> Build()
    {
        _builder.Reset();
        for (int i = 0; i < Records; i++)
        {
            _builder.Add(i, "device-1"u8, _value, _headers);
        }
        return _builder.Build(BatchProducer.None);
    }
}
