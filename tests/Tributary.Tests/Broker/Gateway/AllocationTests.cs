using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Broker;
using Tributary.Broker.Gateway;
using Tributary.Broker.Gateway.Handlers;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Support;
using Xunit;
using Request = Tributary.Broker.Gateway.Request;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>What Produce and Fetch may allocate for a request, however many records or batches it is about.</summary>
public sealed class AllocationTests
{
    private const int ProduceBudget = 1500;
    private const int FetchBudget = 1500;

    [Theory]
    [InlineData(1)]
    [InlineData(500)]
    public async Task A_produce_allocates_for_its_request_and_not_for_its_records(int records)
    {
        await using var broker = new TestBroker(tailCacheBytes: 0);
        await broker.CreateTopicAsync("t", 1, ("segment.bytes", "1048576"), ("retention.bytes", "1048576"));
        using var gateway = new Gateway(broker);
        Request request = gateway.Parse(TestClient.Encode(Ask.Produce("t", Batches.Of(records), acks: 1), 9, 1));
        var handler = (ProduceHandler)request.Handler;
        long allocated = Allocations.PerCall(() =>
        {
            ValueTask<PendingProduce?> begun = handler.BeginAsync(request, default);
            PendingProduce pending = begun.Result!;
            SpinWait.SpinUntil(() => pending.Wait.IsOver);
            pending.WriteTo(gateway.Response);
            gateway.Response.Clear();
        });
        Assert.InRange(allocated, 1, ProduceBudget);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(300)]
    public async Task A_fetch_allocates_for_its_request_and_not_for_its_batches(int batches)
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient writer = broker.Connect();
        for (int i = 0; i < batches; i++)
        {
            await writer.AskAsync(Ask.Produce("t", Batches.Of(10)), 9);
        }
        using var gateway = new Gateway(broker);
        Request request = gateway.Parse(TestClient.Encode(Ask.Fetch("t", 0, maxWaitMs: 500), 11, 1));
        long allocated = Allocations.PerCall(() =>
        {
            ValueTask handled = request.Handler.HandleAsync(request, gateway.Response, default);
            Assert.True(handled.IsCompletedSuccessfully);
            Assert.True(gateway.Response.SplicedBytes > batches * 100);
            gateway.Response.Clear();
        });
        Assert.InRange(allocated, 1, FetchBudget);
    }

    private sealed class Gateway : IDisposable
    {
        private readonly BrokerMetrics _metrics = new();
        private readonly RequestDispatcher _dispatcher;

        public Gateway(TestBroker broker) => _dispatcher = new RequestDispatcher(new BrokerContext(
            new BrokerOptions(), broker.Logs, broker.Server.Partitions, broker.Control, broker.Groups, broker.Transactions, broker.Time,
            _metrics, NullLogger.Instance));

        public ResponseFrame Response { get; } = new();

        public Request Parse(byte[] frame) => _dispatcher.Parse(frame, new ClientInfo("test", null, null));

        public void Dispose()
        {
            Response.Dispose();
            _metrics.Dispose();
        }
    }
}
