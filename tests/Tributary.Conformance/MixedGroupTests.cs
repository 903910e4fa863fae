using System.Collections.Concurrent;
using System.Globalization;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>
/// Consumers of different clients in one group, which join, leave, are killed and stand still at random, while keyed, numbered records are
/// produced. They agree on the assignor that all of them have, round robin.
/// </summary>
public sealed class MixedGroupTests : IAsyncLifetime
{
    private const string Topic = "mixed";
    private const string Group = "mixed";
    private const int PartitionCount = 8;
    private const int Keys = 40;
    private const int SessionTimeoutMs = 6_000;
    private static readonly TimeSpan Length = TimeSpan.FromSeconds(
        int.TryParse(Environment.GetEnvironmentVariable("TRIBUTARY_CHURN_SECONDS"), CultureInfo.InvariantCulture, out int seconds) ? seconds : 60);

    private static readonly MixedMemberKind[] Slots =
    [
        .. Enum.GetValues<MixedMemberKind>(), .. Enum.GetValues<MixedMemberKind>(), // eight, two of each kind
    ];

    private readonly TestSystem _system = new();
    private readonly List<MixedMember> _members = [];
    private readonly ConcurrentDictionary<(string Key, int Number), bool> _produced = [];
    private readonly List<string> _story = [];
    private int _changes;
    private int _stoppedKcats;

    public async ValueTask InitializeAsync()
    {
        await _system.StartCloudAsync();
        using IAdminClient admin = Admin();
        await admin.CreateTopicsAsync([new TopicSpecification { Name = Topic, NumPartitions = PartitionCount, ReplicationFactor = 1 }]);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (MixedMember member in _members)
        {
            await member.DisposeAsync();
        }
        await _system.DisposeAsync();
    }

    [Fact]
    public async Task Whatever_members_do_each_record_is_seen_in_the_order_of_its_key_and_commits_never_go_back()
    {
        int seed = Environment.TickCount;
        using var over = new CancellationTokenSource();
        Task producing = ProduceAsync(over.Token);
        Task<List<Step>> watching = WatchCommitsAsync(over.Token);
        await ChurnAsync(new Random(seed));
        over.CancelAfter(TimeSpan.Zero);
        await producing;
        List<Step> wentBack = await watching;

        MixedMember last = Start(MixedMemberKind.Kcat);
        await Until.TrueAsync(
            // kcat, which commits what it has in its hands, drops that without writing it when it is stopped.
            () => Task.FromResult(_produced.Keys.Except(Seen()).Count() <= _stoppedKcats), () => Story(seed) + Missing(), TimeSpan.FromMinutes(2));
        // A client may commit in its new generation what it read in the one before, which Kafka takes too; then it says so.
        HashSet<(int, long)> said = [.. _members.SelectMany(member => member.Commits)];
        Step[] lost = [.. wentBack.Where(step => !said.Contains((step.Partition, step.To)))];
        Assert.True(lost.Length == 0, $"{string.Join('\n', lost)}\n{Story(seed)}");
        Assert.All(_members, member => AssertOrdered(member, seed));
        // Each change is one rebalance at least; a member that leaves while others join makes one more.
        Assert.All(_members, member => Assert.True(member.Joins <= (3 * (_changes - member.FirstChange)) + 3, $"{member.Joins} joins\n{Story(seed)}"));
        Assert.False(last.HasEnded);
    }

    private IAdminClient Admin() => new AdminClientBuilder(new AdminClientConfig { BootstrapServers = _system.Kafka }).SetLogHandler((_, _) => { }).Build();

    private async Task ProduceAsync(CancellationToken stop)
    {
        var config = new ProducerConfig { BootstrapServers = _system.Kafka, Acks = Acks.All, EnableIdempotence = true, LingerMs = 5 };
        using IProducer<string, string> producer = new ProducerBuilder<string, string>(config).SetLogHandler((_, _) => { }).Build();
        for (int number = 0; !stop.IsCancellationRequested; number++)
        {
            await Task.WhenAll(Enumerable.Range(0, Keys).Select(async i =>
            {
                string key = $"key-{i}";
                await producer.ProduceAsync(Topic, new Message<string, string> { Key = key, Value = $"{number}" }, CancellationToken.None);
                _produced[(key, number)] = true;
            })).WaitAsync(Until.Deadline, CancellationToken.None);
            await Task.Delay(500, CancellationToken.None); // the pace of a sensor
        }
    }

    /// <summary>Asks again and again what is committed.</summary>
    /// <returns>Which commits went back.</returns>
    private async Task<List<Step>> WatchCommitsAsync(CancellationToken stop)
    {
        var wentBack = new List<Step>();
        var committed = new Dictionary<int, long>();
        using IAdminClient admin = Admin();
        List<TopicPartition> all = [.. Enumerable.Range(0, PartitionCount).Select(i => new TopicPartition(Topic, i))];
        while (!stop.IsCancellationRequested)
        {
            List<ListConsumerGroupOffsetsResult> answer =
                await admin.ListConsumerGroupOffsetsAsync([new ConsumerGroupTopicPartitions(Group, all)]);
            foreach (TopicPartitionOffsetError at in answer.Single().Partitions.Where(at => at.Offset != Offset.Unset))
            {
                if (committed.TryGetValue(at.Partition.Value, out long before) && at.Offset.Value < before)
                {
                    wentBack.Add(new Step(at.Partition.Value, before, at.Offset.Value));
                }
                committed[at.Partition.Value] = at.Offset.Value;
            }
            await Task.Delay(100, CancellationToken.None);
        }
        return wentBack;
    }

    private async Task ChurnAsync(Random random)
    {
        var slots = new MixedMember?[Slots.Length];
        long end = Environment.TickCount64 + (long)Length.TotalMilliseconds;
        while (Environment.TickCount64 < end)
        {
            int slot = random.Next(slots.Length);
            if (slots[slot] is not { } member)
            {
                slots[slot] = Start(Slots[slot]);
            }
            else if (member.ResumesAt > Environment.TickCount64)
            {
                continue; // it stands still
            }
            else
            {
                slots[slot] = await ActAsync(member, random.Next(4), random) ? member : null;
            }
            await Task.Delay(random.Next(200, 2000));
            foreach (MixedMember stopped in slots.OfType<MixedMember>().Where(one => one.ResumesAt != 0 && one.ResumesAt <= Environment.TickCount64))
            {
                stopped.Resume();
            }
        }
        foreach (MixedMember member in slots.OfType<MixedMember>())
        {
            member.Resume();
            await StopAsync(member);
        }
    }

    /// <returns>Whether the member is still there.</returns>
    private async Task<bool> ActAsync(MixedMember member, int action, Random random)
    {
        switch (action)
        {
            case 0:
                Note(member, "leaves");
                await StopAsync(member);
                return false;
            case 1 when member.IsSafeToKill:
                Note(member, "is killed");
                _changes++;
                await member.KillAsync();
                return false;
            case 2:
                int pause = random.Next(1_000, 2 * SessionTimeoutMs);
                Note(member, $"stands still for {pause} ms");
                _changes += 2; // it may lose its membership, and joins again
                member.StandStill(pause);
                return true;
            default:
                return true;
        }
    }

    private async Task StopAsync(MixedMember member)
    {
        _changes++;
        _stoppedKcats += member.IsSafeToKill ? 0 : 1;
        await member.StopAsync();
    }

    private MixedMember Start(MixedMemberKind kind)
    {
        var member = MixedMember.Start(kind, _members.Count, _changes++, _system.Kafka, Group, Topic, SessionTimeoutMs);
        _members.Add(member);
        Note(member, "joins");
        return member;
    }

    private HashSet<(string Key, int Number)> Seen() => [.. _members.SelectMany(member => member.Records).Select(record => (record.Key, record.Number))];

    /// <summary>
    /// A member reads each partition in order, and with it each key. When it joins, it may begin anew where was committed; what clients had
    /// fetched before comes first or is dropped, as each has it.
    /// </summary>
    private void AssertOrdered(MixedMember member, int seed)
    {
        var next = new Dictionary<int, (long Offset, Dictionary<string, int> Numbers)>();
        int mayGoBack = PartitionCount * member.Joins;
        foreach ((int partition, long offset, string key, int number) in member.Records)
        {
            (long least, Dictionary<string, int> numbers) = next.GetValueOrDefault(partition, (-1, []));
            if (offset < least)
            {
                Assert.True(--mayGoBack >= 0, $"{member} goes back to offset {offset} of partition {partition} once too often\n{Story(seed)}");
                numbers = [];
            }
            Assert.True(
                number > numbers.GetValueOrDefault(key, -1),
                $"{member} read offset {offset} of partition {partition}, {key} number {number}, out of order\n{Story(seed)}");
            numbers[key] = number;
            next[partition] = (offset + 1, numbers);
        }
    }

    private void Note(MixedMember member, string what) => _story.Add($"{member} {what}");

    private string Story(int seed) => $"seed {seed}, {_changes} changes\n{string.Join('\n', _story)}\n{_system.Cloud.Story()}";

    private string Missing() => $"\nmissing: {string.Join(", ", _produced.Keys.Except(Seen()).Take(20))}";

    private sealed record Step(int Partition, long From, long To);
}
