using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Fuzz;

/// <summary>
/// A client that behaves, beside others that don't: it writes numbered records and reads each of them back, with a deadline for each
/// answer. What goes wrong is thrown by <see cref="StopAsync"/>.
/// </summary>
internal sealed class KafkaNeighbour : IAsyncDisposable
{
    /// <summary>Slow enough to leave the machine to the others.</summary>
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly CancellationTokenSource _stop = new();
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly Task _running;
    private readonly string _topic;
    private int _correlationId;

    public KafkaNeighbour(IPEndPoint port, string topic)
    {
        _topic = topic;
        _running = Task.Run(() => RunAsync(port));
    }

    /// <summary>Records that it wrote and read.</summary>
    public int Served { get; private set; }

    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await _running;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _socket.Dispose();
        _stop.Dispose();
    }

    private async Task RunAsync(IPEndPoint port)
    {
        using var pace = new PeriodicTimer(Pace);
        await _socket.ConnectAsync(port);
        for (int number = 0; !_stop.IsCancellationRequested; number++)
        {
            var written = (await AskAsync(Ask.Produce(_topic, Numbered(number)), 9)).Single();
            Assert.Equal((ErrorCode.None, number), (written.ErrorCode, written.BaseOffset));
            byte[] read = (await AskAsync(Ask.Fetch(_topic, number, maxWaitMs: 10_000, maxBytes: 1), 11)).Single().Records.Span.ToArray();
            byte[] expected = Numbered(number);
            Assert.Equal(number, BinaryPrimitives.ReadInt64BigEndian(read));
            Assert.True(read.AsSpan(BatchLayout.Magic).SequenceEqual(expected.AsSpan(BatchLayout.Magic)), $"record {number} is not as written");
            Served++;
            await pace.WaitForNextTickAsync();
        }
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
        byte[] content = TestClient.Encode(request, version, ++_correlationId);
        byte[] frame = new byte[sizeof(int) + content.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame, content.Length);
        content.CopyTo(frame, sizeof(int));
        using var deadline = new CancellationTokenSource(Patience);
        await _socket.SendAsync(frame, deadline.Token);
        byte[] length = await ReceiveAsync(sizeof(int), deadline.Token);
        byte[] answer = await ReceiveAsync(BinaryPrimitives.ReadInt32BigEndian(length), deadline.Token);
        Assert.Equal(_correlationId, BinaryPrimitives.ReadInt32BigEndian(answer));
        return KafkaFrame.ReadResponse<TResponse>(answer.AsMemory(sizeof(int)), version);
    }

    private async Task<byte[]> ReceiveAsync(int count, CancellationToken deadline)
    {
        byte[] bytes = new byte[count];
        for (int have = 0; have < count;)
        {
            int read = await _socket.ReceiveAsync(bytes.AsMemory(have), deadline);
            Assert.True(read > 0, "the other client's connection was closed");
            have += read;
        }
        return bytes;
    }
}
