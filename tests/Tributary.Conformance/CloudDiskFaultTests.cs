using Confluent.Kafka;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>
/// What the cloud does when its files are damaged, lost, or not its own: a sentence says what happened and what to do, what can be served
/// is served, and nothing else is lost.
/// </summary>
public sealed class CloudDiskFaultTests
{
    private const string Topic = "faults";
    private const int Before = 300;
    private const int After = 20;

    /// <summary>Where SQLite's first page begins with its kind, behind the file's header.</summary>
    private const int FirstPage = 100;

    private static readonly DiskFault[] Faults = [DiskFault.FlippedBit, DiskFault.Truncated, DiskFault.Empty, DiskFault.Missing];

    [Fact]
    public async Task Files_beside_the_segments_are_made_anew_one_after_the_other_and_no_record_is_lost()
    {
        using TempDirectory directory = TempDirectory.Create();
        string data = directory.At("data");
        int produced = 0;
        await RunAsync(data, async kafka => produced = await ProduceAsync(kafka, 0, Before));
        foreach (DiskFault fault in Faults)
        {
            var damaged = new List<string>();
            foreach (string pattern in new[] { "manifest", "index-*", "producers-*", "epochs" })
            {
                foreach (string file in Directory.GetFiles(data, pattern, SearchOption.AllDirectories))
                {
                    Damage.Do(fault, file);
                    damaged.Add(Path.GetFileName(file));
                }
            }
            Assert.Contains(damaged, name => name.StartsWith("producers-", StringComparison.Ordinal));
            string log = await RunAsync(data, async kafka =>
            {
                produced = await ProduceAsync(kafka, produced, After);
                Assert.Equal(Enumerable.Range(1, produced), await ReadAsync(kafka));
            });
            Assert.Equal(fault != DiskFault.Missing, log.Contains("Rebuilt", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task A_flipped_bit_in_a_stored_batch_is_a_hole_of_that_batch_and_of_nothing_else()
    {
        using TempDirectory directory = TempDirectory.Create();
        string data = directory.At("data");
        await RunAsync(data, kafka => ProduceAsync(kafka, 0, Before));
        string segment = Damage.Segments(Directory.GetDirectories(data, Topic + "-0", SearchOption.AllDirectories).Single())[0];
        Damage.FlipBit(segment, 5000);
        int[] missing = [];
        string log = await RunAsync(data, async kafka =>
        {
            await ProduceAsync(kafka, Before, After);
            missing = [.. Enumerable.Range(1, Before + After).Except(await ReadAsync(kafka))];
        });
        Assert.NotEmpty(missing);
        Assert.Equal(Enumerable.Range(missing[0], missing.Length), missing);
        Assert.InRange(missing.Length, 1, Before / 4);
        Assert.True(missing[^1] <= Before);
        Assert.Contains("Hole", log);
    }

    [Fact]
    public async Task A_damaged_control_database_ends_the_start_with_a_sentence_and_leaves_the_records_alone()
    {
        using TempDirectory directory = TempDirectory.Create();
        string data = directory.At("data");
        await RunAsync(data, kafka => ProduceAsync(kafka, 0, After));
        string database = Directory.GetFiles(data, "control.db", SearchOption.AllDirectories).Single();
        byte[] whole = await File.ReadAllBytesAsync(database);
        int record = whole.AsSpan().IndexOf("\"faults\""u8) + 1;
        Action[] faults =
        [
            () => Damage.FlipBit(database, FirstPage),
            () => Damage.FlipBit(database, record),
            () => Damage.Do(DiskFault.Truncated, database),
            () => Damage.Do(DiskFault.Empty, database),
            () => Damage.Do(DiskFault.Missing, database),
        ];
        foreach (Action fault in faults)
        {
            await CannotStartAsync(data, fault);
            await File.WriteAllBytesAsync(database, whole);
        }
        await RunAsync(data, async kafka => Assert.Equal(Enumerable.Range(1, After), await ReadAsync(kafka)));
    }

    private static async Task CannotStartAsync(string data, Action damage)
    {
        damage();
        await using RunningProcess cloud = Start(data);
        Assert.Equal(3, await cloud.ExitAsync());
        string said = cloud.Errors.Split('\n').Last(line => line.StartsWith("tributary: ", StringComparison.Ordinal));
        Assert.Contains("control.db", said);
    }

    [Fact]
    public async Task A_directory_of_another_user_ends_with_3_and_a_sentence()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root can run a program as another user");
        using TempDirectory directory = TempDirectory.Create();
        Directory.CreateDirectory(directory.At("data"));
        await Tool.RunAsync("chmod", "go-rwx", directory.At("data"));
        await using RunningProcess cloud = Start(directory.At("data"), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups");
        Assert.Equal(3, await cloud.ExitAsync());
        Assert.Contains(directory.At("data"), cloud.Errors);
        Assert.DoesNotContain("   at ", cloud.Errors);
    }

    [Fact]
    public async Task Flushes_that_fail_now_and_then_are_told_to_producers_and_what_was_acknowledged_is_there()
    {
        using TempDirectory directory = TempDirectory.Create();
        string data = directory.At("data");
        await RunAsync(data, kafka => ProduceAsync(kafka, 0, After));
        int produced = After;
        string log = await RunAsync(
            data,
            async kafka =>
            {
                for (int i = 0; i < 8; i++)
                {
                    produced = await ProduceAsync(kafka, produced, After); // the client tries again by itself
                }
            },
            "strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=6..30+9");
        await RunAsync(data, async kafka => Assert.Equal(Enumerable.Range(1, produced), await ReadAsync(kafka)));
        Assert.Contains("SegmentSealed", log);
        Assert.Contains("Input/output error", log);
    }

    private static RunningProcess Start(string data, params string[] prefix)
    {
        string[] arguments = ["serve", "--data", data, "--kafka", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        return prefix.Length == 0
            ? RunningProcess.Start("cloud", Programs.Cloud, arguments)
            : RunningProcess.Start("cloud", prefix[0], [.. prefix[1..], "dotnet", "exec", Programs.Cloud, .. arguments]);
    }

    /// <summary>Runs the cloud for as long as something is done with it, and ends it cleanly.</summary>
    /// <returns>What it logged.</returns>
    private static async Task<string> RunAsync(string data, Func<string, Task> use, params string[] prefix)
    {
        await using RunningProcess cloud = Start(data, prefix);
        await use((await cloud.ReadyAsync())["kafka"].ToString());
        cloud.Stop();
        Assert.Equal(0, await cloud.ExitAsync());
        return cloud.Output + cloud.Errors;
    }

    /// <summary>Produces numbers behind the last one, once each, as an idempotent producer.</summary>
    /// <returns>The last one.</returns>
    private static async Task<int> ProduceAsync(string kafka, int last, int count)
    {
        var config = new ProducerConfig { BootstrapServers = kafka, EnableIdempotence = true, LingerMs = 5, BatchNumMessages = 10 };
        using IProducer<Null, string> producer = new ProducerBuilder<Null, string>(config).SetLogHandler((_, _) => { }).Build();
        await Task.WhenAll(Enumerable.Range(last + 1, count).Select(
            number => producer.ProduceAsync(new TopicPartition(Topic, 0), new Message<Null, string> { Value = $"{number}".PadRight(100) })));
        return last + count;
    }

    private static async Task<List<int>> ReadAsync(string kafka) =>
        [.. (await KafkaReader.ReadAllAsync(kafka, Topic)).Where(record => record.Partition == 0).Select(record => int.Parse(record.Text))];
}
