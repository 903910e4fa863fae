using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Cloud;
using Tributary.Tests.Cloud.Support;
using Xunit;

namespace Tributary.Tests.Cloud;

/// <summary>The whole program, in this process.</summary>
public sealed class CloudHostTests : IDisposable
{
    private static readonly HostPort AnyPort = new("127.0.0.1", 0);
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Health_and_metrics_are_served_and_a_client_that_stays_does_not_hold_up_the_end()
    {
        CloudHost host = await CloudHost.StartAsync(Options(), NullLoggerFactory.Instance);
        using var client = new HttpClient { BaseAddress = new Uri($"http://{host.Http}") };
        using var kafka = new TcpClient();
        await kafka.ConnectAsync(host.Kafka.Host, host.Kafka.Port);

        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/livez")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/readyz")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/healthz")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await client.GetAsync("/nothing")).StatusCode);
        string metrics = await client.GetStringAsync("/metrics");
        await host.DisposeAsync().AsTask().WaitAsync(Deadline);

        Assert.Contains("tributary_cloud_topics", metrics, StringComparison.Ordinal);
        Assert.Contains("tributary_broker_connections", metrics, StringComparison.Ordinal);
        Assert.Equal(0, await kafka.GetStream().ReadAsync(new byte[1]).AsTask().WaitAsync(Deadline));
    }

    [Fact]
    public async Task Data_that_is_in_use_is_refused_with_a_sentence_and_free_again_after_the_end()
    {
        CloudHost first = await CloudHost.StartAsync(Options(), NullLoggerFactory.Instance);
        StartupException refusal = await Assert.ThrowsAsync<StartupException>(
            () => CloudHost.StartAsync(Options(), NullLoggerFactory.Instance));
        await first.DisposeAsync();

        await using CloudHost second = await CloudHost.StartAsync(Options(), NullLoggerFactory.Instance);

        Assert.Contains("in use", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(_directory.Path, refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("kafka")]
    [InlineData("http")]
    [InlineData("silo")]
    public async Task A_port_that_is_taken_is_refused_with_a_sentence_and_nothing_stays_locked(string setting)
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var address = new HostPort("127.0.0.1", ((IPEndPoint)taken.LocalEndpoint).Port);
        CloudOptions options = setting switch
        {
            "kafka" => Options() with { Kafka = address },
            "http" => Options() with { Http = address },
            _ => Options() with { Silo = address },
        };

        StartupException refusal = await Assert.ThrowsAsync<StartupException>(
            () => CloudHost.StartAsync(options, NullLoggerFactory.Instance));

        Assert.Equal($"cannot listen on {address} ({setting}): the port is taken by another program", refusal.Message);
        await using CloudHost host = await CloudHost.StartAsync(Options(), NullLoggerFactory.Instance);
    }

    [Theory]
    [InlineData("203.0.113.1", "the address isn't one of this machine")]
    [InlineData("no.such.host.invalid", "no.such.host.invalid")]
    public async Task An_address_that_is_not_here_is_refused_with_a_sentence(string host, string expected)
    {
        CloudOptions options = Options() with { Kafka = new HostPort(host, 0) };

        StartupException refusal = await Assert.ThrowsAsync<StartupException>(
            () => CloudHost.StartAsync(options, NullLoggerFactory.Instance));

        Assert.Contains(expected, refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("::")]
    public void A_silo_on_all_addresses_is_refused_since_others_are_told_one(string host) => Assert.Equal(
        "the setting 'silo' must name one address of this machine: it is the one that other silos are told",
        Assert.Throws<ArgumentException>(() => (Options() with { Silo = new HostPort(host, 11_111) }).Validate()).Message);

    private CloudOptions Options() => new() { DataDirectory = _directory.File("data"), Kafka = AnyPort, Http = AnyPort };
}
