using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Edge.Host;
using Tributary.Edge.Uplink;
using Tributary.Edge.Uplink.Security;

namespace Tributary.Edge.Doctor;

/// <summary>
/// The way to the cloud, step by step, with the classes that the uplink itself uses: name, connection, TLS, versions, SASL, metadata, and
/// each node at the address that the cluster gives for it. Nothing is produced and no topic is made.
/// </summary>
internal static class UplinkCheck
{
    private const string Check = "uplink";
    private const string Network = "uplink: network";

    /// <summary>Nodes that are tried.</summary>
    private const int MaxNodes = 16;

    /// <summary>Topics that are asked for.</summary>
    private const int MaxTopics = 64;

    /// <summary>Longest time for one connection: a person waits.</summary>
    private static readonly TimeSpan MostForOne = TimeSpan.FromSeconds(10);

    /// <summary>Looks.</summary>
    public static async Task RunAsync(Findings findings, EdgeOptions options, TimeProvider time, CancellationToken cancellation)
    {
        UplinkOptions uplink = options.Uplink with { ConnectTimeout = Least(options.Uplink.ConnectTimeout), RequestTimeout = Least(options.Uplink.RequestTimeout) };
        var bootstrap = new NodeEndpoint(uplink.CloudHost, uplink.CloudPort);
        if (!await Reach.TryAsync(findings, Network, bootstrap.Host, bootstrap.Port, uplink.ConnectTimeout, cancellation))
        {
            findings.Skip(Check, "the cloud can't be reached; messages are stored meanwhile");
            return;
        }
        var look = new Look(findings, uplink, bootstrap, time, cancellation);
        if (await look.ConnectAsync(bootstrap) is { } node)
        {
            await using (node)
            {
                findings.Ok(Check, $"{bootstrap} speaks Kafka's protocol{Security(uplink)}");
                if (!node.TellsOfProducers)
                {
                    findings.Warn(
                        Check, "the cluster does not tell what it has of a producer (DescribeProducers): records arrive at least once, and some may come twice",
                        "a cluster that does: Kafka 2.8 or later, or Tributary");
                }
                await look.AskAsync(node, [.. options.Routes.Topics.Order(StringComparer.Ordinal).Take(MaxTopics)]);
            }
        }
    }

    private static TimeSpan Least(TimeSpan limit) => limit < MostForOne ? limit : MostForOne;

    private static string Security(UplinkOptions uplink) =>
        (uplink.Tls is null ? ", without TLS" : ", with TLS; its certificate is accepted")
        + (uplink.Sasl is { } sasl ? $"; it accepts the user '{sasl.Username}' by {sasl.MechanismName}" : "");

    private sealed class Look(Findings findings, UplinkOptions options, NodeEndpoint bootstrap, TimeProvider time, CancellationToken cancellation)
    {
        private readonly TlsClient? _tls = options.Tls is { } tls ? new TlsClient(tls, time, NullLogger.Instance) : null;
        private readonly UplinkCounters _counters = new();

        /// <returns>Null if it can't be; that is said.</returns>
        public async Task<KafkaNode?> ConnectAsync(NodeEndpoint endpoint)
        {
            try
            {
                return await KafkaNode.ConnectAsync(endpoint, _tls, options, _counters, time, cancellation);
            }
            catch (CloudException e)
            {
                CloudException explained = endpoint == bootstrap ? e : AdvertisedAddress.Explain(bootstrap, endpoint, e);
                findings.Fail(endpoint == bootstrap ? Check : "uplink: nodes", explained.Message);
                return null;
            }
        }

        public async Task AskAsync(KafkaNode node, string[] topics)
        {
            MetadataResponse metadata;
            try
            {
                metadata = await node.RequestAsync<MetadataRequest, MetadataResponse>(new MetadataRequest
                {
                    Topics = [.. topics.Select(topic => new MetadataRequest.MetadataRequestTopic { Name = topic })],
                    AllowAutoTopicCreation = false,
                }).WaitAsync(cancellation);
            }
            catch (CloudException e)
            {
                findings.Fail("uplink: metadata", e.Message);
                return;
            }
            if (metadata.ErrorCode != ErrorCode.None)
            {
                findings.Fail("uplink: metadata", $"the cloud answered {KafkaErrors.Describe(metadata.ErrorCode)}");
                return;
            }
            findings.Ok("uplink: metadata", $"cluster {metadata.ClusterId ?? "without an id"}, {metadata.Brokers.Length} nodes");
            foreach (MetadataResponse.MetadataResponseTopic topic in metadata.Topics)
            {
                LookAt(topic);
            }
            foreach (MetadataResponse.MetadataResponseBroker broker in metadata.Brokers.Take(MaxNodes))
            {
                await LookAtAsync(new NodeEndpoint(broker.Host, broker.Port));
            }
        }

        private void LookAt(MetadataResponse.MetadataResponseTopic topic)
        {
            const string Topics = "uplink: topics";
            switch (topic.ErrorCode)
            {
                case ErrorCode.None:
                    findings.Ok(Topics, $"{topic.Name}: {topic.Partitions.Length} partitions");
                    break;
                case ErrorCode.UnknownTopicOrPartition:
                    findings.Warn(
                        Topics, $"{topic.Name} does not exist in the cloud", "it is made with its first message, if the cluster makes topics by itself; else make it there");
                    break;
                default:
                    findings.Fail(Topics, $"{topic.Name}: the cloud answered {KafkaErrors.Describe(topic.ErrorCode)}");
                    break;
            }
        }

        private async Task LookAtAsync(NodeEndpoint endpoint)
        {
            if (endpoint != bootstrap && await ConnectAsync(endpoint) is { } node)
            {
                await node.DisposeAsync();
                findings.Ok("uplink: nodes", $"{endpoint} can be reached at the address that the cluster gives for it");
            }
        }
    }
}
