using System.Globalization;
using System.Text;
using Tributary.Contracts.Records;
using Tributary.Edge.Uplink;
using Tributary.Tests.Log.Support;

namespace Tributary.Tests.Crash;

/// <summary>
/// An edge and a cloud together, each on a disk of its own, in virtual time and from one seed: logs, producer state and uplink checkpoint.
/// Either may lose its power at any write or flush, while it starts too, has failing writes and flushes, ends in order or is killed; the
/// link is cut; disks are damaged and filled up. After every start, everything acknowledged is there and nothing else, but for what was
/// damaged, and that is reported; at the end the cloud has each record that the edge had, once and in order.
/// </summary>
internal sealed class CrashSimulation
{
    private const int Steps = 24;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(20);
    private readonly Random _random;
    private readonly SimulatedNetwork _network;
    private readonly SimulatedCloudSide _cloud;
    private readonly SimulatedEdgeSide _edge;
    private readonly List<string> _story = [];

    public CrashSimulation(int seed, PlantedBug bug)
    {
        _random = new Random(seed * 7919);
        _network = new SimulatedNetwork(_random);
        _cloud = new SimulatedCloudSide(_network, _random, bug, 1 + _random.Next(3), _story);
        _edge = new SimulatedEdgeSide(_network, _random, bug, 1 + _random.Next(2), _cloud, _story);
    }

    /// <summary>How often one of the two died.</summary>
    public int Crashes => _edge.Crashes + _cloud.Crashes;

    /// <summary>What happened last, for the report of a fault.</summary>
    public string Story => string.Join('\n', _story.TakeLast(120).Concat(_edge.Notices.TakeLast(20).Select(notice => notice.ToString())));

    /// <summary>Runs all of it.</summary>
    /// <returns>What was wrong, null if nothing.</returns>
    public string? Run()
    {
        _cloud.Start(isCalm: false);
        _edge.Start(isCalm: false);
        for (int step = 0; step < Steps && Fault is null; step++)
        {
            Step();
            Run(_network.Delay(_random.Next(8) == 0 ? 4000 : 60), isCalm: false);
        }
        if (Fault is null)
        {
            Restart(_edge, PowerCut.LosesNothing, isCalm: true);
            Restart(_cloud, PowerCut.LosesNothing, isCalm: true);
            Run(Patience, isCalm: true);
            _edge.Check();
            _cloud.Check();
        }
        return Fault ?? (_edge.IsSettled ? FindFault() : $"not settled: {_edge.Where}");
    }

    private string? Fault => _edge.Fault ?? _cloud.Fault;

    private void Step()
    {
        SimulatedSide side = _random.Next(2) == 0 ? _edge : _cloud;
        switch (_random.Next(27))
        {
            case 0 or 1 or 2:
                side.CrashAfter(_random.Next(30));
                break;
            case 3:
                Restart(side, null, isCalm: false);
                break;
            case 4:
                Restart(side, PowerCut.LosesNothing, isCalm: false);
                break;
            case 5:
                side.Fail(FaultPoint.SegmentFlush, 1 + _random.Next(3));
                break;
            case 6:
                side.Fail(_random.Next(2) == 0 ? FaultPoint.SegmentWrite : FaultPoint.StateFlush, 1 + _random.Next(3));
                break;
            case 7:
                _network.Cut(_network.Delay(1500));
                _edge.LoseLink("the link was cut");
                break;
            case 8:
                _cloud.DeleteRecords();
                break;
            case 9:
                side.Check();
                break;
            case 10:
                side.Fail(SimulatedSide.ReadFaults[_random.Next(SimulatedSide.ReadFaults.Length)], 1 + _random.Next(8));
                break;
            case 11:
                side.Fill();
                break;
            case 12:
                side.MakeRoom();
                break;
            default:
                for (int left = _random.Next(4); left >= 0; left--)
                {
                    _edge.Ingest();
                }
                break;
        }
    }

    /// <summary>Lets time pass, and starts again who has died in it.</summary>
    private void Run(TimeSpan duration, bool isCalm)
    {
        TimeSpan end = _network.Now + duration;
        while (Fault is null && _network.RunUntil(
            () => Fault is not null || IsToRestart(_edge) || IsToRestart(_cloud) || (isCalm && _edge.IsSettled), end - _network.Now))
        {
            if (IsToRestart(_edge))
            {
                Restart(_edge, PowerCut.LosesNothing, isCalm);
            }
            else if (IsToRestart(_cloud))
            {
                Restart(_cloud, PowerCut.LosesNothing, isCalm);
            }
            else
            {
                return;
            }
        }
    }

    private static bool IsToRestart(SimulatedSide side) => side.IsDead || side.IsOffline;

    private void Restart(SimulatedSide side, PowerCut? cut, bool isCalm)
    {
        side.Stop(cut);
        if (side == _cloud)
        {
            _network.Break();
            _edge.LoseLink("the cloud went away");
        }
        if (_random.Next(10) == 0 && !isCalm)
        {
            side.DamageDisk();
        }
        if (!isCalm && _random.Next(2) == 0 && !_edge.IsDead)
        {
            _network.RunUntil(() => _edge.IsDead || _cloud.IsDead, _network.Delay(500));
        }
        if (Fault is null && !(side == _cloud && _edge.IsDead && isCalm))
        {
            side.Start(isCalm);
        }
    }

    private string? FindFault()
    {
        HashSet<int> stored = [];
        // Behind a hole that damage has left, nobody can tell how far the cloud is.
        bool mayRepeat = _edge.Notices.Any(notice => notice.Kind == UplinkNoticeKind.MayRepeat);
        foreach (PartitionModel model in _cloud.Models)
        {
            var last = new Dictionary<string, int>();
            foreach ((string key, int id) in model.Batches.SelectMany(Records))
            {
                if (!stored.Add(id))
                {
                    if (mayRepeat)
                    {
                        continue;
                    }
                    return $"record {id} is in the cloud twice";
                }
                if (last.GetValueOrDefault(key) > id)
                {
                    return $"record {id} of {key} comes after {last[key]}";
                }
                last[key] = id;
            }
        }
        int missing = 0;
        foreach (PartitionModel model in _edge.Models)
        {
            foreach (ModelBatch batch in model.Batches)
            {
                foreach ((_, int id) in Records(batch))
                {
                    if (stored.Remove(id))
                    {
                        continue;
                    }
                    if (!model.Damaged.Contains(batch.BaseOffset))
                    {
                        return $"record {id} at {batch.BaseOffset} of the edge is not in the cloud";
                    }
                    missing++;
                }
            }
        }
        return stored.Count > 0 ? $"record {stored.First()} is in the cloud and was never durable at the edge"
            : missing > _edge.Gaps ? $"{missing} damaged records are missing in the cloud, {_edge.Gaps} are reported"
            : null;
    }

    private static List<(string Key, int Id)> Records(ModelBatch stored)
    {
        var records = new List<(string, int)>();
        RecordBatch.TryRead(stored.Bytes, out RecordBatch batch);
        var reader = new RecordReader(batch.Payload, batch.RecordCount);
        while (reader.Read(out Record record))
        {
            records.Add((Encoding.UTF8.GetString(record.Key), int.Parse(record.Value[..8], CultureInfo.InvariantCulture)));
        }
        return records;
    }
}
