using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Time.Testing;
using Tributary.Conformance.Harness;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Edge.Uplink;
using Tributary.Edge.Uplink.Security;
using Tributary.Tests.Cloud.Support;
using Tributary.Tests.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Edge.Uplink.Security;

/// <summary>TLS and SASL of the uplink, over real sockets to a front that does both as a broker does.</summary>
public sealed class UplinkSecurityTests : IAsyncDisposable
{
    private const string User = "edge-1";
    private const string Password = "s3cret,=ü";
    private static readonly string ScramSha256 = "SCRAM-SHA-256";
    private static readonly string ScramSha512 = "SCRAM-SHA-512";
    private readonly FakeCluster _cluster = new(brokers: 1, partitions: 2);
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);
    private readonly SecureFront _front;
    private readonly Certificates _authority = new();
    private readonly TemporaryDirectory _directory = new();
    private readonly RecordingLogger _logger = new();
    private readonly UplinkCounters _counters = new();
    private readonly List<KafkaCloud> _clouds = [];

    public UplinkSecurityTests()
    {
        _front = new SecureFront(_cluster.Brokers[0].Port, _time);
        _cluster.Advertised = _ => ("localhost", _front.Port);
        File.WriteAllText(CaFile, _authority.AuthorityPem);
        File.WriteAllText(PasswordFile, Password + "\n");
    }

    private string CaFile => _directory.File("ca.pem");

    private string PasswordFile => _directory.File("password");

    private UplinkTlsOptions Tls => new() { CaFile = CaFile };

    public async ValueTask DisposeAsync()
    {
        foreach (KafkaCloud cloud in _clouds)
        {
            await cloud.DisposeAsync();
        }
        await _front.DisposeAsync();
        await _cluster.DisposeAsync();
        _authority.Dispose();
        _directory.Dispose();
        Assert.DoesNotContain(_logger.Lines, line => line.Text.Contains(Password, StringComparison.Ordinal));
        Assert.DoesNotContain(Password, _counters.LastError ?? "", StringComparison.Ordinal);
    }

    [Fact]
    public async Task Over_TLS_the_cluster_serves_as_without_and_is_told_its_name()
    {
        _front.Tls = Server(_authority.Server());
        KafkaCloud cloud = Connect(Tls);
        Assert.Equal(2, (await MetadataAsync(cloud)).Partitions);
        ICloudNode node = await cloud.GetLeaderAsync(FakeCluster.Topic, 1, CancellationToken.None);
        Assert.NotNull(node);
        Assert.Equal(["localhost"], _front.ServerNames);
    }

    [Fact]
    public async Task A_certificate_of_an_unknown_authority_is_refused_with_its_name_and_the_setting()
    {
        using var other = new Certificates("Other CA");
        _front.Tls = Server(other.Server());
        string reason = await RefusedAsync(Tls);

        Assert.Contains($"localhost:{_front.Port} is not trusted", reason, StringComparison.Ordinal);
        Assert.Contains("CN=Other CA", reason, StringComparison.Ordinal);
        Assert.Contains("uplink:tls:caFile", reason, StringComparison.Ordinal);
        Assert.Empty(_cluster.Requests);
    }

    [Fact]
    public async Task Without_a_file_the_authorities_of_the_system_count_and_not_ours()
    {
        _front.Tls = Server(_authority.Server());
        Assert.Contains("that this system trusts", await RefusedAsync(new UplinkTlsOptions()), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("localhost", -600, -60, "CN=localhost expired at", "the clock is wrong")]
    [InlineData("localhost", 600, 1200, "CN=localhost is not valid before", "the clock may be wrong")]
    [InlineData("kafka.example", -60, 600, "is for kafka.example, not for localhost", "uplink:tls:serverName")]
    public async Task A_certificate_that_breaks_a_rule_is_refused_with_the_rule(string name, int fromMinutes, int untilMinutes, string rule, string hint)
    {
        _front.Tls = Server(_authority.Server(name, TimeSpan.FromMinutes(fromMinutes), TimeSpan.FromMinutes(untilMinutes)));
        string reason = await RefusedAsync(Tls);

        Assert.Contains(rule, reason, StringComparison.Ordinal);
        Assert.Contains(hint, reason, StringComparison.Ordinal);
        Assert.Empty(_cluster.Requests);
    }

    [Fact]
    public async Task The_expected_name_can_be_set_and_goes_into_the_handshake()
    {
        _front.Tls = Server(_authority.Server("kafka.example", TimeSpan.FromMinutes(-5), TimeSpan.FromMinutes(60)));
        await MetadataAsync(Connect(Tls with { ServerName = "kafka.example" }));
        Assert.Equal(["kafka.example"], _front.ServerNames);
    }

    [Fact]
    public async Task A_cluster_that_wants_a_certificate_of_the_agent_gets_it_or_says_so()
    {
        SslServerAuthenticationOptions tls = Server(_authority.Server());
        tls.ClientCertificateRequired = true;
        tls.RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate?.Subject == "CN=edge-1";
        _front.Tls = tls;
        string reason = (await Assert.ThrowsAnyAsync<CloudException>(() => MetadataAsync(Connect(Tls)))).Message;
        Assert.Contains("uplink:tls:certificateFile", reason, StringComparison.Ordinal);

        (string certificate, string key) = _authority.Client("CN=edge-1");
        File.WriteAllText(_directory.File("edge.pem"), certificate);
        File.WriteAllText(_directory.File("edge.key"), key);
        await MetadataAsync(Connect(Tls with { CertificateFile = _directory.File("edge.pem"), KeyFile = _directory.File("edge.key") }));
    }

    [Fact]
    public async Task The_next_connection_takes_renewed_files_and_goes_on_with_the_former_ones_if_they_are_no_good()
    {
        _front.Tls = Server(_authority.Server());
        KafkaCloud cloud = Connect(Tls);
        await MetadataAsync(cloud);
        File.WriteAllText(CaFile, "half a file");
        await ReconnectAsync(cloud);
        Assert.Contains(_logger.Lines, line => line.Text.Contains("uplink:tls:caFile", StringComparison.Ordinal));

        using var renewed = new Certificates("Renewed CA");
        File.WriteAllText(CaFile, renewed.AuthorityPem);
        _front.Tls = Server(renewed.Server());
        await ReconnectAsync(cloud);
    }

    [Theory]
    [InlineData("ca.pem", "uplink:tls:caFile")]
    [InlineData("none.pem", "uplink:tls:caFile")]
    public async Task Files_that_are_no_good_from_the_start_are_told(string file, string setting)
    {
        File.WriteAllText(CaFile, "no certificate");
        Assert.Contains(setting, await RefusedAsync(new UplinkTlsOptions { CaFile = _directory.File(file) }), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(SaslMechanism.Plain)]
    [InlineData(SaslMechanism.ScramSha256)]
    [InlineData(SaslMechanism.ScramSha512)]
    internal async Task Who_knows_the_password_is_served(SaslMechanism mechanism)
    {
        _front.Tls = Server(_authority.Server());
        OfferAll();
        Assert.Equal(2, (await MetadataAsync(Connect(Tls, Sasl(mechanism)))).Partitions);
        Assert.Equal((1, 0), (_front.SignIns, _front.Breaches));
        Assert.Equal(2, (await MetadataAsync(Connect(Tls, Sasl(mechanism) with { PasswordFile = null, Password = new Secret(Password) }))).Partitions);
    }

    [Theory]
    [InlineData(SaslMechanism.Plain)]
    [InlineData(SaslMechanism.ScramSha256)]
    internal async Task A_wrong_password_is_told_once_with_the_broker_s_words_and_tried_at_a_slow_pace_until_it_is_right(SaslMechanism mechanism)
    {
        OfferAll();
        File.WriteAllText(PasswordFile, "wr0ng");
        KafkaCloud cloud = Connect(null, Sasl(mechanism) with { AllowPlaintext = true });
        cloud.Start();
        await Waiting.Until(() => _counters.LastError is not null);
        Assert.Contains("Authentication failed: Invalid username or password", _counters.LastError, StringComparison.Ordinal);
        Assert.Contains($"'{User}'", _counters.LastError, StringComparison.Ordinal);
        for (int second = 0; second < 120; second++)
        {
            await Assert.ThrowsAsync<CloudRefusedException>(() => MetadataAsync(cloud));
            _time.Advance(TimeSpan.FromSeconds(1));
        }
        Assert.InRange(_front.Connections, 2, 25);
        Assert.Single(_logger.Lines, line => line.Text.Contains("Invalid username", StringComparison.Ordinal));
        Assert.DoesNotContain(_logger.Lines, line => line.Text.Contains("wr0ng", StringComparison.Ordinal));

        await Assert.ThrowsAsync<CloudRefusedException>(() => MetadataAsync(cloud)); // no try is under way
        File.WriteAllText(PasswordFile, Password);
        _time.Advance(TimeSpan.FromSeconds(70));
        Assert.Equal(2, (await MetadataAsync(cloud)).Partitions);
    }

    [Fact]
    public async Task A_mechanism_that_the_cluster_does_not_know_is_told_with_those_that_it_knows()
    {
        _front.Mechanisms[ScramSha512] = () => new ScramServer(HashAlgorithmName.SHA512, User, Password);
        string reason = await RefusedAsync(null, Sasl(SaslMechanism.ScramSha256));
        Assert.Contains("SCRAM-SHA-256", reason, StringComparison.Ordinal);
        Assert.Contains("it knows SCRAM-SHA-512", reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cluster_without_SASL_is_told_from_one_that_wants_it()
    {
        OfferAll();
        string wants = (await Assert.ThrowsAsync<CloudException>(() => MetadataAsync(Connect(null)))).Message;
        Assert.Contains("uplink:sasl:mechanism", wants, StringComparison.Ordinal);
        _front.Mechanisms.Clear();
        _cluster.Advertised = null;
        _front.Backend = _cluster.Brokers[0].Port;
        var direct = new KafkaCloud(
            Options(null, Sasl(SaslMechanism.ScramSha256)) with { CloudPort = _cluster.Brokers[0].Port }, _counters, _time, _logger);
        _clouds.Add(direct);
        Assert.Contains("SaslHandshake", (await Assert.ThrowsAsync<CloudException>(() => MetadataAsync(direct))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ScramFlaw.WrongSignature, "signature is wrong")]
    [InlineData(ScramFlaw.NoSignature, "signature is wrong")]
    [InlineData(ScramFlaw.ForeignNonce, "nonce")]
    [InlineData(ScramFlaw.NonceNotExtended, "nonce")]
    [InlineData(ScramFlaw.FewIterations, "4095 iterations")]
    [InlineData(ScramFlaw.ManyIterations, "1000001 iterations")]
    [InlineData(ScramFlaw.NoSalt, "salt")]
    [InlineData(ScramFlaw.UnknownExtension, "no first message")]
    [InlineData(ScramFlaw.ErrorOfTheMechanism, "it refused: other-error")]
    [InlineData(ScramFlaw.HugeToken, "5000 bytes")]
    internal async Task A_false_server_gets_no_records(ScramFlaw flaw, string reason)
    {
        _front.Mechanisms[ScramSha256] = () => new ScramServer(HashAlgorithmName.SHA256, User, Password, flaw: flaw);
        Assert.Contains(reason, await RefusedAsync(null, Sasl(SaslMechanism.ScramSha256)), StringComparison.Ordinal);
        Assert.DoesNotContain(_cluster.Requests, request => request.ApiKey != ApiVersionsRequest.ApiKey);
    }

    [Fact]
    public async Task What_a_broker_says_is_cut_and_kept_on_one_line()
    {
        OfferAll();
        _front.Refusal = (ErrorCode.SaslAuthenticationFailed, "line\r\nERROR forged " + new string('x', 10_000));
        string reason = await RefusedAsync(null, Sasl(SaslMechanism.ScramSha256));
        Assert.DoesNotContain('\n', reason);
        Assert.InRange(reason.Length, 100, 700);
    }

    [Fact]
    public async Task A_session_is_renewed_before_it_ends_while_requests_go_on()
    {
        OfferAll();
        _front.SessionLifetimeMs = 60_000;
        KafkaCloud cloud = Connect(null, Sasl(SaslMechanism.ScramSha256));
        await MetadataAsync(cloud);
        int seen = 0;
        double sinceSignIn = 0;
        for (int step = 0; step < 400; step++)
        {
            Task[] asked = [Ask(), Ask()];
            _time.Advance(TimeSpan.FromSeconds(0.9));
            await Task.WhenAll([.. asked, Ask(), Ask()]);
            sinceSignIn += 0.9;
            if (sinceSignIn >= 57)
            {
                await Waiting.Until(() => _front.SignInsAgain > seen);
            }
            if (_front.SignInsAgain > seen)
            {
                (seen, sinceSignIn) = (_front.SignInsAgain, 0);
            }
        }
        Assert.True(_front.SignInsAgain >= 5);
        Assert.Equal((1, 0), (_front.Connections, _front.Breaches));

        Task Ask() => cloud.InitProducerIdAsync(CancellationToken.None);
    }

    [Fact]
    public async Task A_session_that_can_not_be_renewed_ends_the_connection_and_says_why()
    {
        OfferAll();
        _front.SessionLifetimeMs = 60_000;
        KafkaCloud cloud = Connect(null, Sasl(SaslMechanism.ScramSha256));
        cloud.Start();
        await MetadataAsync(cloud);
        _front.Refusal = (ErrorCode.SaslAuthenticationFailed, "the user was deleted");
        _time.Advance(TimeSpan.FromSeconds(58));
        await Waiting.Until(() => _counters.LastError?.Contains("the user was deleted", StringComparison.Ordinal) == true);
        await Assert.ThrowsAsync<CloudRefusedException>(() => MetadataAsync(cloud));
    }

    private static Task<TopicMetadata> MetadataAsync(KafkaCloud cloud) => cloud.GetMetadataAsync(FakeCluster.Topic, allowCreate: true, CancellationToken.None);

    private static SslServerAuthenticationOptions Server((string Certificate, string Key) pem)
    {
        using var fromPem = X509Certificate2.CreateFromPem(pem.Certificate, pem.Key);
        return new SslServerAuthenticationOptions { ServerCertificate = X509CertificateLoader.LoadPkcs12(fromPem.Export(X509ContentType.Pkcs12), null) };
    }

    private UplinkSaslOptions Sasl(SaslMechanism mechanism) => new() { Mechanism = mechanism, Username = User, PasswordFile = PasswordFile };

    private void OfferAll()
    {
        _front.Mechanisms["PLAIN"] = () => new PlainServer(User, Password);
        _front.Mechanisms[ScramSha256] = () => new ScramServer(HashAlgorithmName.SHA256, User, Password);
        _front.Mechanisms[ScramSha512] = () => new ScramServer(HashAlgorithmName.SHA512, User, Password);
    }

    private async Task<string> RefusedAsync(UplinkTlsOptions? tls, UplinkSaslOptions? sasl = null) =>
        (await Assert.ThrowsAsync<CloudRefusedException>(() => MetadataAsync(Connect(tls, sasl)))).Message;

    /// <summary>Ends the connection and asks until a new one serves.</summary>
    private async Task ReconnectAsync(KafkaCloud cloud)
    {
        ICloudNode node = await cloud.GetLeaderAsync(FakeCluster.Topic, 0, CancellationToken.None);
        int before = _front.Connections;
        node.Drop("the test ends it");
        Assert.Equal(2, (await MetadataAsync(cloud)).Partitions);
        Assert.Equal(before + 1, _front.Connections);
    }

    private UplinkOptions Options(UplinkTlsOptions? tls, UplinkSaslOptions? sasl) => UplinkSimulation.DefaultOptions with
    {
        CloudHost = "localhost",
        CloudPort = _front.Port,
        Tls = tls,
        Sasl = sasl,
    };

    private KafkaCloud Connect(UplinkTlsOptions? tls, UplinkSaslOptions? sasl = null)
    {
        var cloud = new KafkaCloud(Options(tls, sasl), _counters, _time, _logger);
        _clouds.Add(cloud);
        return cloud;
    }
}
