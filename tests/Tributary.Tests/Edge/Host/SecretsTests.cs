using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging;
using MQTTnet;
using MQTTnet.Protocol;
using Tributary.Conformance.Harness;
using Tributary.Edge.Access;
using Tributary.Edge.Doctor;
using Tributary.Edge.Host;
using Tributary.Tests.Cloud.Support;
using Tributary.Tests.Edge.Uplink;
using Tributary.Tests.Edge.Uplink.Security;
using Xunit;

namespace Tributary.Tests.Edge.Host;

/// <summary>
/// An agent with a secret in each setting that has one, right and wrong, and clients with passwords, right and wrong: none of it is in the
/// log at any level, in the status, the metrics, the page or what the doctor says.
/// </summary>
public sealed class SecretsTests : IAsyncLifetime
{
    private const string UplinkPassword = "upl1nk-secret";
    private const string SourcePassword = "s0urce-secret";
    private const string UserPassword = "us3r-secret";
    private const string WrongPassword = "wr0ng-secret";
    private readonly TemporaryDirectory _directory = new();
    private readonly FakeCluster _cluster = new(brokers: 1, partitions: 1);
    private readonly SecureFront _front;
    private readonly Certificates _authority = new();
    private readonly List<string> _secrets = [UplinkPassword, SourcePassword, UserPassword, WrongPassword];

    public SecretsTests()
    {
        _front = new SecureFront(_cluster.Brokers[0].Port);
        _front.Mechanisms["PLAIN"] = () => new PlainServer("edge", UplinkPassword);
        _cluster.Advertised = _ => ("127.0.0.1", _front.Port);
    }

    public ValueTask InitializeAsync()
    {
        (string certificate, string key) = _authority.Server();
        Write("server.pem", certificate);
        Write("server.key", key);
        // Any line of a key is a secret; the first and the last tell its kind.
        _secrets.AddRange(key.Split('\n').Where(line => line.Length > 20 && !line.StartsWith('-')));
        var hash = PasswordHash.Create(Encoding.UTF8.GetBytes(UserPassword), PasswordHash.MinIterations).ToString();
        _secrets.Add(hash[(hash.LastIndexOf('$') + 1)..]);
        Write("users.json", $$"""{ "users": { "pump": { "password": "{{hash}}", "publish": ["devices/#"] } } }""");
        Write("source", SourcePassword + "\n");
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await _front.DisposeAsync();
        await _cluster.DisposeAsync();
        _authority.Dispose();
        _directory.Dispose();
    }

    [Theory]
    [InlineData(LogFormat.Text, UplinkPassword)]
    [InlineData(LogFormat.Json, UplinkPassword)]
    [InlineData(LogFormat.Text, WrongPassword)]
    internal async Task No_secret_is_shown_anywhere(LogFormat format, string uplinkPassword)
    {
        var log = new MemoryStream();
        string pages;
        using (var loggers = new StandardErrorLogger(LogLevel.Trace, TimeProvider.System, log, format))
        {
            await using EdgeAgent agent = await EdgeAgent.StartAsync(EdgeOptions.From(Values(uplinkPassword)), TimeProvider.System, loggers);
            Assert.Equal(MqttClientConnectResultCode.Success, await PublishAsync(agent, UserPassword));
            Assert.Equal(MqttClientConnectResultCode.BadUserNameOrPassword, await PublishAsync(agent, WrongPassword));
            bool isRight = uplinkPassword == UplinkPassword;
            await Waiting.Until(async () => (await AgentClient.StatusAsync(agent.Http)).Status is var status
                && (isRight ? status.Backlog.Records == 0 : status.Link.LastError?.Contains("does not accept the user 'edge'", StringComparison.Ordinal) == true)
                && status.Source?.LastError is not null);
            pages = await PagesAsync(agent);
            DoctorReport report = await new Examination(
                Values(uplinkPassword, ("http", agent.Http.ToString())), TimeProvider.System).RunAsync(TestContext.Current.CancellationToken);
            Assert.Equal(isRight, report.Findings.Any(finding => finding.Found.Contains("it accepts the user 'edge' by PLAIN", StringComparison.Ordinal)));
            pages += DoctorCommand.ToText(report) + DoctorCommand.ToJson(report);
        }
        string logged = Encoding.UTF8.GetString(log.ToArray());

        Assert.Contains("client 'c' connected", logged, StringComparison.Ordinal); // at the level of least importance
        Assert.All(_secrets, secret => Assert.DoesNotContain(secret, logged + pages, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Files_with_something_wrong_are_not_quoted()
    {
        Write("server.key", "-----BEGIN PRIVATE KEY-----\n" + UserPassword + "\n-----END PRIVATE KEY-----\n");
        Write("users.json", $$"""{ "users": { "pump": { "password": "{{UserPassword}}" } } }""");
        DoctorReport report = await new Examination(Values(UplinkPassword), TimeProvider.System).RunAsync(TestContext.Current.CancellationToken);

        Assert.Contains(report.Findings, finding => finding is { Check: "tls", Verdict: Verdict.Problem });
        Assert.Contains(report.Findings, finding => finding is { Check: "users file", Verdict: Verdict.Problem });
        Assert.DoesNotContain(UserPassword, DoctorCommand.ToText(report), StringComparison.Ordinal);
    }

    private static async Task<MqttClientConnectResultCode> PublishAsync(EdgeAgent agent, string password)
    {
        using IMqttClient client = new MqttClientFactory().CreateMqttClient();
        MqttClientConnectResult connected = await client.ConnectAsync(new MqttClientOptionsBuilder().WithTcpServer(agent.Mqtt.Address.ToString(), agent.Mqtt.Port)
            .WithClientId("c").WithCredentials("pump", password).Build());
        if (connected.ResultCode != MqttClientConnectResultCode.Success)
        {
            return connected.ResultCode;
        }
        await client.PublishStringAsync("devices/d1/t", "1", MqttQualityOfServiceLevel.AtLeastOnce);
        await client.DisconnectAsync();
        return connected.ResultCode;
    }

    private static async Task<string> PagesAsync(EdgeAgent agent)
    {
        using var http = new HttpClient();
        var all = new StringBuilder();
        foreach (string page in (string[])["/", "/status", "/metrics", "/readyz", "/dead-letters"])
        {
            all.Append(CultureInfo.InvariantCulture, $"{await http.GetStringAsync($"http://{agent.Http}{page}")}\n");
        }
        return all.ToString();
    }

    private void Write(string name, string text) => File.WriteAllText(_directory.File(name), text);

    private SettingValues Values(string uplinkPassword, params (string Name, string Text)[] settings)
    {
        (string Name, string Text)[] all =
        [
            .. settings,
            ("id", "edge-1"), ("data", _directory.File("data")), ("cloud", $"127.0.0.1:{_front.Port}"), ("mqtt", "127.0.0.1:0"), ("http", "127.0.0.1:0"),
            ("mqtts", "127.0.0.1:0"), ("tls:certificateFile", _directory.File("server.pem")), ("tls:keyFile", _directory.File("server.key")),
            ("mqtt:usersFile", _directory.File("users.json")), ("source:broker", "127.0.0.1:1"), ("source:user", "plant"),
            ("source:passwordFile", _directory.File("source")), ("uplink:sasl:mechanism", "plain"), ("uplink:sasl:allowPlaintext", "true"),
            ("uplink:sasl:username", "edge"), ("uplink:firstBackoff", "1ms"), ("uplink:maxBackoff", "20ms"), ("uplink:quietPeriod", "20ms"),
            ("buffer:allowVolatile", "true"),
        ];
        var values = new SettingValues();
        values.AddFlags(all.DistinctBy(setting => setting.Name).Select(setting => (setting.Name, setting.Name, (string?)setting.Text)));
        values.AddEnvironment(new Dictionary<string, string> { ["TRIBUTARY__UPLINK__SASL__PASSWORD"] = uplinkPassword });
        return values;
    }
}
