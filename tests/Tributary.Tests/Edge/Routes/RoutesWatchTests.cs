using Microsoft.Extensions.Time.Testing;
using Tributary.Edge.Ingest;
using Tributary.Edge.Routes;
using Tributary.Tests.Cloud.Support;
using Tributary.Tests.Edge.Ingest;
using Tributary.Tests.Edge.Support;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Edge.Routes;

public sealed class RoutesWatchTests : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);
    private readonly TemporaryDirectory _directory = new();
    private readonly RecordingLogger _logger = new();
    private readonly FakeTimeProvider _time = new();
    private readonly IngestBench _bench;
    private readonly RecordingListener _listener = new();
    private int _written;

    public RoutesWatchTests()
    {
        Write("first");
        _bench = IngestBench.Open(routes: RoutesFile.Read(Path));
    }

    private string Path => _directory.File("routes.json");

    public async ValueTask DisposeAsync()
    {
        await _bench.DisposeAsync();
        _directory.Dispose();
    }

    [Fact]
    public void A_changed_file_is_in_force_without_a_restart()
    {
        using RoutesWatch watch = Watch();
        Assert.Equal(new RoutesFileStatus(Path, 0, 0, null), watch.Status);
        Accept("1");
        Write("second");
        _time.Advance(Interval);
        Accept("2");
        Assert.Equal(new RoutesFileStatus(Path, 1, 0, null), watch.Status);
        Assert.Equal(["1"], _bench.Stored("first").Select(record => record.Value));
        Assert.Equal(["2"], _bench.Stored("second").Select(record => record.Value));
    }

    [Theory]
    [InlineData("{ \"routes\": [\n{ \"match\": \"a\" } ] }", "line 2: a route needs 'topic'")]
    [InlineData("{ \"routes\": [", "is not JSON")]
    [InlineData(
        "{ \"routes\": [ { \"match\": \"a\", \"topic\": \"t1\" }, { \"match\": \"b\", \"topic\": \"t2\" }, { \"match\": \"c\", \"topic\": \"t3\" }, { \"match\": \"d\", \"topic\": \"t4\" } ] }",
        "'buffer:maxTopics' is 4")]
    [InlineData(null, "can't be read")]
    public void A_bad_file_is_refused_whole_and_the_former_one_stays_in_force_until_it_is_mended(string? bad, string reason)
    {
        using RoutesWatch watch = Watch();
        if (bad is null)
        {
            File.Delete(Path);
        }
        else
        {
            File.WriteAllText(Path, bad);
        }
        _time.Advance(Interval);
        Accept("1");
        Assert.Equal((0, 1), (watch.Status.Reloads, watch.Status.Refused));
        Assert.Contains(reason, watch.Status.LastError, StringComparison.Ordinal);
        Assert.Contains(_logger.Lines, line => line.Text.Contains(reason, StringComparison.Ordinal));
        Assert.Equal(["1"], _bench.Stored("first").Select(record => record.Value));

        Write("first");
        _time.Advance(Interval);
        Assert.Equal((1, 1, null), (watch.Status.Reloads, watch.Status.Refused, watch.Status.LastError));
    }

    [Fact]
    public void A_change_between_the_first_look_and_the_watch_is_seen()
    {
        Write("second");
        using RoutesWatch watch = Watch();
        Accept("1");
        Assert.Equal(["1"], _bench.Stored("second").Select(record => record.Value));
    }

    [Fact]
    public void Topics_left_from_before_do_not_keep_an_agent_from_starting_and_what_is_beyond_the_limit_is_unrouted()
    {
        foreach (string left in new[] { "left1", "left2", "left3" })
        {
            _bench.Buffer.OpenPartition(left, 0);
        }
        using RoutesWatch watch = Watch();
        Assert.Contains("it would be 5: first, left1, left2, left3, unrouted", watch.Status.LastError, StringComparison.Ordinal);
        Assert.Equal((0, 0), (watch.Status.Reloads, watch.Status.Refused));
        Assert.Contains(_logger.Lines, line => line.Text.Contains("is in force, and messages", StringComparison.Ordinal));
        Accept("1");
        Assert.Equal(["1"], _bench.Stored("unrouted").Select(record => record.Value));
        Assert.Equal(1, _bench.Ingestor.RouteCounts[0].Unrouted);
    }

    [Fact]
    public async Task Under_traffic_nothing_is_lost_or_doubled_and_order_is_kept()
    {
        const int Clients = 3, Changes = 20, AtLeast = 500;
        int[] sent = new int[Clients];
        using RoutesWatch watch = Watch();
        Task changing = Task.Run(() =>
        {
            for (int i = 0; i < Changes; i++)
            {
                int before = Volatile.Read(ref sent[0]);
                Blocking.Until(() => Volatile.Read(ref sent[0]) > before, "there is traffic between two changes");
                Write(i % 2 == 0 ? "second" : "first");
                _time.Advance(Interval);
            }
        });
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(number => Task.Run(() =>
        {
            IngestClient client = _bench.Ingestor.Connect($"c{number}");
            var listener = new RecordingListener();
            while (!changing.IsCompleted || sent[number] < AtLeast)
            {
                IngestTicket ticket = _bench.Accept(client, $"a/{number}", $"{sent[number]:D7}", listener);
                Volatile.Write(ref sent[number], sent[number] + 1);
                if (sent[number] % 100 == 0)
                {
                    listener.WaitForCommit(ticket);
                }
            }
        })));
        await changing;
        _listener.WaitForCommit(_bench.Accept(_bench.Ingestor.Connect("c"), "a/last", "x", _listener));

        List<StoredRecord>[] topics = [_bench.Stored("first"), _bench.Stored("second")];
        for (int number = 0; number < Clients; number++)
        {
            string[][] stored = [.. topics.Select(topic => topic.Where(record => record.Key == $"{number}").Select(record => record.Value).ToArray())];
            Assert.All(stored, values => Assert.Equal(values.Order(StringComparer.Ordinal), values));
            Assert.Equal(Enumerable.Range(0, sent[number]).Select(i => $"{i:D7}"), stored.SelectMany(values => values).Order(StringComparer.Ordinal));
        }
        Assert.Equal(Changes, watch.Status.Reloads);
    }

    private RoutesWatch Watch() => new(Path, Interval, _bench.Ingestor, _time, _logger);

    private void Accept(string payload) => _listener.WaitForCommit(_bench.Accept(_bench.Ingestor.Connect("c"), "a/d", payload, _listener));

    /// <summary>Everything goes to that topic. The size differs each time, whatever the clock of files says.</summary>
    private void Write(string topic)
    {
        string temporary = Path + ".tmp";
        File.WriteAllText(temporary, $$"""{ "routes": [ { "match": "a/{device}", "topic": "{{topic}}" } ] }""" + new string(' ', ++_written));
        File.Move(temporary, Path, overwrite: true);
    }
}
