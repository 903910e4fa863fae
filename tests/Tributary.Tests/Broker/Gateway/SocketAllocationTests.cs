using System.Buffers.Binary;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Broker;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Cloud.Support;
using Tributary.Tests.Edge.Mqtt.Support;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>
/// The budget of Produce and Fetch over a socket. Records and fetched batches cost nothing: Fetch allocates the same for one batch as for
/// a hundred. A request costs what its message is made of: objects for its topics and partitions, its answer, and who waits for its flush.
/// </summary>
[Collection(AloneCollection.Name)]
public sealed class SocketAllocationTests
{
    private const int Requests = 500;
    private const double BytesPerProduce = 2800;
    private const double BytesPerFetch = 1800;

    [Theory]
    [InlineData(1)]
    [InlineData(1000)]
    public async Task A_produce_allocates_for_its_request_and_not_for_its_records(int records)
    {
        await using DiskBroker broker = await DiskBroker.StartAsync();
        double allocated = await MeasureAsync(broker.Server, TestClient.Encode(Ask.Produce("t", Batches.Of(records)), 9, 1));
        Assert.InRange(allocated, 1, BytesPerProduce);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(300)]
    public async Task A_fetch_allocates_for_its_request_and_not_for_its_batches(int batches)
    {
        await using DiskBroker broker = await DiskBroker.StartAsync();
        await using (var writer = new TestClient(broker.Server))
        {
            for (int i = 0; i < batches; i++)
            {
                await writer.AskAsync(Ask.Produce("t", Batches.Of(10)), 9);
            }
        }
        double allocated = await MeasureAsync(broker.Server, TestClient.Encode(Ask.Fetch("t", 0, maxWaitMs: 500), 11, 1));
        Assert.InRange(allocated, 1, BytesPerFetch);
    }

    private static async Task<double> MeasureAsync(BrokerServer server, byte[] content)
    {
        await using LoopbackPort port = await LoopbackPort.OpenAsync(server.Connections);
        using var client = new SocketAllocations(port.EndPoint);
        byte[] request = [0, 0, 0, 0, .. content];
        BinaryPrimitives.WriteInt32BigEndian(request, content.Length);
        byte[] length = new byte[sizeof(int)];
        byte[] answer = new byte[1 << 20];
        return SocketAllocations.PerRound(Requests, Requests, () =>
        {
            client.Send(request);
            client.Receive(length);
            client.Receive(answer.AsSpan(0, BinaryPrimitives.ReadInt32BigEndian(length)));
        });
    }

    /// <summary>A broker whose log is on disk: one in memory allocates what it stores.</summary>
    private sealed class DiskBroker : ILogEvents, IAsyncDisposable
    {
        private readonly TemporaryDirectory _directory = new();
        private readonly LogDirectory _logs;

        private DiskBroker()
        {
            var storage = new FileStorage();
            _logs = LogDirectory.Open(storage, _directory.File("log"), new LogDirectoryOptions(), TimeProvider.System, this);
            Server = new BrokerServer(new BrokerOptions(), _logs, Control, new TestGroups(), new TestTransactions(), TimeProvider.System, NullLoggerFactory.Instance);
            Control.Server = Server;
        }

        public BrokerServer Server { get; }

        private TestControlPlane Control { get; } = new();

        public static async Task<DiskBroker> StartAsync()
        {
            var broker = new DiskBroker();
            await broker.Control.SetAsync(TestControlPlane.Make("t", Guid.NewGuid(), 1));
            return broker;
        }

        public async ValueTask DisposeAsync()
        {
            await Server.DisposeAsync();
            await _logs.DisposeAsync();
            _directory.Dispose();
        }

        void ILogEvents.Report(LogEvent what)
        {
        }
    }
}
