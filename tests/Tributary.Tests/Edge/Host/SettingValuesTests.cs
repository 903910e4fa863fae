using System.Collections;
using System.Net;
using Tributary.Contracts.Records;
using Tributary.Edge.Host;
using Tributary.Edge.Uplink.Security;
using Xunit;

namespace Tributary.Tests.Edge.Host;

public sealed class SettingValuesTests : IDisposable
{
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"tributary-settings-{Guid.NewGuid():N}.json");

    public void Dispose() => File.Delete(_file);

    [Fact]
    public void Flags_win_over_the_environment_and_the_environment_over_the_file()
    {
        SettingValues values = Values(
            """{ "id": "file", "cloud": "file:1", "data": "file" }""",
            [("TRIBUTARY__CLOUD", "environment:2"), ("TRIBUTARY__ID", "environment")],
            [("id", "flag")]);

        Assert.Equal("flag", values.Text("id"));
        Assert.Equal(("environment", 2), values.Remote("cloud", "--cloud"));
        Assert.Equal("file", values.Text("data"));
    }

    [Fact]
    public void Every_setting_has_a_default_but_id_data_and_cloud()
    {
        foreach (string name in new[] { "id", "data", "cloud" })
        {
            SettingValues values = Values(null, [], [.. Minimum.Where(setting => setting.Name != name)]);
            string message = Assert.Throws<ArgumentException>(() => EdgeOptions.From(values)).Message;
            Assert.Contains($"'{name}' is missing", message, StringComparison.Ordinal);
            Assert.Contains($"TRIBUTARY__{name.ToUpperInvariant()}", message, StringComparison.Ordinal);
        }
        EdgeOptions options = EdgeOptions.From(Values(null, [], Minimum));
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 1883), options.Listeners.Mqtt);
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 8081), options.Http);
    }

    [Fact]
    public void Settings_of_every_section_arrive_from_the_file_with_units_and_comments()
    {
        EdgeOptions options = EdgeOptions.From(Values(
            """
            {
              // what a comment may say
              "mqtt": { "listen": "0.0.0.0:1884", "maxConnections": 12, "allowPlaintext": true, "usersFile": "users.json" },
              "mqtts": "*:8885",
              "tls": { "certificateFile": "c.pem", "keyFile": "k.pem", "clientCaFile": "ca.pem", "certificateUser": "dnsName" },
              "wss": { "listen": "[::]:8884" },
              "http": { "listen": "*:8082", "allowPlaintext": true },
              "ingest": { "maxBatchBytes": "64 KiB" },
              "buffer": { "maxDiskBytes": "100GiB", "commitWindow": "5ms" },
              "uplink": { "codec": "lz4", "quietPeriod": "1min", "requestTimeout": "00:00:20", "onTopicRecreated": "follow",
                          "maxBytesPerSecond": "100KiB", "schedule": ["22:00-06:00=unlimited", "06:00-07:00=5000"], "scheduleZone": "UTC" },
              "topics": { "alarms": { "priority": 8 } },
            }
            """,
            [], Minimum));
        Assert.Null(options.Uplink.Cap.At(new DateTimeOffset(2026, 1, 1, 23, 0, 0, TimeSpan.Zero)));
        Assert.Equal(5000, options.Uplink.Cap.At(new DateTimeOffset(2026, 1, 1, 6, 0, 0, TimeSpan.Zero)));
        Assert.Equal(102_400, options.Uplink.Cap.At(new DateTimeOffset(2026, 1, 1, 7, 0, 0, TimeSpan.Zero)));
        Assert.Equal((8, 5, 9), (options.Buffer.PriorityOf("alarms"), options.Buffer.PriorityOf("telemetry"), options.Buffer.PriorityOf("edge.events")));


        Assert.Equal(new IPEndPoint(IPAddress.Any, 1884), options.Listeners.Mqtt);
        Assert.Equal(new IPEndPoint(IPAddress.Any, 8885), options.Listeners.Mqtts);
        Assert.Null(options.Listeners.Ws);
        Assert.Equal(new IPEndPoint(IPAddress.IPv6Any, 8884), options.Listeners.Wss);
        Assert.Equal("users.json", options.Listeners.UsersFile);
        Assert.Equal(("c.pem", "k.pem", "ca.pem"), (options.Listeners.Tls!.CertificateFile, options.Listeners.Tls.KeyFile, options.Listeners.Tls.ClientCaFile));
        Assert.Equal(Tributary.Edge.Listeners.CertificateUser.DnsName, options.Listeners.Tls.CertificateUser);
        Assert.Equal(Tributary.Edge.Listeners.ClientCertificates.Required, options.Listeners.Tls.ClientCertificates);
        Assert.Equal(new IPEndPoint(IPAddress.Any, 8082), options.Http);
        Assert.Equal(12, options.MqttServer.MaxConnections);
        Assert.Equal(64 << 10, options.Ingest.MaxBatchBytes);
        Assert.Equal(100L << 30, options.Buffer.MaxDiskBytes);
        Assert.Equal(TimeSpan.FromMilliseconds(5), options.Buffer.CommitWindow);
        Assert.Equal(CompressionCodec.Lz4, options.Uplink.Codec);
        Assert.Equal(TimeSpan.FromMinutes(1), options.Uplink.QuietPeriod);
        Assert.Equal(TimeSpan.FromSeconds(20), options.Uplink.RequestTimeout);
        Assert.Equal("edge-1", options.Uplink.ClientId);
        Assert.Equal(Tributary.Edge.Uplink.OnReplaced.Follow, options.Uplink.OnTopicRecreated);
    }

    [Fact]
    public void Environment_variables_name_settings_of_sections_whatever_their_case()
    {
        EdgeOptions options = EdgeOptions.From(Values(
            """{ "mqtt": "127.0.0.1:1" }""",
            [("TRIBUTARY__UPLINK__MAXBATCHBYTES", "2048"), ("TRIBUTARY__MQTT__LISTEN", "[::1]:2"), ("TRIBUTARY__BUFFER__MAXTOPICS", "")],
            Minimum));

        Assert.Equal(2048, options.Uplink.MaxBatchBytes);
        Assert.Equal(new IPEndPoint(IPAddress.IPv6Loopback, 2), options.Listeners.Mqtt);
        Assert.Equal(8, options.Buffer.MaxTopics);
    }

    [Theory]
    [InlineData("""{ "uplnk": { "codec": "zstd" }, "buffer": { "maxdisk": 1 } }""", "'buffer:maxdisk' in", "'uplnk:codec' in")]
    [InlineData("""{ "buffer": { "segmentBytes": 1 } }""", "'buffer:segmentBytes' is 1", "from 65536 to")]
    [InlineData("""{ "buffer": { "segmentBytes": "512KiB" } }""", "'ingest:maxBatchBytes' is 1048576", "'buffer:segmentBytes' is 524288")]
    [InlineData("""{ "buffer": { "segmentBytes": "big" } }""", "'buffer:segmentBytes'", "is 'big'; it must be a whole number of bytes")]
    [InlineData("""{ "uplink": { "codec": "brotli" } }""", "'uplink:codec'", "one of none, gzip, snappy, lz4, zstd")]
    [InlineData("""{ "uplink": { "codec": "4" } }""", "'uplink:codec'", "one of")]
    [InlineData("""{ "uplink": { "quietPeriod": 30 } }""", "'uplink:quietPeriod'", "a duration such as")]
    [InlineData("""{ "ingest": { "partitionsPerTopic": 1.5 } }""", "'ingest:partitionsPerTopic'", "a whole number")]
    [InlineData("""{ "mqtt": { "maxInFlight": 0 } }""", "'mqtt:maxInFlight' is 0", "from 1 to")]
    [InlineData("""{ "mqtt": "1883" }""", "'mqtt'", "must be ADDRESS:PORT")]
    [InlineData("""{ "mqtt": "example.com:1883" }""", "'mqtt'", "an address of this machine")]
    [InlineData("""{ "http": "127.0.0.1:99999" }""", "'http'", "must be ADDRESS:PORT")]
    [InlineData("""{ "mqtt": "0.0.0.0:1883" }""", "'mqtt' is 0.0.0.0:1883", "'mqtts' or 'wss'")]
    [InlineData("""{ "mqtt": { "listen": "*:1", "allowPlaintext": true } }""", "'mqtt' is 0.0.0.0:1", "mqtt:usersFile")]
    [InlineData("""{ "mqtt": { "allowAnonymous": true }, "ws": "*:1" }""", "'ws' is 0.0.0.0:1", "mqtt:allowPlaintext")]
    [InlineData("""{ "mqtts": "*:1" }""", "'mqtts'", "tls:certificateFile")]
    [InlineData("""{ "mqtts": "*:1", "tls": { "certificateFile": "c", "keyFile": "k" } }""", "'mqtts' is 0.0.0.0:1", "tls:clientCaFile")]
    [InlineData("""{ "wss": "*:1", "tls": { "certificateFile": "c", "keyFile": "k", "clientCaFile": "a", "clientCertificates": "optional" } }""", "'wss'", "mqtt:usersFile")]
    [InlineData("""{ "http": "*:8081" }""", "'http' is 0.0.0.0:8081", "http:allowPlaintext")]
    [InlineData("""{ "mqtt": { "allowedOrigins": "dashboard.example" } }""", "'mqtt:allowedOrigins'", "https://dashboard.example")]
    [InlineData("""{ "tls": { "clientCertificates": "none" } }""", "'tls:clientCertificates'", "required, optional")]
    [InlineData("""{ "buffer": { "maxTopics": [8] } }""", "'buffer:maxTopics'", "is a list")]
    [InlineData("""{ "log": { "level": "loud" } }""", "'log:level'", "one of trace, debug")]
    [InlineData("""{ "buffer": { "maxTopics": 8, "MaxTopics": 9 } }""", "'buffer:MaxTopics'", "twice")]
    [InlineData("""{ "uplink": { "tls": { "caFile": "ca.pem" } } }""", "'uplink:tls:enabled'", "must be true")]
    [InlineData("""{ "uplink": { "tls": { "enabled": true, "keyFile": "k.pem" } } }""", "'uplink:tls:certificateFile'", "uplink:tls:keyFile")]
    [InlineData("""{ "uplink": { "tls": { "enabled": true, "serverName": "a:1" } } }""", "'uplink:tls:serverName'", "a host name")]
    [InlineData("""{ "uplink": { "sasl": { "username": "u" } } }""", "'uplink:sasl:mechanism'", "is missing")]
    [InlineData("""{ "uplink": { "sasl": { "mechanism": "oauthbearer" } } }""", "'uplink:sasl:mechanism'", "plain, scramSha256")]
    [InlineData("""{ "uplink": { "sasl": { "mechanism": "scram-sha-256", "passwordFile": "p" } } }""", "'uplink:sasl:username'", "1 to 1024 bytes")]
    [InlineData("""{ "uplink": { "sasl": { "mechanism": "scram-sha-256", "username": "u" } } }""", "'uplink:sasl:passwordFile'", "TRIBUTARY__UPLINK__SASL__PASSWORD")]
    [InlineData("""{ "uplink": { "sasl": { "mechanism": "plain", "username": "u", "passwordFile": "p" } } }""", "'uplink:sasl:mechanism'", "uplink:tls:enabled")]
    [InlineData("""{ "uplink": { "sasl": { "mechanism": "scram-sha-512", "username": "u", "password": "p" } } }""", "'uplink:sasl:password'", "the environment variable TRIBUTARY__UPLINK__SASL__PASSWORD")]
    [InlineData("""[1]""", "must hold a JSON object", "")]
    [InlineData("{\n\"id\": oops }", "line 2 is not JSON", "")]
    public void What_is_wrong_in_the_file_is_named(string json, string first, string second)
    {
        string message = Assert.Throws<ArgumentException>(() =>
        {
            SettingValues values = Values(json, [], Minimum);
            EdgeOptions.From(values);
            values.CheckUnknown();
        }).Message;

        Assert.Contains(first, message, StringComparison.Ordinal);
        Assert.Contains(second, message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void Security_of_the_uplink_arrives_and_shows_no_password()
    {
        EdgeOptions options = EdgeOptions.From(Values(
            """
            { "uplink": { "tls": { "enabled": true, "caFile": "ca.pem", "certificateFile": "c.pem", "keyFile": "k.pem", "serverName": "kafka.example" },
                          "sasl": { "mechanism": "scram-sha-512", "username": "edge-1" } } }
            """,
            [("TRIBUTARY__UPLINK__SASL__PASSWORD", "pencil")], Minimum));

        Assert.Equal(
            new UplinkTlsOptions { CaFile = "ca.pem", CertificateFile = "c.pem", KeyFile = "k.pem", ServerName = "kafka.example" }, options.Uplink.Tls);
        Assert.Equal((SaslMechanism.ScramSha512, "edge-1"), (options.Uplink.Sasl!.Mechanism, options.Uplink.Sasl.Username));
        Assert.Equal("pencil"u8.ToArray(), options.Uplink.Sasl.ReadPassword());
        Assert.DoesNotContain("pencil", options.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cloud", "cloud.example")]
    [InlineData("cloud", "cloud.example:0")]
    [InlineData("cloud", ":9092")]
    [InlineData("cloud", "fe80::1:9092")]
    [InlineData("id", "two words")]
    [InlineData("id", "")]
    public void A_flag_that_cannot_be_is_named(string name, string text)
    {
        SettingValues values = Values(null, [], [(name, text), .. Minimum]);
        Assert.Contains($"'{name}'", Assert.Throws<ArgumentException>(() => EdgeOptions.From(values)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_IPv6_address_of_the_cloud_stands_in_brackets() =>
        Assert.Equal(("fe80::1", 9092), Values(null, [], [("cloud", "[fe80::1]:9092")]).Remote("cloud", "--cloud"));

    [Fact]
    public void An_unknown_environment_variable_is_told_and_no_error()
    {
        SettingValues values = Values(null, [("TRIBUTARY__KAFKA", "127.0.0.1:9092"), ("PATH", "/bin")], Minimum);
        EdgeOptions.From(values);

        Assert.Equal(["the environment variable TRIBUTARY__KAFKA"], values.CheckUnknown());
    }

    [Theory]
    [InlineData("uplink:schedule", "06:00-22:00=20O000", "'06:00-22:00=20O000' as window 1: from character 13 on")]
    [InlineData("uplink:scheduleZone", "Nowhere/At all", "no time zone")]
    [InlineData("uplink:maxBytesPerSecond", "12", "from 1000 to")]
    [InlineData("topics:alarms:priority", "10", "from 0 to 9")]
    [InlineData("topics:alarms:priority", "-1", "from 0 to 9")]
    public void What_the_link_can_not_be_shared_by_is_named(string name, string text, string reason)
    {
        string message = Assert.Throws<ArgumentException>(() => EdgeOptions.From(Values(null, [], [.. Minimum, (name, text)]))).Message;
        Assert.Contains($"'{name}'", message, StringComparison.Ordinal);
        Assert.Contains(reason, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_not_there_is_named()
    {
        string message = Assert.Throws<ArgumentException>(() => new SettingValues().AddFile(_file)).Message;
        Assert.Contains(_file, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_setting_is_documented_and_nothing_else()
    {
        SettingValues values = Values(null, [], [.. Minimum, ("topics:NAME:policy", "drop-oldest")]);
        values.Text("config");
        EdgeOptions.From(values);
        string[] documented =
        [
            .. File.ReadLines(Path.Combine(Repository(), "edge", "Tributary.Edge", "SETTINGS.md"))
                .Where(line => line.StartsWith("| `", StringComparison.Ordinal))
                .SelectMany(line => line.Split('|')[1].Split('`').Where((_, at) => at % 2 == 1))
                .Where(name => !name.StartsWith("--", StringComparison.Ordinal) && !name.EndsWith(":listen", StringComparison.Ordinal)),
        ];

        Assert.Equal(values.Asked.Order(StringComparer.Ordinal), documented.Order(StringComparer.Ordinal));
    }

    internal static string Repository()
    {
        string directory = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(directory, "Iot.sln")))
        {
            directory = Path.GetDirectoryName(directory) ?? throw new DirectoryNotFoundException("the tests run outside of the repository");
        }
        return directory;
    }

    private static (string Name, string Text)[] Minimum => [("id", "edge-1"), ("data", "data"), ("cloud", "localhost:9092")];

    private SettingValues Values(string? json, (string Name, string Text)[] environment, (string Name, string Text)[] flags)
    {
        var values = new SettingValues();
        values.AddFlags(flags.Select(flag => (flag.Name, $"--{flag.Name}", (string?)flag.Text)));
        var variables = new Hashtable();
        foreach ((string name, string text) in environment)
        {
            variables.Add(name, text);
        }
        values.AddEnvironment(variables);
        if (json is not null)
        {
            File.WriteAllText(_file, json);
            values.AddFile(_file);
        }
        return values;
    }
}
