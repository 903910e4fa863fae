using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Broker;
using Tributary.Broker.Gateway;
using Tributary.Broker.Gateway.Handlers;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using Request = Tributary.Broker.Gateway.Request;

namespace Tributary.Tests.Broker.Gateway;

public sealed class RequestDispatcherTests : IDisposable
{
    private const int CorrelationId = 0x01020304;
    private static readonly ClientInfo Client = new("test", null, null);
    private readonly BrokerMetrics _metrics = new();
    private readonly RequestDispatcher _dispatcher;

    public RequestDispatcherTests() => _dispatcher = new RequestDispatcher(
        new BrokerContext(
            new BrokerOptions(), null!, null!, new TestControlPlane(), null!, null!, new FakeTimeProvider(), _metrics, NullLogger.Instance));

    public void Dispose() => _metrics.Dispose();

    [Fact]
    public void A_classic_header_ends_with_the_client_id()
    {
        Request request = _dispatcher.Parse(Header(MetadataRequest.ApiKey, 8, [0, 2, (byte)'m', (byte)'e', 0xFF]), Client);
        Assert.Equal("Metadata", request.Handler.Name);
        Assert.Equal(8, request.Version);
        Assert.Equal(CorrelationId, request.CorrelationId);
        Assert.Equal("me", request.ClientId);
        Assert.Equal(12, request.BodyStart);
        Assert.True(request.IsVersionSupported);
    }

    [Fact]
    public void A_flexible_header_has_the_same_client_id_and_tagged_fields_which_are_skipped()
    {
        Request request = _dispatcher.Parse(
            Header(MetadataRequest.ApiKey, 9, [0, 2, (byte)'m', (byte)'e', 1, 7, 2, 0xAA, 0xBB, 0xFF]), Client);
        Assert.Equal("me", request.ClientId);
        Assert.Equal(17, request.BodyStart);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(9)]
    public void A_client_may_have_no_id(short version) =>
        Assert.Null(_dispatcher.Parse(Header(MetadataRequest.ApiKey, version, [0xFF, 0xFF, 0]), Client).ClientId);

    [Theory]
    [InlineData(ApiVersionsRequest.MaxVersion + 1)]
    [InlineData(short.MaxValue)]
    public void An_ApiVersions_request_that_is_too_new_is_understood_without_its_rest(short version)
    {
        Request request = _dispatcher.Parse(Header(ApiVersionsRequest.ApiKey, version, [0xFF]), Client);
        Assert.False(request.IsVersionSupported);
        Assert.Equal(CorrelationId, request.CorrelationId);
    }

    [Theory]
    [InlineData(ApiVersionsRequest.ApiKey, -1)]
    [InlineData(ProduceRequest.ApiKey, 2)]
    [InlineData(ProduceRequest.ApiKey, ProduceRequest.MaxVersion + 1)]
    [InlineData(FetchRequest.ApiKey, 3)]
    [InlineData(FetchRequest.ApiKey, FetchRequest.MaxVersion + 1)]
    [InlineData(71, 0)]
    [InlineData(-1, 0)]
    [InlineData(short.MaxValue, 0)]
    public void What_is_not_served_is_refused(short key, short version)
    {
        ConnectionRefusedException refused = Assert.Throws<ConnectionRefusedException>(
            () => _dispatcher.Parse(Header(key, version, [0, 0, 0]), Client));
        Assert.Equal(CloseReason.Unsupported, refused.Reason);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(9)]
    public void A_header_that_ends_early_is_malformed_wherever_it_ends(short version)
    {
        byte[] whole = Header(MetadataRequest.ApiKey, version, version < 9 ? [0, 2, 1, 1] : [0, 2, 1, 1, 1, 0, 1, 0]);
        _dispatcher.Parse(whole, Client);
        for (int length = 0; length < whole.Length; length++)
        {
            ConnectionRefusedException refused = Assert.Throws<ConnectionRefusedException>(
                () => _dispatcher.Parse(whole.AsMemory(0, length), Client));
            Assert.Equal(CloseReason.Malformed, refused.Reason);
        }
    }

    [Fact]
    public void Every_API_is_advertised_up_to_what_is_served()
    {
        Assert.Equal<short>(
            [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 28, 32, 33, 35, 37, 42, 43, 44, 45, 46,
                47, 60, 61, 65, 66, 68, 69, 75],
            _dispatcher.Handlers.Select(handler => handler.Api.Key).Order());
        Assert.All(_dispatcher.Handlers, handler => Assert.InRange(handler.AdvertisedMinVersion, 0, handler.MinVersion));
    }

    /// <summary>The highest versions that kafkajs 2.2.4 knows. It takes the lower one of that and the broker's, whatever the lowest is.</summary>
    public static TheoryData<short, short> KafkaJs => new()
    {
        { 0, 7 }, { 1, 11 }, { 2, 3 }, { 3, 6 }, { 8, 5 }, { 9, 4 }, { 10, 2 }, { 11, 5 }, { 12, 3 }, { 13, 3 }, { 14, 3 }, { 15, 2 }, { 16, 2 },
        { 18, 2 }, { 19, 3 }, { 20, 1 }, { 21, 1 }, { 22, 1 }, { 32, 2 }, { 33, 1 }, { 37, 1 }, { 42, 1 }, { 45, 0 }, { 46, 0 },
    };

    [Theory]
    [MemberData(nameof(KafkaJs))]
    public void A_client_that_looks_at_the_highest_versions_only_finds_one_that_is_served(short key, short highest)
    {
        ApiHandler handler = _dispatcher.Handlers.Single(one => one.Api.Key == key);
        Assert.InRange(Math.Min(highest, handler.MaxVersion), handler.MinVersion, handler.MaxVersion);
    }

    private static byte[] Header(short key, short version, byte[] rest) =>
        [(byte)(key >> 8), (byte)key, (byte)(version >> 8), (byte)version, 1, 2, 3, 4, .. rest];
}
