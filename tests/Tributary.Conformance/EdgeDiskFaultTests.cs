using System.Text.Json;
using Tributary.Conformance.Clients;
using Tributary.Conformance.Harness;
using Xunit;

namespace Tributary.Conformance;

/// <summary>
/// What the shipped agent does when its files are damaged, lost, or not its own: a sentence says what happened and what to do, it takes
/// messages in and ships them where it can at all, and nothing else is lost.
/// </summary>
public sealed class EdgeDiskFaultTests(SharedCloud cloud) : IClassFixture<SharedCloud>
{
    private const string Nowhere = "127.0.0.1:1";
    private const int Before = 380;
    private const int After = 50;
    private const int PayloadBytes = 700;

    private static readonly Dictionary<string, string> Settings = new()
    {
        ["TRIBUTARY__BUFFER__SEGMENTBYTES"] = "64KiB",
        ["TRIBUTARY__UPLINK__CHECKPOINTINTERVAL"] = "1s", // what is acknowledged is given back by it
        ["TRIBUTARY__INGEST__MAXBATCHBYTES"] = "4KiB",
        ["TRIBUTARY__INGEST__MAXRECORDBYTES"] = "2KiB",
        ["TRIBUTARY__UPLINK__QUIETPERIOD"] = "200ms",
        ["TRIBUTARY__UPLINK__MAXBACKOFF"] = "200ms",
    };

    [Fact]
    public async Task A_flipped_bit_in_a_closed_segment_is_a_gap_of_its_batch_and_of_nothing_else()
    {
        using TempDirectory directory = TempDirectory.Create();
        (string device, string partition) = await FillAsync(directory, kill: false);
        string closed = Damage.Segments(partition)[1];
        Damage.FlipBit(closed, new FileInfo(closed).Length / 2);
        await using EdgeNode edge = await EdgeNode.StartAsync(directory.At("data"), cloud.Kafka, Settings);
        int[] missing = await MissingAsync(edge, device);

        Assert.NotEmpty(missing);
        Assert.Equal(Enumerable.Range(missing[0], missing.Length), missing);
        Assert.InRange(missing.Length, 1, Before / 4);
        Assert.Equal(missing.Length, (await edge.PartitionAsync()).GetProperty("uplink").GetProperty("gapRecords").GetInt64());
        Assert.Equal(missing.Length, await edge.MetricAsync("tributary_edge_uplink_gap_total"));
        Assert.Contains("can't be read", edge.Log);
    }

    [Fact]
    public async Task A_flipped_bit_in_the_tail_ends_the_log_there_and_what_follows_goes_to_quarantine()
    {
        using TempDirectory directory = TempDirectory.Create();
        (string device, string partition) = await FillAsync(directory, kill: true);
        string tail = Damage.Segments(partition)[^1];
        Damage.FlipBit(tail, 300);
        await using EdgeNode edge = await EdgeNode.StartAsync(directory.At("data"), cloud.Kafka, Settings);
        int[] missing = await MissingAsync(edge, device);

        Assert.NotEmpty(missing);
        Assert.Equal(Enumerable.Range(missing[0], missing.Length), missing);
        Assert.NotEmpty(Directory.EnumerateFiles(Path.Combine(partition, "quarantine")));
        Assert.Contains("quarantine", edge.Log);
    }

    [Theory]
    [InlineData("index-*", DiskFault.FlippedBit)]
    [InlineData("index-*", DiskFault.Truncated)]
    [InlineData("index-*", DiskFault.Empty)]
    [InlineData("index-*", DiskFault.Missing)]
    [InlineData("manifest", DiskFault.FlippedBit)]
    [InlineData("manifest", DiskFault.Truncated)]
    [InlineData("manifest", DiskFault.Empty)]
    [InlineData("manifest", DiskFault.Missing)]
    [InlineData("epochs", DiskFault.FlippedBit)]
    [InlineData("epochs", DiskFault.Missing)]
    public async Task A_file_beside_the_segments_is_made_anew_and_no_record_is_lost(string pattern, DiskFault fault)
    {
        using TempDirectory directory = TempDirectory.Create();
        (string device, string partition) = await FillAsync(directory, kill: false);
        string[] files = Directory.GetFiles(partition, pattern);
        foreach (string file in files)
        {
            Damage.Do(fault, file);
        }
        await using EdgeNode edge = await EdgeNode.StartAsync(directory.At("data"), cloud.Kafka, Settings);

        Assert.Empty(await MissingAsync(edge, device));
        if (fault != DiskFault.Missing && files.Length > 0)
        {
            Assert.Contains("Rebuilt", edge.Log);
        }
    }

    [Theory]
    [InlineData(DiskFault.FlippedBit)]
    [InlineData(DiskFault.Truncated)]
    [InlineData(DiskFault.Empty)]
    [InlineData(DiskFault.Missing)]
    public async Task A_checkpoint_that_is_damaged_or_lost_stops_the_uplink_until_the_setting_says_to_resend(DiskFault fault)
    {
        using TempDirectory directory = TempDirectory.Create();
        string device = NewDevice();
        string data = directory.At("data");
        await using (EdgeNode first = await EdgeNode.StartAsync(data, cloud.Kafka, Settings))
        {
            await NumberPublisher.TryPublishAsync(first.Mqtt, device, 1, Before, PayloadBytes);
            await first.DrainedAsync();
            await Until.TrueAsync(async () => (await first.PartitionAsync()).GetProperty("startOffset").GetInt64() > 0, first.Process.Story);
            await first.StopAsync();
        }
        string partition = Partition(directory);
        Damage.Do(fault, Path.Combine(partition, "uplink.checkpoint"));
        await using (EdgeNode stopped = await EdgeNode.StartAsync(data, cloud.Kafka, Settings))
        {
            await NumberPublisher.PublishAsync(stopped.Mqtt, device, Before + 1, After);
            JsonElement uplink = (await stopped.PartitionAsync()).GetProperty("uplink");
            Assert.Equal("stopped", uplink.GetProperty("state").GetString());
            Assert.Contains("uplink:onCheckpointDamaged", uplink.GetProperty("reason").GetString());
            Assert.Contains("uplink:onCheckpointDamaged", stopped.Log);
            await stopped.StopAsync();
        }
        var resend = new Dictionary<string, string>(Settings) { ["TRIBUTARY__UPLINK__ONCHECKPOINTDAMAGED"] = "resend" };
        await using EdgeNode edge = await EdgeNode.StartAsync(data, cloud.Kafka, resend);
        await edge.DrainedAsync();
        Assert.Equal(Enumerable.Range(1, Before + After), (await NumbersAsync(device)).Distinct().Order());
    }

    [Theory]
    [InlineData(DiskFault.Truncated)]
    [InlineData(DiskFault.Empty)]
    public async Task A_damaged_name_of_the_agent_ends_with_3_and_a_sentence(DiskFault fault)
    {
        using TempDirectory directory = TempDirectory.Create();
        await FillAsync(directory, kill: false);
        Damage.Do(fault, Path.Combine(directory.At("data"), "agent.id"));
        await CannotStartAsync(directory.At("data"), "agent.id");
    }

    [Fact]
    public async Task A_segment_that_is_gone_is_a_gap_and_nothing_else_is_lost()
    {
        using TempDirectory directory = TempDirectory.Create();
        (string device, string partition) = await FillAsync(directory, kill: false);
        File.Delete(Damage.Segments(partition)[1]);
        await using EdgeNode edge = await EdgeNode.StartAsync(directory.At("data"), cloud.Kafka, Settings);
        int[] missing = await MissingAsync(edge, device);

        Assert.NotEmpty(missing);
        Assert.Equal(Enumerable.Range(missing[0], missing.Length), missing);
        Assert.Equal(missing.Length, (await edge.PartitionAsync()).GetProperty("uplink").GetProperty("gapRecords").GetInt64());
    }

    [Fact]
    public async Task A_directory_of_another_user_ends_with_3_and_a_sentence()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root can run a program as another user");
        using TempDirectory directory = TempDirectory.Create();
        await FillAsync(directory, kill: false);
        await Tool.RunAsync("chmod", "-R", "go-rwx", directory.At("data"));
        await CannotStartAsync(directory.At("data"), directory.At("data"), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups");
    }

    [Fact]
    public async Task Flushes_that_fail_now_and_then_seal_segments_and_what_was_acknowledged_is_there()
    {
        using TempDirectory directory = TempDirectory.Create();
        var publisher = new Publisher();
        await using (EdgeNode edge = await EdgeNode.StartAsync(
            directory.At("data"), cloud.Kafka, Settings, Failing("fdatasync:error=EIO:when=3..60+7")))
        {
            await Until.TrueAsync(
                async () => await publisher.PublishAsync(edge) == After && edge.Log.Contains("SegmentSealed", StringComparison.Ordinal), edge.Process.Story);
            Assert.Contains("Input/output error", edge.Log);
            await edge.StopAsync();
        }
        await GoesOnAsync(directory, publisher);
    }

    [Fact]
    public async Task A_disk_that_takes_no_writes_any_more_takes_the_partition_offline_with_a_sentence_until_a_restart()
    {
        using TempDirectory directory = TempDirectory.Create();
        var publisher = new Publisher();
        await using (EdgeNode edge = await EdgeNode.StartAsync(
            directory.At("data"), cloud.Kafka, Settings, Failing("pwrite64,pwritev:error=EROFS:when=9+")))
        {
            await Until.TrueAsync(
                async () => await publisher.PublishAsync(edge) < After && edge.Log.Contains("Offline", StringComparison.Ordinal), edge.Process.Story);
            Assert.Contains("Read-only file system", edge.Log);
            JsonElement status = await edge.StatusAsync();
            Assert.False(status.GetProperty("ready").GetBoolean());
            Assert.Contains("check the disk, then restart", status.GetProperty("notReady")[0].GetString());
        }
        await GoesOnAsync(directory, publisher);
    }

    private static string[] Failing(string injected) =>
        ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", "trace=fdatasync,pwrite64,pwritev", "-e", "inject=" + injected];

    private async Task GoesOnAsync(TempDirectory directory, Publisher publisher)
    {
        await using EdgeNode again = await EdgeNode.StartAsync(directory.At("data"), cloud.Kafka, Settings);
        Assert.Equal(After, await publisher.PublishAsync(again));
        await again.DrainedAsync();
        Assert.Empty(publisher.Acknowledged.Except(await NumbersAsync(publisher.Device)));
    }

    [Fact]
    public async Task A_full_disk_refuses_messages_until_there_is_room_and_a_read_only_one_ends_the_start_with_a_sentence()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root can mount a small disk");
        using TempDirectory directory = TempDirectory.Create();
        string disk = directory.At("disk");
        Directory.CreateDirectory(disk);
        (int mounted, _, string why) = await Tool.TryAsync("mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk);
        Assert.SkipUnless(mounted == 0, $"no disk can be mounted here: {why}");
        try
        {
            await FullThenReadOnlyAsync(disk);
        }
        finally
        {
            await Tool.TryAsync("umount", "-l", disk);
        }
    }

    private async Task FullThenReadOnlyAsync(string disk)
    {
        var settings = new Dictionary<string, string>(Settings)
        {
            ["TRIBUTARY__BUFFER__ALLOWVOLATILE"] = "true",
            ["TRIBUTARY__BUFFER__MINFREEBYTES"] = "1MiB",
            ["TRIBUTARY__BUFFER__SPACECHECKINTERVAL"] = "100ms",
        };
        string filler = Path.Combine(disk, "filler");
        string data = Path.Combine(disk, "data");
        var publisher = new Publisher();
        await using (EdgeNode edge = await EdgeNode.StartAsync(data, Nowhere, settings))
        {
            Assert.Equal(After, await publisher.PublishAsync(edge));
            await File.WriteAllBytesAsync(filler, new byte[FreeBytes(disk)]);
            await Until.TrueAsync(async () => await publisher.PublishAsync(edge) < After, edge.Process.Story);
            string? reason = (await edge.StatusAsync()).GetProperty("disk").GetProperty("full").GetString();
            Assert.Contains("buffer:minFreeBytes", reason);
            Assert.Contains("buffer:minFreeBytes", edge.Log);
            File.Delete(filler);
            await Until.TrueAsync(async () => await publisher.PublishAsync(edge) == After, edge.Process.Story);
            await edge.StopAsync();
        }
        await Tool.RunAsync("mount", "-o", "remount,ro", disk);
        await CannotStartAsync(data, "Read-only", settings);
        await Tool.RunAsync("mount", "-o", "remount,rw", disk);
        await using EdgeNode again = await EdgeNode.StartAsync(data, cloud.Kafka, settings);
        await again.DrainedAsync();
        Assert.Empty(publisher.Acknowledged.Except(await NumbersAsync(publisher.Device)));
        await again.StopAsync();
    }

    private static long FreeBytes(string disk) => new DriveInfo(disk).AvailableFreeSpace - (64 << 10);

    private static string NewDevice() => "d-" + Guid.NewGuid().ToString("N")[..12];

    private static string Partition(TempDirectory directory) => Path.Combine(directory.At("data"), "telemetry-0");

    /// <summary>Several segments of records that no cloud has.</summary>
    private static async Task<(string Device, string Partition)> FillAsync(TempDirectory directory, bool kill)
    {
        string device = NewDevice();
        await using EdgeNode edge = await EdgeNode.StartAsync(directory.At("data"), Nowhere, Settings);
        Assert.Equal(Before, await NumberPublisher.TryPublishAsync(edge.Mqtt, device, 1, Before, PayloadBytes));
        if (!kill)
        {
            await edge.StopAsync();
        }
        string partition = Partition(directory);
        Assert.True(Damage.Segments(partition).Length > 2);
        return (device, partition);
    }

    /// <summary>Publishes more, waits until the cloud has all that there is, and tells which of the earlier numbers are not there.</summary>
    private async Task<int[]> MissingAsync(EdgeNode edge, string device)
    {
        await NumberPublisher.PublishAsync(edge.Mqtt, device, Before + 1, After);
        await edge.DrainedAsync();
        List<int> numbers = await NumbersAsync(device);
        Assert.Equal(numbers.Distinct().Count(), numbers.Count);
        Assert.Empty(Enumerable.Range(Before + 1, After).Except(numbers));
        return [.. Enumerable.Range(1, Before).Except(numbers).Order()];
    }

    private async Task<List<int>> NumbersAsync(string device) =>
    [
        .. (await KafkaReader.ReadAllAsync(cloud.Kafka, "telemetry"))
            .Where(record => record.Key == device).Select(record => int.Parse(record.Text)),
    ];

    private static Task CannotStartAsync(string data, string named, params string[] prefix) =>
        CannotStartAsync(data, named, Settings, prefix);

    private static async Task CannotStartAsync(string data, string named, IReadOnlyDictionary<string, string> settings, params string[] prefix)
    {
        await using RunningProcess process = EdgeNode.Run(EdgeNode.Shipped, data, Nowhere, settings, prefix);
        Assert.Equal(3, await process.ExitAsync());
        Assert.Contains(named, process.Errors);
        Assert.DoesNotContain("   at ", process.Errors);
    }

    /// <summary>Publishes numbers as one device, none of them twice, and knows which were acknowledged.</summary>
    private sealed class Publisher
    {
        private int _sent;

        public string Device { get; } = NewDevice();

        public List<int> Acknowledged { get; } = [];

        /// <returns>How many were acknowledged.</returns>
        public async Task<int> PublishAsync(EdgeNode edge)
        {
            int acknowledged = await NumberPublisher.TryPublishAsync(edge.Mqtt, Device, _sent + 1, After, PayloadBytes);
            Acknowledged.AddRange(Enumerable.Range(_sent + 1, acknowledged));
            _sent += After;
            return acknowledged;
        }
    }
}
