using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Broker.Metadata;
using Tributary.Conformance.Harness;
using Tributary.Edge.Buffer;
using Tributary.Edge.Uplink;
using Tributary.Edge.Uplink.Security;
using Tributary.Log.Storage;
using Tributary.Tests.Broker.Support;
using Tributary.Tests.Cloud.Support;
using Tributary.Tests.Edge.Support;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Edge.Uplink.Security;

/// <summary>The uplink of a partition over TLS and SCRAM to a real broker's gateway, in sessions that are short.</summary>
public sealed class SecureUplinkToBrokerTests
{
    private const int Partitions = 3;

    [Fact]
    public async Task Records_come_once_while_the_session_is_renewed_under_way()
    {
        await using var broker = new TestBroker(time: TimeProvider.System);
        await broker.CreateTopicAsync(FakeCluster.Topic, Partitions);
        await using LoopbackPort port = await LoopbackPort.OpenAsync(broker.Server.Connections);
        await using var front = new SecureFront(port.EndPoint.Port) { SessionLifetimeMs = 1_000 };
        await broker.Control.ApplyAsync(
            broker.Control.Snapshot with { Brokers = [new BrokerNode(TestControlPlane.NodeId, "localhost", front.Port)] });
        using var directory = new TemporaryDirectory();
        Secure(front, directory);
        var log = new SharedLog();
        var counters = new UplinkCounters();
        UplinkOptions options = OptionsFor(front, directory);
        await using var cloud = new KafkaCloud(options, counters, TimeProvider.System, NullLoggerFactory.Instance);
        await using var dead = new DeadLetterHarness();
        PartitionUplink uplink = Begin(log, dead, cloud, counters, options);
        long sent = 0;
        await Waiting.Until(async () =>
        {
            log.Append([.. Enumerable.Range(1, 50).Select(device => ($"device-{device}", sent + device, ""))]);
            sent += 50;
            await Waiting.Until(() => uplink.Status.AckedOffset == sent);
            return front.SignInsAgain >= 3;
        });
        await uplink.DisposeAsync();

        Assert.Equal(sent, Enumerable.Range(0, Partitions).Sum(index => broker.Partition(FakeCluster.Topic, index).HighWatermark));
        Assert.Equal((0, 0L), (front.Breaches, uplink.Retries));
        Assert.Equal(1, front.Connections);
    }

    private static void Secure(SecureFront front, TemporaryDirectory directory)
    {
        using var authority = new Certificates();
        File.WriteAllText(directory.File("ca.pem"), authority.AuthorityPem);
        (string certificate, string key) = authority.Server();
        using var own = X509Certificate2.CreateFromPem(certificate, key);
        front.Tls = new SslServerAuthenticationOptions { ServerCertificate = X509CertificateLoader.LoadPkcs12(own.Export(X509ContentType.Pkcs12), null) };
        front.Mechanisms["SCRAM-SHA-512"] = () => new ScramServer(HashAlgorithmName.SHA512, "edge", "pencil");
    }

    private static UplinkOptions OptionsFor(SecureFront front, TemporaryDirectory directory) => UplinkSimulation.DefaultOptions with
    {
        CloudHost = "localhost",
        CloudPort = front.Port,
        CheckpointInterval = TimeSpan.FromMilliseconds(5),
        Tls = new UplinkTlsOptions { CaFile = directory.File("ca.pem") },
        Sasl = new UplinkSaslOptions { Mechanism = SaslMechanism.ScramSha512, Username = "edge", Password = new Secret("pencil") },
    };

    private static PartitionUplink Begin(SharedLog log, DeadLetterHarness dead, KafkaCloud cloud, UplinkCounters counters, UplinkOptions options)
    {
        var storage = new MemoryStorage();
        storage.CreateDirectory("telemetry-0");
        storage.SyncDirectory("");
        var uplink = new PartitionUplink(
            new BufferPartition(FakeCluster.Topic, 0, null!, "telemetry-0"), log, log.FlushedEnd, new CheckpointFile(storage, "telemetry-0"),
            dead.Letters, null, cloud, new LinkShare(CapSchedule.Always(null), TimeProvider.System),
            LinkShare.DefaultPriority, options, TimeProvider.System, counters, NullLogger.Instance, new Random(1));
        log.Flushed = uplink.Wake;
        uplink.Start();
        return uplink;
    }
}
