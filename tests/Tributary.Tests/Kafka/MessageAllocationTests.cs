using System.Buffers;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Kafka;

/// <summary>What the hot path takes: objects for each request and partition, nothing for records and bytes.</summary>
public sealed class MessageAllocationTests
{
    private const int Partitions = 4;
    private const int RequestBudget = 256;
    private const int PartitionBudget = 72;

    [Theory]
    [InlineData(8, 100)]
    [InlineData(8, 100_000)]
    [InlineData(11, 100)]
    [InlineData(11, 100_000)]
    public void Reading_a_Produce_request_takes_no_memory_for_its_records(short version, int recordBytes)
    {
        byte[] body = Produce(version, recordBytes);
        long allocated = Allocated(() =>
        {
            var reader = new KafkaReader(body);
            ProduceRequest.Read(ref reader, version);
        });
        Assert.InRange(allocated, 1, RequestBudget + Partitions * PartitionBudget);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(11)]
    public void Writing_a_Produce_response_takes_no_memory(short version)
    {
        ProduceResponse.PartitionProduceResponse[] partitions = [new() { Index = 1, BaseOffset = 12 }, new() { ErrorMessage = "no" }];
        var response = new ProduceResponse { Responses = [new() { Name = "telemetry", PartitionResponses = partitions }] };
        var output = new ArrayBufferWriter<byte>(4096);
        Assert.Equal(0, Allocated(() =>
        {
            output.ResetWrittenCount();
            var writer = new KafkaWriter(output);
            response.Write(ref writer, version);
        }));
    }

    [Fact]
    public void Writing_a_Fetch_response_takes_no_memory_besides_its_output()
    {
        var response = new FetchResponse
        {
            Responses = [new() { TopicId = Guid.NewGuid(), Partitions = [new() { PartitionIndex = 1, Records = new byte[100_000] }] }],
        };
        var output = new ArrayBufferWriter<byte>(200_000);
        Assert.Equal(0, Allocated(() =>
        {
            output.ResetWrittenCount();
            var writer = new KafkaWriter(output);
            response.Write(ref writer, 16);
        }));
    }

    private static long Allocated(Action action) => Allocations.PerCall(action);

    private static byte[] Produce(short version, int recordBytes)
    {
        var request = new ProduceRequest
        {
            Acks = -1,
            TimeoutMs = 30_000,
            TopicData =
            [
                new()
                {
                    Name = "telemetry",
                    PartitionData = [.. Enumerable.Range(0, Partitions).Select(
                        index => new ProduceRequest.PartitionProduceData { Index = index, Records = new byte[recordBytes] })],
                },
            ],
        };
        var output = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(output);
        request.Write(ref writer, version);
        return output.WrittenSpan.ToArray();
    }
}
