using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Edge.Doctor;
using Tributary.Edge.Host;
using Tributary.Tests.Edge.Uplink;
using Xunit;

namespace Tributary.Tests.Edge.Doctor;

/// <summary>What <c>doctor</c> finds, with an agent of this process that runs or does not.</summary>
public sealed class ExaminationTests : IAsyncLifetime
{
    private readonly string _directory = Path.Combine(Path.GetTempPath(), $"tributary-doctor-{Guid.NewGuid():N}");
    private readonly FakeCluster _cluster = new(brokers: 2, partitions: 4);

    private string Data => Path.Combine(_directory, "data");

    public ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(_directory);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await _cluster.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task An_agent_that_runs_is_asked_and_its_way_to_the_cloud_is_gone_step_by_step()
    {
        await using EdgeAgent agent = await EdgeAgent.StartAsync(EdgeOptions.From(Values()), TimeProvider.System, NullLoggerFactory.Instance);
        await Waiting.Until(async () => (await AgentClient.StatusAsync(agent.Http)).Status.Link.Connected);
        (DoctorReport report, bool isGood) = await ExamineAsync(("http", agent.Http.ToString()));

        Assert.True(isGood);
        Assert.DoesNotContain(report.Findings, finding => finding.Verdict == Verdict.Problem);
        Find(report, "agent", Verdict.Ok, "'edge-1' runs");
        Find(report, "agent: link", Verdict.Ok, "nothing waits for the cloud");
        Find(report, "data directory", Verdict.Ok, "belongs to the agent 'edge-1'");
        Find(report, "data directory", Verdict.Ok, $"process {Environment.ProcessId} has it open");
        Find(report, "uplink: network", Verdict.Ok, $"127.0.0.1:{_cluster.Brokers[0].Port} takes connections");
        Find(report, "uplink", Verdict.Ok, "speaks Kafka's protocol, without TLS");
        Find(report, "uplink: metadata", Verdict.Ok, "cluster cluster-a, 2 nodes");
        Find(report, "uplink: topics", Verdict.Ok, "telemetry: 4 partitions");
        Find(report, "uplink: nodes", Verdict.Ok, $"127.0.0.1:{_cluster.Brokers[1].Port} can be reached");
    }

    [Fact]
    public async Task Without_an_agent_the_rest_is_looked_at_and_nothing_is_changed()
    {
        await using (await EdgeAgent.StartAsync(EdgeOptions.From(Values()), TimeProvider.System, NullLoggerFactory.Instance))
        {
        }
        string[] before = Content();
        (DoctorReport report, bool isGood) = await ExamineAsync(("http", $"127.0.0.1:{FreePort()}"));

        Assert.True(isGood);
        Find(report, "agent", Verdict.Warning, "no agent listens at 127.0.0.1:");
        Find(report, "data directory", Verdict.Ok, "belongs to the agent 'edge-1'");
        Assert.DoesNotContain(report.Findings, finding => finding.Found.Contains("has it open", StringComparison.Ordinal));
        Assert.Equal(before, Content());

        string[] Content() =>
        [
            .. new DirectoryInfo(Data).EnumerateFileSystemInfos("*", SearchOption.AllDirectories).OrderBy(file => file.FullName, StringComparer.Ordinal)
                .Select(file => $"{file.FullName} {(file as FileInfo)?.Length} {file.LastWriteTimeUtc:O}"),
        ];
    }

    [Fact]
    public async Task A_directory_that_is_not_there_is_not_made()
    {
        (DoctorReport report, _) = await ExamineAsync(("http", $"127.0.0.1:{FreePort()}"));

        Find(report, "data directory", Verdict.Ok, "does not exist yet");
        Assert.False(Directory.Exists(Data));
    }

    [Fact]
    public async Task Settings_that_are_wrong_are_named_and_the_directory_is_looked_at_all_the_same()
    {
        (DoctorReport report, bool isGood) = await ExamineAsync(("buffer:segmentBytes", "1"), ("http", $"127.0.0.1:{FreePort()}"));

        Assert.False(isGood);
        Find(report, "settings", Verdict.Problem, "'buffer:segmentBytes' is 1");
        Find(report, "data directory", Verdict.Ok, "does not exist yet");
        Find(report, "uplink", Verdict.Skipped, "the settings are not right");
    }

    [Fact]
    public async Task A_directory_of_another_agent_is_a_problem()
    {
        Directory.CreateDirectory(Data);
        await File.WriteAllTextAsync(Path.Combine(Data, AgentIdentity.FileName), "edge-2\n", TestContext.Current.CancellationToken);
        (DoctorReport report, _) = await ExamineAsync(("http", $"127.0.0.1:{FreePort()}"));

        Finding finding = Find(report, "data directory", Verdict.Problem, "belongs to the agent 'edge-2', not to 'edge-1'");
        Assert.Contains("--id edge-2", finding.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Damaged_bytes_in_quarantine_are_told()
    {
        string quarantine = Path.Combine(Data, "telemetry-0", "quarantine");
        Directory.CreateDirectory(quarantine);
        await File.WriteAllTextAsync(Path.Combine(quarantine, "3-5"), "x", TestContext.Current.CancellationToken);
        (DoctorReport report, _) = await ExamineAsync(("http", $"127.0.0.1:{FreePort()}"));

        Find(report, "data directory", Verdict.Warning, "1 file with damaged bytes");
    }

    [Fact]
    public async Task A_disk_that_is_too_small_is_told_with_the_setting()
    {
        (DoctorReport full, _) = await ExamineAsync(("buffer:minFreeBytes", "1000000GiB"), ("http", $"127.0.0.1:{FreePort()}"));
        Find(full, "disk space", Verdict.Problem, "must stay free (buffer:minFreeBytes)");
        (DoctorReport small, _) = await ExamineAsync(("buffer:maxDiskBytes", "1000000GiB"), ("http", $"127.0.0.1:{FreePort()}"));
        Find(small, "disk space", Verdict.Warning, "the disk is full before the quota is");
    }

    [Fact]
    public async Task A_cloud_where_nobody_listens_and_a_name_that_nobody_knows_are_told_apart()
    {
        int port = FreePort();
        (DoctorReport refused, _) = await ExamineAsync(("cloud", $"127.0.0.1:{port}"), ("http", $"127.0.0.1:{FreePort()}"));
        Assert.Contains("nobody listens there", Find(refused, "uplink: network", Verdict.Problem, $"can't connect to 127.0.0.1:{port}").Remedy, StringComparison.Ordinal);
        Find(refused, "uplink", Verdict.Skipped, "can't be reached");

        (DoctorReport unknown, _) = await ExamineAsync(("cloud", "cloud.invalid:9092"), ("http", $"127.0.0.1:{FreePort()}"));
        Find(unknown, "uplink: network", Verdict.Problem, "the name cloud.invalid can't be resolved");
    }

    [Fact]
    public async Task Something_else_than_Kafka_and_nodes_at_wrong_addresses_are_explained()
    {
        int wrong = FreePort();
        _cluster.Advertised = node => node == 1 ? ("127.0.0.1", wrong) : ("127.0.0.1", _cluster.Brokers[node].Port);
        (DoctorReport report, _) = await ExamineAsync(("http", $"127.0.0.1:{FreePort()}"));
        Find(report, "uplink: nodes", Verdict.Problem, "advertised.listeners");

        using var web = new TcpListener(IPAddress.Loopback, 0);
        web.Start();
        _ = AnswerAsync(web);
        (DoctorReport other, _) = await ExamineAsync(("cloud", web.LocalEndpoint.ToString()!), ("http", $"127.0.0.1:{FreePort()}"));
        Find(other, "uplink", Verdict.Problem, "a web server answers there");

        static async Task AnswerAsync(TcpListener listener)
        {
            // The first connection is hung up on at once; the second asks.
            while (true)
            {
                using TcpClient client = await listener.AcceptTcpClientAsync();
                await client.GetStream().WriteAsync("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray());
            }
        }
    }

    [Fact]
    public async Task A_topic_that_is_not_there_is_told()
    {
        _cluster.HasTopic = false;
        (DoctorReport report, _) = await ExamineAsync(("http", $"127.0.0.1:{FreePort()}"));
        Find(report, "uplink: topics", Verdict.Warning, "telemetry does not exist in the cloud");
    }

    [Fact]
    public async Task An_address_that_another_program_has_is_told_with_its_setting()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        (DoctorReport report, _) = await ExamineAsync(("mqtt", taken.LocalEndpoint.ToString()!), ("http", $"127.0.0.1:{FreePort()}"));
        Find(report, "listeners", Verdict.Problem, $"{taken.LocalEndpoint} (setting 'mqtt') is taken");
        Find(report, "listeners", Verdict.Ok, "(setting 'http') is free");
    }

    [Fact]
    public async Task Files_are_looked_at_and_so_is_who_else_reads_secrets()
    {
        string users = Path.Combine(_directory, "users.json"), password = Path.Combine(_directory, "password");
        await File.WriteAllTextAsync(users, """{ "users": { "a": { "passwort": "x" } } }""", TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(password, "tops3cret\n", TestContext.Current.CancellationToken);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(password, UnixFileMode.UserRead | UnixFileMode.OtherRead);
        }
        (DoctorReport report, _) = await ExamineAsync(
            ("http", $"127.0.0.1:{FreePort()}"), ("mqtt:usersFile", users), ("uplink:sasl:mechanism", "scram-sha-256"), ("uplink:sasl:username", "u"),
            ("uplink:sasl:passwordFile", password));

        Find(report, "users file", Verdict.Problem, $"{users}, line 1");
        Find(report, "uplink: files", Verdict.Warning, $"{password} holds secrets");
        Assert.DoesNotContain("tops3cret", DoctorCommand.ToText(report) + DoctorCommand.ToJson(report), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("1970-01-01T00:10:00Z", "which can't be")]
    [InlineData("2026-01-02T00:00:00Z", "files of the data directory are of")]
    public async Task A_clock_that_is_behind_is_told(string now, string found)
    {
        Directory.CreateDirectory(Data);
        string file = Path.Combine(Data, "x");
        await File.WriteAllTextAsync(file, "", TestContext.Current.CancellationToken);
        File.SetLastWriteTimeUtc(file, new DateTime(2026, 1, 2, 0, 2, 0, DateTimeKind.Utc));
        var findings = new Findings();
        ClockCheck.Run(findings, Data, new FakeTimeProvider(DateTimeOffset.Parse(now, System.Globalization.CultureInfo.InvariantCulture)));

        Finding finding = Assert.Single(findings.All);
        Assert.Equal(Verdict.Problem, finding.Verdict);
        Assert.Contains(found, finding.Found, StringComparison.Ordinal);
    }

    [Fact]
    public void Who_holds_a_lock_is_read_from_the_kernels_list()
    {
        string[] lines =
        [
            "1: FLOCK  ADVISORY  WRITE 11 fe:00:1441802 0 EOF",
            "2: FLOCK  ADVISORY  WRITE 12 fe:00:1441803 0 EOF",
            "2: -> FLOCK  ADVISORY  WRITE 13 fe:00:1441804 0 EOF",
            "3: POSIX  ADVISORY  READ 14 08:01:1441803 128 128",
        ];
        Assert.Equal(12, SystemCalls.FindHolder(lines, "254:0", 1441803));
        Assert.Equal(14, SystemCalls.FindHolder(lines, "8:1", 1441803));
        Assert.Null(SystemCalls.FindHolder(lines, "254:0", 1441804));
    }

    private static Finding Find(DoctorReport report, string check, Verdict verdict, string found)
    {
        Finding? finding = report.Findings.FirstOrDefault(
            finding => finding.Check == check && finding.Verdict == verdict && finding.Found.Contains(found, StringComparison.Ordinal));
        return finding ?? throw new Xunit.Sdk.XunitException($"no {verdict} of {check} with \"{found}\":\n{DoctorCommand.ToText(report)}");
    }

    /// <summary>A port that was free a moment ago.</summary>
    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private SettingValues Values(params (string Name, string Text)[] settings)
    {
        (string Name, string Text)[] all =
        [
            .. settings,
            ("id", "edge-1"), ("data", Data), ("cloud", $"127.0.0.1:{_cluster.Brokers[0].Port}"), ("mqtt", "127.0.0.1:0"), ("http", "127.0.0.1:0"),
            ("uplink:firstBackoff", "1ms"), ("uplink:maxBackoff", "20ms"), ("uplink:quietPeriod", "20ms"), ("buffer:allowVolatile", "true"),
            ("buffer:minFreeBytes", "1MiB"), ("buffer:maxDiskBytes", "700MiB"),
        ];
        var values = new SettingValues();
        values.AddFlags(all.DistinctBy(setting => setting.Name).Select(setting => (setting.Name, setting.Name, (string?)setting.Text)));
        return values;
    }

    private async Task<(DoctorReport Report, bool AreSettingsGood)> ExamineAsync(params (string Name, string Text)[] settings)
    {
        var examination = new Examination(Values(settings), TimeProvider.System);
        return (await examination.RunAsync(TestContext.Current.CancellationToken), examination.AreSettingsGood);
    }
}
