using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Confluent.Kafka;
using Tributary.Conformance.Harness;

namespace Tributary.Conformance.Clients;

/// <summary>Clients that can be members of one group: all of them have the assignor round robin.</summary>
internal enum MixedMemberKind
{
    /// <summary>kcat, a process that says what it reads.</summary>
    Kcat,

    /// <summary>kafkajs.</summary>
    Kafkajs,

    /// <summary>@platformatic/kafka.</summary>
    Platformatic,

    /// <summary>Confluent.Kafka, in the process of the test.</summary>
    Confluent,
}

/// <summary>A member of a group of different clients. Used by one thread.</summary>
internal abstract class MixedMember(MixedMemberKind kind, int id, int firstChange) : IAsyncDisposable
{
    /// <summary>How many changes there had been when it joined.</summary>
    public int FirstChange => firstChange;

    /// <summary>When it goes on, 0 if it doesn't stand still.</summary>
    public long ResumesAt { get; private set; }

    /// <summary>kcat commits records before it has written them: what it had in its hands when it was killed, nobody would see.</summary>
    public bool IsSafeToKill => kind != MixedMemberKind.Kcat;

    /// <summary>Whether it is gone.</summary>
    public abstract bool HasEnded { get; }

    /// <summary>How often it was told its partitions.</summary>
    public abstract int Joins { get; }

    /// <summary>What it read, in its order.</summary>
    public abstract IEnumerable<(int Partition, long Offset, string Key, int Number)> Records { get; }

    /// <summary>The commits that it says were acknowledged.</summary>
    public abstract IEnumerable<(int Partition, long Offset)> Commits { get; }

    /// <summary>Has a client join the group.</summary>
    public static MixedMember Start(
        MixedMemberKind kind, int id, int firstChange, string kafka, string group, string topic, int sessionTimeoutMs) =>
        kind == MixedMemberKind.Confluent
            ? new Library(id, firstChange, GroupConsumer.Start(
                kafka, group, topic, PartitionAssignmentStrategy.RoundRobin, sessionTimeoutMs: sessionTimeoutMs, maxPollIntervalMs: sessionTimeoutMs))
            : new Program(kind, id, firstChange, Launch(kind, kafka, group, topic, sessionTimeoutMs));

    /// <summary>Does nothing for a while, in which it may lose its place.</summary>
    public void StandStill(int milliseconds)
    {
        ResumesAt = Environment.TickCount64 + milliseconds;
        Pause();
    }

    /// <summary>Goes on.</summary>
    public void Resume()
    {
        ResumesAt = 0;
        GoOn();
    }

    /// <summary>Leaves the group.</summary>
    public abstract Task StopAsync();

    /// <summary>Goes without a word.</summary>
    public abstract Task KillAsync();

    /// <inheritdoc/>
    public abstract ValueTask DisposeAsync();

    /// <inheritdoc/>
    public override string ToString() => $"{kind} {id}";

    /// <summary>Stands still.</summary>
    protected abstract void Pause();

    /// <inheritdoc cref="Resume"/>
    protected abstract void GoOn();

    private static int Int32(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    private static RunningProcess Launch(MixedMemberKind kind, string kafka, string group, string topic, int sessionTimeoutMs)
    {
        if (kind == MixedMemberKind.Kcat)
        {
            return RunningProcess.Start(
                "kcat", "kcat",
                [
                    "-b", kafka, "-G", group, "-u", "-X", $"session.timeout.ms={sessionTimeoutMs}", "-X", "heartbeat.interval.ms=300",
                    "-X", "auto.offset.reset=earliest", "-X", "auto.commit.interval.ms=200", "-X", "partition.assignment.strategy=roundrobin",
                    "-X", "topic.metadata.refresh.interval.ms=2000", "-f", "%p %o %k %s\n", topic,
                ]);
        }
        NodeClientKind client = kind == MixedMemberKind.Kafkajs ? NodeClientKind.Kafkajs : NodeClientKind.Platformatic;
        return NodeClient.Start(
            client, "member", kafka, new JsonObject { ["topic"] = topic, ["group"] = group, ["sessionTimeout"] = sessionTimeoutMs });
    }

    /// <summary>A process: it is stopped, killed and halted by signals.</summary>
    private sealed class Program(MixedMemberKind kind, int id, int firstChange, RunningProcess process) : MixedMember(kind, id, firstChange)
    {
        private readonly bool _isKcat = kind == MixedMemberKind.Kcat;
        private readonly bool _tellsCommits = kind == MixedMemberKind.Platformatic;

        public override bool HasEnded => process.HasExited;

        public override int Joins => _isKcat
            ? process.Errors.Split('\n').Count(line => line.Contains("assigned:", StringComparison.Ordinal))
            : NodeClient.Lines(process).Count(line => IsEvent(line, "joined"));

        public override IEnumerable<(int Partition, long Offset, string Key, int Number)> Records => _isKcat ? OfKcat() : OfNode();

        public override IEnumerable<(int Partition, long Offset)> Commits => _tellsCommits
            ? NodeClient.Lines(process).Where(line => IsEvent(line, "committed"))
                .Select(line => (line.GetProperty("partition").GetInt32(), line.GetProperty("offset").GetInt64()))
            : [];

        public override async Task StopAsync()
        {
            process.Stop();
            await process.ExitAsync();
        }

        public override Task KillAsync() => process.KillAsync();

        public override ValueTask DisposeAsync() => process.DisposeAsync();

        protected override void Pause() => process.Pause();

        protected override void GoOn() => process.Resume();

        private IEnumerable<(int Partition, long Offset, string Key, int Number)> OfKcat() =>
            from line in process.Output.Split('\n')
            let parts = line.Split(' ')
            where parts.Length == 4
            select (Int32(parts[0]), long.Parse(parts[1], CultureInfo.InvariantCulture), parts[2], Int32(parts[3]));

        private IEnumerable<(int Partition, long Offset, string Key, int Number)> OfNode() =>
            from line in NodeClient.Lines(process)
            where IsEvent(line, "record")
            select (
                line.GetProperty("partition").GetInt32(), line.GetProperty("offset").GetInt64(), line.GetProperty("key").GetString()!,
                Int32(line.GetProperty("value").GetString()!));

        private static bool IsEvent(JsonElement line, string what) => line.GetProperty("event").GetString() == what;
    }

    /// <summary>A library: it closes, is dropped without closing, and is not polled while it stands still.</summary>
    private sealed class Library(int id, int firstChange, GroupConsumer consumer) : MixedMember(MixedMemberKind.Confluent, id, firstChange)
    {
        private bool _hasEnded;

        public override bool HasEnded => _hasEnded;

        public override int Joins => consumer.Assignments;

        public override IEnumerable<(int Partition, long Offset, string Key, int Number)> Records =>
            consumer.Records.Select(record => (record.Partition, record.Offset, record.Key, Int32(record.Value)));

        public override IEnumerable<(int Partition, long Offset)> Commits => consumer.Commits;

        public override async Task StopAsync() => await DisposeAsync();

        public override async Task KillAsync()
        {
            _hasEnded = true;
            await consumer.CrashAsync();
        }

        public override async ValueTask DisposeAsync()
        {
            _hasEnded = true;
            await consumer.DisposeAsync();
        }

        protected override void Pause() => consumer.Pause();

        protected override void GoOn() => consumer.Resume();
    }
}
