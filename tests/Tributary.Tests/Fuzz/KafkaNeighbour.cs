using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Fuzz;

/// <summary>Writes numbered records and reads each of them back.</summary>
internal sealed class KafkaNeighbour(string topic) : Neighbour
{
    private int _correlationId;

    protected override async Task AskAsync(int number)
    {
        var written = (await AskAsync(Ask.Produce(topic, Numbered(number)), 9)).Single();
        Assert.Equal((ErrorCode.None, number), (written.ErrorCode, written.BaseOffset));
        byte[] read = (await AskAsync(Ask.Fetch(topic, number, maxWaitMs: 10_000, maxBytes: 1), 11)).Single().Records.Span.ToArray();
        byte[] expected = Numbered(number);
        Assert.Equal(number, BinaryPrimitives.ReadInt64BigEndian(read));
        Assert.True(read.AsSpan(BatchLayout.Magic).SequenceEqual(expected.AsSpan(BatchLayout.Magic)), $"record {number} is not as written");
    }

    private static byte[] Numbered(int number)
    {
        using var builder = new RecordBatchBuilder();
        byte[] value = Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture));
        builder.Add(Batches.Time, [], hasKey: false, value, hasValue: true, [], 0);
        return builder.Build(BatchProducer.None, CompressionCodec.Lz4).ToArray();
    }

    private async Task<TResponse> AskAsync<TRequest, TResponse>(IKafkaRequest<TRequest, TResponse> request, short version)
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse>
    {
        await SendAsync(TestClient.Frame(TestClient.Encode(request, version, ++_correlationId)));
        byte[] answer = await ReceiveAsync(BinaryPrimitives.ReadInt32BigEndian(await ReceiveAsync(sizeof(int))));
        Assert.Equal(_correlationId, BinaryPrimitives.ReadInt32BigEndian(answer));
        return KafkaFrame.ReadResponse<TResponse>(answer.AsMemory(sizeof(int)), version);
    }
}
