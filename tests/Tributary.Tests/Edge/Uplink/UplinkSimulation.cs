using Tributary.Contracts.Records;
using Tributary.Edge.Uplink;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>A bug that is planted to see whether the checks find it.</summary>
internal enum Planted
{
    Nothing,

    /// <summary>The last sequence in the cloud is taken for one more than it is: a record is believed to be there that is not.</summary>
    PositionOneTooHigh,

    /// <summary>After a restart the ordinals count from one less than they should.</summary>
    OrdinalOneTooLowAfterRestart,

    /// <summary>The checkpoint is renamed into place without a sync of the directory.</summary>
    CheckpointNotDurable,

    /// <summary>The log is trimmed as far as was sent.</summary>
    TrimsWhatWasSent,

    /// <summary>Batches carry no sequence.</summary>
    NoSequences,

    /// <summary>The cloud takes what any process sends under a producer id.</summary>
    NoClaims,
}

/// <summary>
/// Edge partitions (one, unless its disk is copied), one cloud topic and the network between them, on one thread and in virtual time, all
/// from one seed. The edges do what <see cref="UplinkState"/> says, as the real driver does, and the world does what real ones do:
/// requests and answers are late, come after the link was cut, or never; answers come twice; leaders fail over; edges are killed at any
/// point.
/// </summary>
internal sealed class UplinkSimulation
{
    private readonly PriorityQueue<Action, (TimeSpan At, long Number)> _events = new();
    private readonly HashSet<long> _poisoned = [];
    private readonly HashSet<long> _givenUp = [];
    private readonly Dictionary<long, string> _flushed = [];
    private readonly List<SimulatedEdge> _edges = [];
    private UplinkCheckpoint? _remembered;
    private long _number;
    private long _lastId;

    public UplinkSimulation(int seed, Planted planted = Planted.Nothing, int partitions = 0)
    {
        Random = new Random(seed);
        Planted = planted;
        Options = DefaultOptions;
        Edge = new SimulatedEdge(this, DiskImage.Empty);
        _edges.Add(Edge);
        Cloud.SetPartitions(partitions > 0 ? partitions : 1 + Random.Next(4));
    }

    public static UplinkOptions DefaultOptions { get; } = new()
    {
        CloudHost = "cloud",
        CloudPort = 9092,
        Codec = CompressionCodec.None,
        MaxBatchBytes = 1024,
        MaxRoundBytes = 4096,
        ReadBytes = 4096,
        PipelineRecords = 20,
        QuietPeriod = TimeSpan.FromSeconds(3),
        ProgressTimeout = TimeSpan.FromSeconds(5),
        CheckpointInterval = TimeSpan.FromMilliseconds(300),
        MetadataRefresh = TimeSpan.FromSeconds(2),
        MaxBackoff = TimeSpan.FromSeconds(1),
        StablePeriod = TimeSpan.FromSeconds(1),
    };

    public UplinkOptions Options { get; set; }

    public Random Random { get; }

    public Planted Planted { get; }

    public SimulatedCloud Cloud { get; } = new();

    /// <summary>The first edge.</summary>
    public SimulatedEdge Edge { get; }

    /// <summary>The first one and its copies.</summary>
    public IReadOnlyList<SimulatedEdge> Edges => _edges;

    public SimulatedLog Log => Edge.Log;

    public UplinkState State => Edge.State;

    public List<UplinkNotice> Notices => Edge.Notices;

    public IReadOnlyDictionary<long, string> Flushed => _flushed;

    public HashSet<long> Poisoned => _poisoned;

    public TimeSpan Now { get; private set; }

    /// <summary>Whether answers to produce requests get lost while the link seems fine.</summary>
    public bool AnswersAreLost { get; set; }

    /// <summary>What the link carries.</summary>
    public int BytesPerSecond { get; set; } = int.MaxValue;

    /// <summary>Probability that a produce request is answered with a passing error.</summary>
    public double ErrorRate { get; set; }

    /// <summary>What each produce request is answered with instead of being served, if it is not none.</summary>
    public ErrorCode ProduceError { get; set; }

    /// <summary>Puts a copy of a disk into a second device, which is not running yet.</summary>
    public SimulatedEdge Clone(DiskImage image)
    {
        var clone = new SimulatedEdge(this, image);
        _edges.Add(clone);
        return clone;
    }

    /// <summary>Loses the first edge's link for a while.</summary>
    public void CutLink(TimeSpan duration) => Edge.CutLink(duration);

    /// <summary>All leaders change; what was not committed is lost, and so is who had claimed what.</summary>
    public void FailOver()
    {
        Cloud.Leaders++;
        foreach (SimulatedCloud.SimulatedPartition partition in Cloud.Partitions)
        {
            partition.FailOver();
        }
        foreach (SimulatedEdge edge in _edges)
        {
            edge.LoseLeader();
        }
    }

    /// <summary>Starts the first edge's agent on what its disk holds.</summary>
    public void Start() => Edge.Start();

    /// <summary>Cuts the first edge's power.</summary>
    public void Kill() => Edge.Kill();

    /// <summary>Keeps the checkpoint, as an image of the disk does.</summary>
    public void RememberCheckpoint() => _remembered = Edge.LoadCheckpoint();

    /// <summary>Puts the checkpoint back that was kept.</summary>
    public void RestoreCheckpoint() => Edge.SaveCheckpoint(_remembered!);

    /// <summary>
    /// Changes the checkpoint while the agent is not running. With <paramref name="last"/> the cloud is made to have just acknowledged
    /// that sequence under it.
    /// </summary>
    public void EditCheckpoint(Func<UplinkCheckpoint, UplinkCheckpoint> edit, int? last = null)
    {
        Run(TimeSpan.FromSeconds(5));
        Kill();
        UplinkCheckpoint edited = edit(Edge.LoadCheckpoint());
        Edge.SaveCheckpoint(edited);
        foreach (SimulatedCloud.SimulatedPartition partition in Cloud.Partitions)
        {
            partition.SetProducer(edited.ProducerId, edited.ProducerEpoch, last);
        }
        Start();
    }

    /// <summary>Takes in a batch of records; they are flushed by <see cref="FlushLog"/>.</summary>
    public void Ingest(int count, bool isPoisoned = false) => Edge.Ingest(count, isPoisoned);

    public void FlushLog() => Edge.FlushLog();

    public long NextId() => ++_lastId;

    /// <summary>A record is durable at an edge.</summary>
    public void NoteFlushed(long id, string key) => _flushed.Add(id, key);

    /// <summary>Records went with a disk.</summary>
    public void GiveUp(IEnumerable<long> ids) => _givenUp.UnionWith(ids);

    public void After(TimeSpan delay, Action action) => At(Now + delay, action);

    public void At(TimeSpan time, Action action) => _events.Enqueue(action, (time, ++_number));

    public TimeSpan Delay(int maxMilliseconds) => TimeSpan.FromMilliseconds(Random.NextDouble() * maxMilliseconds);

    /// <summary>Lets time pass and does what falls due.</summary>
    public void Run(TimeSpan duration) => RunUntil(() => false, duration);

    /// <summary>Lets time pass until <paramref name="condition"/> is true or <paramref name="limit"/> has passed.</summary>
    public bool RunUntil(Func<bool> condition, TimeSpan limit)
    {
        TimeSpan end = Now + limit;
        while (!condition())
        {
            if (!_events.TryPeek(out _, out (TimeSpan At, long Number) next) || next.At > end)
            {
                Now = end;
                return condition();
            }
            Now = next.At;
            _events.Dequeue()();
        }
        return true;
    }

    /// <summary>Whether everything that was flushed is acknowledged, as far as the edges know.</summary>
    public bool IsSettled() => _edges.TrueForAll(edge => edge.IsSettled());

    /// <summary>Says what is wrong: each flushed record must be in the cloud once, and each key's records in order.</summary>
    /// <param name="mayRepeat">Whether records may be there more than once.</param>
    /// <param name="isOrdered">Whether each key's records come first in order: not so if several edges send them.</param>
    public string? FindFault(bool mayRepeat = false, bool isOrdered = true)
    {
        var seen = new Dictionary<long, long>();
        var byKey = new Dictionary<string, List<CloudRecord>>();
        for (int target = 0; target < Cloud.Partitions.Count; target++)
        {
            foreach (CloudRecord record in Cloud.Committed(target))
            {
                if (!_flushed.ContainsKey(record.Id))
                {
                    return $"record {record.Id} is there and was never flushed";
                }
                if (!seen.TryAdd(record.Id, record.Order))
                {
                    if (!mayRepeat)
                    {
                        return $"record {record.Id} is there twice (again in partition {target})";
                    }
                    continue; // its place is where it came first
                }
                if (!byKey.TryGetValue(record.Key, out List<CloudRecord>? list))
                {
                    byKey.Add(record.Key, list = []);
                }
                list.Add(record);
            }
        }
        foreach (long id in _flushed.Keys)
        {
            if (!seen.ContainsKey(id) && !_poisoned.Contains(id) && !_givenUp.Contains(id) && !_edges.Exists(edge => edge.Log.LostIds.Contains(id)))
            {
                return $"record {id} of {_flushed[id]} is missing";
            }
        }
        return isOrdered ? FindDisorder(byKey) : null;
    }

    private static string? FindDisorder(Dictionary<string, List<CloudRecord>> byKey)
    {
        foreach ((string key, List<CloudRecord> list) in byKey)
        {
            long last = 0;
            foreach (CloudRecord record in list.OrderBy(record => record.Order))
            {
                if (record.Id < last)
                {
                    return $"record {record.Id} of {key} comes after {last}";
                }
                last = record.Id;
            }
        }
        return null;
    }
}
