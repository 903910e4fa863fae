using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>
/// A chain of stages that read, work and write in transactions, and a server, all of which are killed at any time: what comes out at the end
/// is what went in, once, in order by key. <c>TRIBUTARY_KILLS</c> says how often, <c>TRIBUTARY_SEED</c> repeats a run as far as processes can
/// be repeated.
/// </summary>
public sealed class TransactionChainTests
{
    private const int DefaultKills = 30;
    private const int Partitions = 3;
    private const int Keys = 12;
    private const int Batch = 40;
    private static readonly string[] Topics = ["chain-0", "chain-1", "chain-2", "chain-3"];
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(3);
    private readonly ITestOutputHelper _output = TestContext.Current.TestOutputHelper!;

    [Fact]
    public async Task Kills_of_server_and_stages_lose_nothing_double_nothing_show_nothing_aborted_and_keep_the_order()
    {
        int kills = Setting("TRIBUTARY_KILLS") ?? DefaultKills;
        int seed = Setting("TRIBUTARY_SEED") ?? Random.Shared.Next();
        _output.WriteLine($"TRIBUTARY_SEED={seed} TRIBUTARY_KILLS={kills}");
        var random = new Random(seed);
        await using var system = new TestSystem();
        await system.StartCloudAsync();
        await CreateTopicsAsync(system.Kafka);
        // The middle stage has two members, whose partitions go to and fro.
        await using var stages = new Stages(system.Kafka, [(0, "first"), (1, "second-a"), (1, "second-b"), (2, "third")]);
        using var stop = new CancellationTokenSource();
        Task<int> writing = Task.Run(() => WriteAsync(system.Kafka, stop.Token));
        for (int kill = 1; kill <= kills; kill++)
        {
            await ProgressAsync(system, random);
            int victim = random.Next(2 * stages.Count);
            if (victim < stages.Count)
            {
                _output.WriteLine($"kill {kill}: {await stages.KillAsync(victim)}");
                continue;
            }
            _output.WriteLine($"kill {kill}: the server");
            await system.KillCloudAsync();
            await system.StartCloudAsync();
        }
        await stop.CancelAsync();
        int written = await writing.WaitAsync(Deadline);
        string Story() => $"{written} written\n{stages.Story()}\n{system.Cloud.Story()}";
        foreach (string topic in Topics)
        {
            List<string> values = await Until.AnswerAsync(
                async () => await TransactionReader.ReadAsync(system.Kafka, topic, IsolationLevel.ReadCommitted) is { } read && read.Count >= written
                    ? read
                    : null,
                Story, Deadline);
            Assert.Null(FindFault(values, written));
        }
        await StableAsync(system.Kafka, Story);
    }

    /// <summary>Waits until something was said again, so that a kill interrupts something; what that is is up to chance.</summary>
    private static async Task ProgressAsync(TestSystem system, Random random)
    {
        long wanted = system.Link.PassedBytes + random.Next(1_000, 60_000);
        await Until.TrueAsync(() => Task.FromResult(system.Link.PassedBytes > wanted), system.Cloud.Story);
        await Task.Delay(random.Next(300));
    }

    private static int? Setting(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : null;

    /// <summary>Each number once, and those of a key in order: a key has one partition, and values come by partition and offset.</summary>
    private static string? FindFault(List<string> values, int written)
    {
        int[] numbers = [.. values.Select(int.Parse)];
        int[] missing = [.. Enumerable.Range(0, written).Except(numbers).Take(5)];
        int[] twice = [.. numbers.GroupBy(number => number).Where(same => same.Count() > 1).Select(same => same.Key).Take(5)];
        IGrouping<int, int>? mixed = numbers.GroupBy(number => number % Keys).FirstOrDefault(key => !key.SequenceEqual(key.Order()));
        return missing.Length > 0 ? $"missing: {string.Join(", ", missing)}"
            : twice.Length > 0 ? $"twice: {string.Join(", ", twice)}"
            : mixed is not null ? $"not in order: {string.Join(", ", mixed.Take(20))}"
            : numbers.Length > written ? "more than was written"
            : null;
    }

    private static async Task CreateTopicsAsync(string kafka)
    {
        using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = kafka }).SetLogHandler((_, _) => { }).Build();
        await admin.CreateTopicsAsync(
            Topics.Select(topic => new TopicSpecification { Name = topic, NumPartitions = Partitions, ReplicationFactor = 1 }));
    }

    /// <summary>Writes numbers until it is told to stop; those of a key go to the same partition.</summary>
    /// <returns>How many.</returns>
    private static async Task<int> WriteAsync(string kafka, CancellationToken stop)
    {
        var config = new ProducerConfig
        {
            BootstrapServers = kafka,
            EnableIdempotence = true,
            ReconnectBackoffMs = 20,
            ReconnectBackoffMaxMs = 200,
        };
        using IProducer<string, string> producer = new ProducerBuilder<string, string>(config).SetLogHandler((_, _) => { }).Build();
        int written = 0;
        while (!stop.IsCancellationRequested)
        {
            Task[] batch = [.. Enumerable.Range(written, Batch).Select(number => producer.ProduceAsync(
                new TopicPartition(Topics[0], number % Keys % Partitions),
                new Message<string, string> { Key = $"key-{number % Keys}", Value = $"{number}" }, CancellationToken.None))];
            await Task.WhenAll(batch);
            written += Batch;
        }
        return written;
    }

    /// <summary>No transaction is left that holds readers back.</summary>
    private static async Task StableAsync(string kafka, Func<string> story)
    {
        using IAdminClient admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = kafka }).SetLogHandler((_, _) => { }).Build();
        await Until.TrueAsync(
            async () => (await EndsAsync(admin, IsolationLevel.ReadCommitted)).SequenceEqual(await EndsAsync(admin, IsolationLevel.ReadUncommitted)),
            story, Deadline);
    }

    private static async Task<IEnumerable<long>> EndsAsync(IAdminClient admin, IsolationLevel isolation)
    {
        IEnumerable<TopicPartitionOffsetSpec> wanted = Topics.SelectMany(topic => Enumerable.Range(0, Partitions).Select(
            partition => new TopicPartitionOffsetSpec { TopicPartition = new(topic, partition), OffsetSpec = OffsetSpec.Latest() }));
        ListOffsetsResult found = await admin.ListOffsetsAsync(wanted, new ListOffsetsOptions { IsolationLevel = isolation });
        return found.ResultInfos
            .OrderBy(info => info.TopicPartitionOffsetError.Topic, StringComparer.Ordinal)
            .ThenBy(info => info.TopicPartitionOffsetError.Partition.Value)
            .Select(info => info.TopicPartitionOffsetError.Offset.Value);
    }

    /// <summary>The stages, each a process. One that has ended by itself, since it was fenced or ran out of time, is started again.</summary>
    private sealed class Stages : IAsyncDisposable
    {
        private readonly string _kafka;
        private readonly (int Source, string Name)[] _stages;
        private readonly RunningProcess[] _processes;
        private readonly CancellationTokenSource _stop = new();
        private readonly SemaphoreSlim _turn = new(1, 1);
        private readonly Task _tending;

        public Stages(string kafka, (int Source, string Name)[] stages)
        {
            (_kafka, _stages) = (kafka, stages);
            _processes = [.. stages.Select(Start)];
            _tending = TendAsync();
        }

        public int Count => _stages.Length;

        public string Story() => string.Join('\n', _processes.Select(process => process.Story()));

        /// <summary>SIGKILL, and a new process.</summary>
        public async Task<string> KillAsync(int index)
        {
            await ReplaceAsync(index, onlyIfEnded: false);
            return _stages[index].Name;
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _tending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            foreach (RunningProcess process in _processes)
            {
                await process.DisposeAsync();
            }
            _stop.Dispose();
            _turn.Dispose();
        }

        private RunningProcess Start((int Source, string Name) stage) =>
            RunningProcess.Start(stage.Name, Programs.Stage, [_kafka, Topics[stage.Source], Topics[stage.Source + 1], stage.Name]);

        private async Task ReplaceAsync(int index, bool onlyIfEnded)
        {
            await _turn.WaitAsync();
            try
            {
                if (onlyIfEnded && !_processes[index].HasExited)
                {
                    return;
                }
                await _processes[index].DisposeAsync();
                _processes[index] = Start(_stages[index]);
            }
            finally
            {
                _turn.Release();
            }
        }

        private async Task TendAsync()
        {
            while (true)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), _stop.Token);
                for (int i = 0; i < _processes.Length; i++)
                {
                    await ReplaceAsync(i, onlyIfEnded: true);
                }
            }
        }
    }
}
