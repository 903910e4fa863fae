using Tributary.Broker;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class ApiVersionsTests
{
    private static readonly ApiVersionsRequest Named = new() { ClientSoftwareName = "a-client", ClientSoftwareVersion = "1.0" };

    [Theory]
    [EveryVersion<ApiVersionsRequest>]
    public async Task Every_version_lists_what_is_served(short version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        ApiVersionsResponse response = await client.AskAsync(Named, version);
        Assert.Equal(ErrorCode.None, response.ErrorCode);
        Assert.Equal(
            [
                (0, 0, 11), (1, 4, 17), (2, 1, 10), (3, 0, 13), (8, 2, 9), (9, 1, 9), (10, 0, 6), (11, 0, 9), (12, 0, 4), (13, 0, 5),
                (14, 0, 5), (15, 0, 6), (16, 0, 5), (18, 0, 4), (19, 2, 7), (20, 1, 6), (21, 0, 2), (22, 0, 5), (23, 2, 4), (24, 0, 3),
                (25, 0, 4), (26, 0, 4), (28, 0, 4), (32, 1, 4), (33, 0, 2), (35, 1, 4), (37, 0, 3), (42, 0, 2), (43, 0, 2), (44, 0, 1), (45, 0, 0), (46, 0, 0), (47, 0, 0), (60, 0, 2), (61, 0, 0),
                (65, 0, 0), (66, 0, 1), (68, 0, 1), (69, 0, 1), (75, 0, 0),
            ],
            response.ApiKeys.Select(api => ((int)api.ApiKey, (int)api.MinVersion, (int)api.MaxVersion)));
    }

    [Theory]
    [InlineData(2, null)]
    [InlineData(3, 1)]
    [InlineData(4, 0)]
    public async Task The_newer_consumer_protocol_is_a_feature_that_is_on(short version, int? lowest)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        ApiVersionsResponse response = await client.AskAsync(Named, version);
        Assert.Equal(
            lowest is null ? [] : [("group.version", lowest.Value, 1)],
            response.SupportedFeatures.Select(feature => (feature.Name, (int)feature.MinVersion, (int)feature.MaxVersion)));
        Assert.Equal(
            lowest is null ? [] : [("group.version", 1, 1)],
            response.FinalizedFeatures.Select(feature => (feature.Name, (int)feature.MinVersionLevel, (int)feature.MaxVersionLevel)));
        Assert.Equal(lowest is null ? -1 : 0, response.FinalizedFeaturesEpoch);
    }

    [Fact]
    public async Task A_version_that_is_too_new_is_answered_in_version_0_with_the_ranges_and_the_client_goes_on()
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        await client.SendFrameAsync([0, 18, 0, 99, 0, 0, 0, 7, 0xFF, 0xFE, 0xFD]);
        ApiVersionsResponse response = await client.ReceiveAsync<ApiVersionsResponse>(7, version: 0);
        Assert.Equal(ErrorCode.UnsupportedVersion, response.ErrorCode);
        Assert.Contains(response.ApiKeys, api => api is { ApiKey: 18, MinVersion: 0, MaxVersion: 4 });
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Named, 4)).ErrorCode);
    }

    [Theory]
    [InlineData("", "1")]
    [InlineData("a client", "1")]
    [InlineData("client", "1-")]
    [InlineData(".client", "1")]
    public async Task A_client_software_name_that_cannot_be_is_refused(string name, string version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        ApiVersionsResponse response = await client.AskAsync(
            new ApiVersionsRequest { ClientSoftwareName = name, ClientSoftwareVersion = version }, 3);
        Assert.Equal(ErrorCode.InvalidRequest, response.ErrorCode);
    }

    [Theory]
    [InlineData(0, 2)]
    [InlineData(1, 3)]
    [InlineData(1, 18)]
    [InlineData(71, 0)]
    public async Task Any_other_version_that_is_not_served_closes_the_connection_with_a_counted_reason(byte key, byte version)
    {
        await using var broker = new TestBroker();
        await using TestClient client = broker.Connect();
        await client.SendFrameAsync([0, key, 0, version, 0, 0, 0, 7, 0xFF, 0xFF, 0]);
        Assert.Null(await client.ReceiveFrameAsync());
        await client.Ended;
        Assert.Equal(1, broker.Server.Metrics.Closed(CloseReason.Unsupported));
    }
}
