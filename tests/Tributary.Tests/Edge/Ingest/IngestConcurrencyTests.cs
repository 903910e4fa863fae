using System.Globalization;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Support;
using Xunit;

namespace Tributary.Tests.Edge.Ingest;

/// <summary>Many clients publish while flushes fail at random and, in the end, the power is cut.</summary>
public sealed class IngestConcurrencyTests
{
    private const int Clients = 4;
    private const int Messages = 3000;
    private const int Failures = 20;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task What_is_committed_is_stored_once_in_order_and_survives(int seed)
    {
        var memory = new MemoryStorage();
        IngestBench bench = IngestBench.Open(
            IngestBench.SmallIngest with { OfflineRetry = TimeSpan.FromMilliseconds(10) }, memory: memory, time: TimeProvider.System);
        TestClient[] clients = [.. Enumerable.Range(0, Clients).Select(number => new TestClient(bench, number, seed))];
        Task[] running = [.. clients.Select(client => Task.Run(client.Publish))];
        bool Ended() => running.All(task => task.IsCompleted);
        Blocking.Until(() => bench.Buffer.Partitions.Count == 2 || Ended(), "both partitions are open");
        for (int i = 0; i < Failures && !Ended(); i++)
        {
            bench.Storage.FailNextFlush();
            Blocking.Until(() => bench.Storage.PendingFailures == 0 || Ended(), "a flush fails");
            // Three failures in a row would take a partition offline for good.
            foreach (BufferPartition partition in bench.Buffer.Partitions)
            {
                long end = partition.Log.FlushedEnd;
                Blocking.Until(() => partition.Log.FlushedEnd > end || Ended(), "a flush succeeds");
            }
        }
        await Task.WhenAll(running);
        MemoryStorage left = memory.Crash();
        await bench.DisposeAsync();

        Assert.True(clients.Sum(client => client.Losses) > 0);
        Assert.All(clients, client => Assert.True(client.CommittedMessages > 0));
        await using IngestBench restarted = IngestBench.Open(memory: left);
        var stored = restarted.Stored(RouteTable.TelemetryTopic).Concat(restarted.Stored(RouteTable.UnroutedTopic)).ToList();
        Assert.Equal(stored.Count, stored.Select(record => record.Value).Distinct().Count());
        var values = stored.Select(record => record.Value).ToHashSet();
        foreach (TestClient client in clients)
        {
            client.Check(values);
        }
        AssertInOrder(restarted.Stored(RouteTable.TelemetryTopic));
        AssertInOrder(restarted.Stored(RouteTable.UnroutedTopic));
    }

    private static void AssertInOrder(List<StoredRecord> stored)
    {
        var last = new Dictionary<string, int>();
        foreach (StoredRecord record in stored)
        {
            string[] parts = record.Value.Split('/');
            int number = int.Parse(parts[1], CultureInfo.InvariantCulture);
            int before = last.GetValueOrDefault(parts[0], -1);
            Assert.True(number > before, $"{record.Value} stands behind {parts[0]}/{before}");
            last[parts[0]] = number;
        }
    }

    /// <summary>Publishes each number once, over two topics, and never retransmits: what it is told is lost it leaves.</summary>
    private sealed class TestClient(IngestBench bench, int number, int seed)
    {
        private readonly RecordingListener _listener = new();
        private readonly List<(string Value, IngestTicket Ticket)> _accepted = [];

        public int Losses => _listener.Lost.Count;

        public int CommittedMessages => _accepted.Count(IsCommitted);

        public void Publish()
        {
            IngestClient client = bench.Ingestor.Connect($"c{number}");
            var random = new Random((seed * 100) + number);
            for (int i = 0; i < Messages; i++)
            {
                string value = $"{number}/{i}";
                string topic = random.Next(2) == 0 ? $"devices/d{number}/m" : $"other/{number}";
                IngestTicket ticket = default;
                Blocking.Until(
                    () => bench.Ingestor.HasRoom && (ticket = bench.Accept(client, topic, value, _listener)).Refusal == IngestRefusal.None,
                    "the message is taken");
                _accepted.Add((value, ticket));
                if (random.Next(20) == 0)
                {
                    Thread.Yield();
                }
            }
            foreach ((_, IngestTicket ticket) in _accepted)
            {
                Blocking.Until(
                    () => ticket.Stream!.Committed > ticket.Number || _listener.IsLost(ticket.Stream), "each message is committed or lost");
            }
        }

        public void Check(HashSet<string> stored)
        {
            Assert.All(_listener.Lost, lost => Assert.Equal(lost.Committed, lost.Stream.Committed));
            Assert.Equal(_listener.Lost.Count, _listener.Lost.DistinctBy(lost => lost.Stream).Count());
            foreach ((string value, IngestTicket ticket) in _accepted)
            {
                bool committed = IsCommitted((value, ticket));
                Assert.True(committed || _listener.IsLost(ticket.Stream!), $"{value} is neither committed nor lost");
                Assert.True(!committed || stored.Contains(value), $"{value} was committed and is not stored");
            }
        }

        private static bool IsCommitted((string Value, IngestTicket Ticket) message) =>
            message.Ticket.Stream!.Committed > message.Ticket.Number;
    }
}
