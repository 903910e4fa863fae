using System.Collections.Concurrent;
using Tributary.FirmwareSim;
using Tributary.FirmwareSim.Firmware;
using Xunit;

namespace Tributary.Tests.FirmwareSim;

/// <summary>A whole run of the simulator in simulated time, against a fake broker.</summary>
public sealed class SimulatorTests
{
    private static readonly SimulatorOptions Options = new()
    {
        Host = "broker",
        Port = 1883,
        Devices = 40,
        Rate = 2,
        Seconds = 30,
        ConnectsPerSecond = 10,
        MaxConnecting = 4,
    };

    [Fact]
    public async Task A_run_publishes_what_its_devices_read_and_says_so()
    {
        var broker = new FakeBroker();
        Totals totals = await RunAsync(Options, broker);
        Assert.Equal(40 * 30 * 2, totals.Readings + totals.Silent);
        Assert.Equal(totals.Readings, totals.Acknowledged);
        Assert.Equal(totals.Acknowledged, broker.Published.Count);
        Assert.Equal((40, 0L, 0L, 0L), ((int)totals.Connects, totals.Pending, totals.Dropped, totals.Lost));
        Assert.All(broker.Published, message => Assert.StartsWith("devices/", message.Topic));
        Assert.Equal(40, broker.Published.Select(message => message.Topic.Split('/')[1]).Distinct().Count());
    }

    [Fact]
    public async Task Two_runs_with_the_same_seed_publish_the_same()
    {
        var first = new FakeBroker();
        var second = new FakeBroker();
        var third = new FakeBroker();
        await RunAsync(Options, first);
        await RunAsync(Options, second);
        await RunAsync(Options with { Seed = 2 }, third);
        Assert.Equal(first.Story(), second.Story());
        Assert.NotEqual(first.Story(), third.Story());
    }

    [Fact]
    public async Task Connections_are_opened_gradually_and_few_at_once()
    {
        var broker = new FakeBroker { HoldConnects = true };
        var time = new SteppedTime();
        using var stop = new CancellationTokenSource();
        Task<Totals> run = Task.Run(() => Start(Options, broker, time).RunAsync(stop.Token));
        await time.RunUntilAsync(() => time.GetUtcNow().Second == 9);
        Assert.Equal((4, 4), (broker.Connecting, broker.MostConnecting));
        broker.ReleaseConnects();
        await time.RunUntilAsync(() => broker.Connected == 40);
        Assert.Equal(4, broker.MostConnecting);
        stop.Cancel();
        await FinishAsync(run, time);
    }

    [Fact]
    public async Task After_a_broken_connection_all_that_was_not_acknowledged_comes_again()
    {
        var broker = new FakeBroker { HoldAnswers = true };
        var time = new SteppedTime();
        using var stop = new CancellationTokenSource();
        Task<Totals> run = Task.Run(() => Start(Options with { Devices = 1, Seconds = null }, broker, time).RunAsync(stop.Token));
        await time.RunUntilAsync(() => broker.Published.Count == 3);
        broker.HoldAnswers = false;
        broker.Break();
        await time.RunUntilAsync(() => broker.Connects == 2 && broker.Published.Count >= 8);
        stop.Cancel();
        Totals totals = await FinishAsync(run, time);
        Assert.Equal((3L, 1L, 0L), (totals.Retransmitted, totals.Lost, totals.Pending));
        Assert.Equal(totals.Readings, totals.Acknowledged);
        Assert.Equal([1, 2, 3, 1, 2, 3], broker.Published.Take(6).Select(message => message.Id));
    }

    [Fact]
    public async Task A_run_that_is_stopped_waits_for_answers_only_for_a_while_and_reports_what_is_pending()
    {
        var broker = new FakeBroker { HoldAnswers = true };
        var time = new SteppedTime();
        using var stop = new CancellationTokenSource();
        Task<Totals> run = Task.Run(() => Start(Options with { Devices = 2, Seconds = null }, broker, time).RunAsync(stop.Token));
        await time.RunUntilAsync(() => broker.Published.Count == 6);
        stop.Cancel();
        Totals totals = await FinishAsync(run, time);
        Assert.Equal(totals.Readings, totals.Pending);
        Assert.True(totals.Pending >= 6);
        Assert.Equal(0, totals.Acknowledged);
    }

    [Theory]
    [InlineData("127.0.0.1:1883", "127.0.0.1", 1883)]
    [InlineData("edge.local:8883", "edge.local", 8883)]
    [InlineData("[::1]:1883", "::1", 1883)]
    public void An_endpoint_is_host_and_port(string text, string host, int port)
    {
        Assert.True(SimulatorOptions.TryParseEndpoint(text, out string parsedHost, out int parsedPort));
        Assert.Equal((host, port), (parsedHost, parsedPort));
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData(":1883")]
    [InlineData("host:0")]
    [InlineData("host:65536")]
    [InlineData("host:+1")]
    [InlineData("::1:1883")]
    public void What_is_no_endpoint_is_not_taken(string text) => Assert.False(SimulatorOptions.TryParseEndpoint(text, out _, out _));

    [Theory]
    [InlineData("--devices 1 --rate 1", "--mqtt")]
    [InlineData("--mqtt h:1 --devices x --rate 1", "--devices")]
    [InlineData("--mqtt h --devices 1 --rate 1", "--mqtt")]
    [InlineData("--mqtt h:1 --devices 1 --rate 1 --colour red", "--colour")]
    public async Task Wrong_usage_names_the_flag_and_exits_with_2(string line, string flag)
    {
        var error = new StringWriter();
        int code = await new CommandLine(_ => throw new InvalidOperationException("must not run")).InvokeAsync(line.Split(' '), error);
        Assert.Equal(2, code);
        Assert.Contains(flag, error.ToString());
    }

    [Theory]
    [InlineData(0, 1, 1, "--devices")]
    [InlineData(1, 0, 1, "--rate")]
    [InlineData(1, double.NaN, 1, "--rate")]
    [InlineData(1, 1, 2, "--qos")]
    public void A_setting_out_of_range_is_named(int devices, double rate, int qos, string flag) =>
        Assert.Contains(flag, (Options with { Devices = devices, Rate = rate, Qos = qos }).FindFault());

    private static Simulator Start(SimulatorOptions options, FakeBroker broker, TimeProvider time) =>
        new(options, time, (_, onLost) => broker.Open(onLost), new Silence());

    private static async Task<Totals> RunAsync(SimulatorOptions options, FakeBroker broker)
    {
        var time = new SteppedTime();
        return await FinishAsync(Task.Run(() => Start(options, broker, time).RunAsync(CancellationToken.None)), time);
    }

    private static async Task<Totals> FinishAsync(Task<Totals> run, SteppedTime time)
    {
        await time.RunUntilAsync(() => run.IsCompleted);
        return await run;
    }

    private sealed class Silence : ISimulatorReport
    {
        public void OnConnected()
        {
        }

        public void OnLost(string device, bool wasConnected, string? why)
        {
        }
    }

    private sealed class FakeBroker
    {
        private readonly Lock _lock = new();
        private readonly List<FakeLink> _links = [];
        private readonly TaskCompletionSource _release = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _connecting;
        private int _connects;
        private int _most;

        public ConcurrentQueue<OutboundMessage> Published { get; } = new();

        public bool HoldConnects { get; init; }

        public bool HoldAnswers { get; set; }

        public int Connecting => Volatile.Read(ref _connecting);

        public int Connects => Volatile.Read(ref _connects);

        public int MostConnecting => Volatile.Read(ref _most);

        public int Connected
        {
            get
            {
                lock (_lock)
                {
                    return _links.Count;
                }
            }
        }

        public IDeviceLink Open(Action onLost) => new FakeLink(this, onLost);

        public void ReleaseConnects() => _release.SetResult();

        /// <summary>All that came, device by device: they are independent of each other.</summary>
        public string Story() => string.Join('\n', Published
            .GroupBy(message => message.Topic.Split('/')[1])
            .OrderBy(device => device.Key, StringComparer.Ordinal)
            .SelectMany(device => device.Select(message => $"{message.Topic} {message.Id} {Convert.ToHexString(message.Payload)}")));

        public void Break()
        {
            FakeLink[] links;
            lock (_lock)
            {
                links = [.. _links];
                _links.Clear();
            }
            foreach (FakeLink link in links)
            {
                link.Break();
            }
        }

        private sealed class FakeLink(FakeBroker broker, Action onLost) : IDeviceLink
        {
            private readonly TaskCompletionSource<bool> _broken = new(TaskCreationOptions.RunContinuationsAsynchronously);

            public async Task ConnectAsync(CancellationToken cancel)
            {
                int now = Interlocked.Increment(ref broker._connecting);
                broker._most = Math.Max(broker._most, now);
                if (broker.HoldConnects)
                {
                    await broker._release.Task;
                }
                Interlocked.Decrement(ref broker._connecting);
                Interlocked.Increment(ref broker._connects);
                lock (broker._lock)
                {
                    broker._links.Add(this);
                }
            }

            public Task<bool> PublishAsync(OutboundMessage message)
            {
                broker.Published.Enqueue(message);
                return broker.HoldAnswers ? _broken.Task : Task.FromResult(true);
            }

            public Task CloseAsync() => Task.CompletedTask;

            public void Break()
            {
                _broken.SetException(new IOException("broken"));
                onLost();
            }
        }
    }
}
