using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Edge.Uplink;
using Tributary.Edge.Uplink.Security;
using Tributary.Tests.Edge.Uplink.Security;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>What becomes of records and questions with each of Kafka's errors, those of later versions included.</summary>
public sealed class KafkaErrorTests
{
    private const int LastCode = 133;
    private const string Topic = FakeCluster.Topic;

    /// <summary>All codes of Kafka 4.x, and some that it does not have.</summary>
    public static TheoryData<short> Codes =>
        [.. Enumerable.Range(-1, LastCode + 2).Where(code => code != 0).Concat([-2, 134, 999, short.MaxValue, short.MinValue]).Select(code => (short)code)];

    [Theory]
    [MemberData(nameof(Codes))]
    public void A_batch_that_gets_an_error_for_minutes_loses_nothing_is_not_sent_in_a_hot_loop_and_is_told(short code)
    {
        var error = (ErrorCode)code;
        var simulation = new UplinkSimulation(7, Planted.Nothing, partitions: 2);
        simulation.Start();
        simulation.Ingest(40);
        simulation.FlushLog();
        simulation.RunUntil(simulation.IsSettled, TimeSpan.FromMinutes(1));
        simulation.ProduceError = error;
        simulation.Ingest(40);
        simulation.FlushLog();
        if (KafkaErrors.ToProduce(error) != ProduceReaction.AskAgain)
        {
            simulation.Poisoned.UnionWith(Enumerable.Range(41, 40).Select(id => (long)id)); // they may be missing in the cloud
        }
        long before = simulation.State.Retries;
        simulation.Run(TimeSpan.FromMinutes(10));
        simulation.RunUntil(() => KafkaErrors.ToProduce(error) == ProduceReaction.AskAgain || simulation.State.RefusedTotal == 40, TimeSpan.FromHours(2));
        long tried = simulation.State.Retries - before;
        ProduceReaction reaction = KafkaErrors.ToProduce(error);
        bool isRefused = reaction is ProduceReaction.Refuse or ProduceReaction.RefuseLater;

        Assert.InRange(tried, isRefused ? 0 : 100, 1500); // a wait of half a second on average, and the time to ask
        Assert.NotEqual(UplinkPhase.Stopped, simulation.State.Phase);
        Assert.Equal(isRefused ? 40 : 0, simulation.State.RefusedTotal);
        Assert.Equal(isRefused ? 40 : 0, simulation.Notices.Count(notice => notice.Kind == UplinkNoticeKind.Refused));
        Assert.Contains(simulation.Notices, notice => notice.Message.Contains(KafkaErrors.Describe(error), StringComparison.Ordinal));

        simulation.ProduceError = ErrorCode.None;
        simulation.Ingest(40);
        simulation.FlushLog();
        simulation.RunUntil(simulation.IsSettled, TimeSpan.FromMinutes(5));
        Assert.True(simulation.IsSettled());
        int there = Enumerable.Range(0, 2).Sum(target => simulation.Cloud.Committed(target).Count);
        Assert.Equal(isRefused ? 80 : 120, there);
        Assert.Null(simulation.FindFault());
    }

    [Fact]
    public async Task A_question_that_gets_an_error_is_told_it_by_name_and_asked_again()
    {
        await using var cluster = new FakeCluster(brokers: 1, partitions: 1);
        short[] apis = [MetadataRequest.ApiKey, InitProducerIdRequest.ApiKey, DescribeProducersRequest.ApiKey, ListOffsetsRequest.ApiKey, ApiVersionsRequest.ApiKey];
        foreach (short api in apis)
        {
            foreach (short code in Codes.Select(row => row.Data).Where(code => api != ApiVersionsRequest.ApiKey || code != (short)ErrorCode.UnsupportedVersion))
            {
                await using var cloud = new KafkaCloud(Options(cluster.Brokers[0].Port), new UplinkCounters(), TimeProvider.System, NullLoggerFactory.Instance);
                cluster.Errors[api] = (ErrorCode)code;
                CloudException told = await Assert.ThrowsAsync<CloudException>(() => AskAllAsync(cloud));
                Assert.Contains(KafkaErrors.Describe((ErrorCode)code), told.Message, StringComparison.Ordinal);
                cluster.Errors.Clear();
                await using var again = new KafkaCloud(Options(cluster.Brokers[0].Port), new UplinkCounters(), TimeProvider.System, NullLoggerFactory.Instance);
                await AskAllAsync(api == ApiVersionsRequest.ApiKey ? again : cloud);
            }
        }
    }

    [Fact]
    public async Task An_authentication_that_gets_an_error_is_tried_at_a_slow_pace_unless_the_error_passes()
    {
        await using var cluster = new FakeCluster(brokers: 1, partitions: 1);
        await using var front = new SecureFront(cluster.Brokers[0].Port);
        front.Mechanisms["PLAIN"] = () => new PlainServer("u", "p");
        foreach (short code in Codes.Select(row => row.Data))
        {
            front.Refusal = ((ErrorCode)code, null);
            UplinkOptions options = Options(front.Port) with
            {
                Sasl = new UplinkSaslOptions { Mechanism = SaslMechanism.Plain, Username = "u", Password = new Secret("p"), AllowPlaintext = true },
            };
            await using var cloud = new KafkaCloud(options, new UplinkCounters(), TimeProvider.System, NullLoggerFactory.Instance);
            CloudException told = await Assert.ThrowsAnyAsync<CloudException>(() => cloud.InitProducerIdAsync(CancellationToken.None));
            Assert.Contains(KafkaErrors.Describe((ErrorCode)code), told.Message, StringComparison.Ordinal);
            Assert.Equal(!KafkaErrors.Passes((ErrorCode)code), told is CloudRefusedException);
        }
    }

    [Fact]
    public async Task A_cluster_that_says_to_begin_again_is_asked_at_the_address_that_is_set()
    {
        await using var cluster = new FakeCluster(brokers: 2, partitions: 2);
        await using var cloud = new KafkaCloud(Options(cluster.Brokers[0].Port), new UplinkCounters(), TimeProvider.System, NullLoggerFactory.Instance);
        await AskAllAsync(cloud);
        await cluster.Brokers[0].StopAsync();
        await Waiting.Until(() => !cloud.IsConnected);
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None); // the other node
        cluster.Brokers[0].Restart();
        cluster.Errors[MetadataRequest.ApiKey] = ErrorCode.RebootstrapRequired;
        await Assert.ThrowsAsync<CloudException>(() => cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None));
        Assert.False(cloud.IsConnected);
        cluster.Errors.Clear();
        cluster.Requests.Clear();
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        Assert.All(cluster.Requests, request => Assert.Equal(0, request.Node));
    }

    [Fact]
    public void Every_error_stands_in_the_documentation_with_what_becomes_of_it_and_nothing_else() => Assert.Equal(
        Enumerable.Range(-1, LastCode + 2).Select(code => Row((ErrorCode)code)).Append("| any other | | again | again | again |"),
        File.ReadLines(Path.Combine(Host.SettingValuesTests.Repository(), "edge", "Tributary.Edge", "UPLINK.md"))
            .SkipWhile(line => !line.StartsWith("| code", StringComparison.Ordinal)).Skip(2).TakeWhile(line => line.StartsWith('|')));

    private static string Row(ErrorCode error)
    {
        Assert.True(Enum.IsDefined(error), $"{(short)error} has no name");
        string batch = KafkaErrors.ToProduce(error) switch
        {
            ProduceReaction.Done => "stored",
            ProduceReaction.Refuse => "refuse",
            ProduceReaction.RefuseLater => "again twice, then refuse",
            _ => "again",
        };
        string question = error switch
        {
            ErrorCode.None => "go on",
            ErrorCode.RebootstrapRequired => "again, from `cloud`",
            _ => "again",
        };
        return $"| {(short)error} | {error} | {batch} | {question} | {(error == ErrorCode.None ? "go on" : KafkaErrors.Passes(error) ? "again" : "again, slowly")} |";
    }

    private static async Task AskAllAsync(KafkaCloud cloud)
    {
        await cloud.GetMetadataAsync(Topic, allowCreate: true, CancellationToken.None);
        (long id, _) = await cloud.InitProducerIdAsync(CancellationToken.None);
        await cloud.GetPositionsAsync(Topic, id, new ProducerClaim(Guid.NewGuid(), 1), targets: 1, CancellationToken.None);
    }

    private static UplinkOptions Options(int port) => UplinkSimulation.DefaultOptions with { CloudHost = "127.0.0.1", CloudPort = port };
}
