using System.Globalization;
using System.Text;
using Tributary.Contracts.Records;
using Tributary.Edge.Uplink;
using Tributary.Log;
using Tributary.Tests.Edge.Uplink;
using Tributary.Tests.Log.Support;

namespace Tributary.Tests.Crash;

/// <summary>An agent with a few local partitions and their uplinks. Sessions have a simulation of their own, with uplinks too.</summary>
internal sealed class SimulatedEdgeSide : SimulatedSide
{
    private const int Devices = 5;
    private readonly UplinkDriver[] _uplinks;
    private readonly RecordBatchBuilder _builder = new();
    private int _lastId;

    public SimulatedEdgeSide(
        SimulatedNetwork network, Random random, PlantedBug bug, int partitions, SimulatedCloudSide cloud, List<string> story)
        : base("edge", network, random, bug, partitions, story)
    {
        _uplinks = [.. Enumerable.Range(0, partitions).Select(_ => new UplinkDriver(network, cloud, random) { IsAlive = () => !IsDead })];
    }

    /// <summary>Whether the cloud has everything, as far as the edge knows.</summary>
    public bool IsSettled => IsUp && !IsDead
        && _uplinks.Select((uplink, i) => uplink.State is { IsIdle: true } state && state.Acked == Logs[i].AppendedEnd).All(settled => settled);

    /// <summary>Records that were reported as lost.</summary>
    public long Gaps => _uplinks.Sum(uplink => uplink.State?.GapTotal ?? 0);

    public IEnumerable<UplinkNotice> Notices => _uplinks.SelectMany(uplink => uplink.Notices);

    public string Where => string.Join(", ", _uplinks.Select((uplink, i) =>
        $"{i}: {uplink.State?.Phase} ({uplink.State?.Reason}) at {uplink.State?.Acked} of {Logs[i].AppendedEnd}"));

    /// <summary>Takes in a batch of records, each with its number. Many batches have the same size, as those of a former life of a file.</summary>
    public void Ingest()
    {
        int index = Random.Next(Logs.Length);
        _builder.Reset();
        for (int left = 1 + Random.Next(4); left > 0; left--)
        {
            string key = string.Create(CultureInfo.InvariantCulture, $"device-{index}-{Random.Next(Devices)}");
            string value = string.Create(CultureInfo.InvariantCulture, $"{++_lastId:D8}{new string('.', 40 * Random.Next(2))}");
            _builder.Add(1000 + _lastId, Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(value), EncodedHeaders.None);
        }
        ReadOnlySpan<byte> batch = _builder.Build(BatchProducer.None).Span;
        AppendResult result = Logs[index].Append(batch);
        if (result.Error == AppendError.None)
        {
            Appended(index, result, batch, 0);
        }
    }

    public void LoseLink(string reason)
    {
        foreach (UplinkDriver uplink in _uplinks)
        {
            uplink.State?.OnLinkLost(Network.Now, reason);
            uplink.Pump();
        }
    }

    protected override int MaxLeaderEpoch => 0;

    protected override void Started()
    {
        for (int i = 0; i < _uplinks.Length; i++)
        {
            _uplinks[i].Start(
                new Source(Logs[i], Models[i], ScheduleRound), new CheckpointFile(Storage, $"{Root}/{PartitionName(i)}"), UplinkSimulation.DefaultOptions);
            _uplinks[i].Pump();
        }
    }

    protected override void Ended()
    {
        Network.Break();
        Array.ForEach(_uplinks, uplink => uplink.Kill());
    }

    protected override void RoundEnded() => Array.ForEach(_uplinks, uplink => uplink.Pump());

    /// <summary>The log, of which the model hears how far it was trimmed.</summary>
    private sealed class Source(PartitionLog log, PartitionModel model, Action trimmed) : IUplinkSource
    {
        public long StartOffset => log.StartOffset;

        public long FlushedEnd => log.FlushedEnd;

        public LogRead Read(long offset, int maxBytes, long upTo) => log.Read(offset, maxBytes, upTo);

        public void ReportDamage(long offset) => log.ReportDamage(offset);

        public void SaveBeside(Action save) => log.SaveBeside(save);

        public void AdvanceStart(long offset)
        {
            model.AskedStart = Math.Max(model.AskedStart, offset);
            log.AdvanceStart(offset);
            trimmed();
        }
    }
}
