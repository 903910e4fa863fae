using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Edge.Buffer;
using Tributary.Edge.Uplink;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Support;
using Xunit;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>The driver, against a cloud in memory that answers from other threads.</summary>
public sealed class PartitionUplinkTests : IAsyncLifetime
{
    private readonly CloudInMemory _cloud = new();
    private readonly SharedLog _log = new();
    private readonly MemoryStorage _storage = new();
    private readonly DeadLetterHarness _dead = new();
    private readonly UplinkCounters _counters = new();
    private PartitionUplink? _uplink;
    private long _lastId;

    private static UplinkOptions Options => UplinkSimulation.DefaultOptions with
    {
        CheckpointInterval = TimeSpan.FromMilliseconds(20),
        FirstBackoff = TimeSpan.FromMilliseconds(1),
        MaxBackoff = TimeSpan.FromMilliseconds(20),
        QuietPeriod = TimeSpan.FromMilliseconds(50),
        ProgressTimeout = TimeSpan.FromMilliseconds(500),
    };

    public ValueTask InitializeAsync()
    {
        _storage.CreateDirectory("telemetry-0");
        _storage.SyncDirectory("");
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        if (_uplink is not null)
        {
            await _uplink.DisposeAsync();
        }
        await _dead.DisposeAsync();
    }

    [Fact]
    public async Task Everything_flushed_is_sent_acknowledged_and_trimmed()
    {
        Start();
        Ingest(500);
        await Until(() => _uplink!.Status is { State: "idle", AckedOffset: 500 } && _log.StartOffset == 500);

        Assert.Equal(500, _cloud.Ids().Count);
        Assert.NotNull(_counters.LastAck);
    }

    [Fact]
    public async Task After_a_stop_and_a_start_nothing_is_sent_twice()
    {
        Start();
        for (int i = 0; i < 5; i++)
        {
            Ingest(100);
            await Until(() => _cloud.Ids().Count > i * 100);
            await _uplink!.DisposeAsync();
            Start();
        }
        await Until(() => _uplink!.Status.AckedOffset == 500);

        Assert.Equal(500, _cloud.Ids().Count);
        Assert.Equal(500, _cloud.Ids().Distinct().Count());
    }

    [Fact]
    public async Task Lost_connections_lose_and_repeat_nothing()
    {
        _cloud.FailEvery = 4;
        Start();
        for (int i = 0; i < 50; i++)
        {
            Ingest(20);
            await Task.Yield();
        }
        await Until(() => _uplink!.Status.AckedOffset == 1000);

        Assert.Equal(1000, _cloud.Ids().Count);
        Assert.Equal(1000, _cloud.Ids().Distinct().Count());
        Assert.True(_uplink!.Retries > 0);
    }

    [Fact]
    public async Task A_request_that_is_never_answered_gets_its_connection_dropped()
    {
        _cloud.AnswerNothing = true;
        Start();
        Ingest(10);
        await Until(() => _cloud.Drops > 0);
        _cloud.AnswerNothing = false;
        await Until(() => _uplink!.Status.AckedOffset == 10);

        Assert.Equal(10, _cloud.Ids().Count);
    }

    [Fact]
    public async Task A_cloud_that_is_away_is_a_reason_in_the_status()
    {
        _cloud.IsAway = true;
        Start();
        Ingest(10);
        await Until(() => _uplink!.Status is { State: "backoff", Reason: "away" });
        _cloud.IsAway = false;
        await Until(() => _uplink!.Status.AckedOffset == 10);
    }

    [Fact]
    public void A_damaged_checkpoint_stops_unless_the_settings_say_to_send_again()
    {
        using (IStorageFile file = _storage.Open($"telemetry-0/{CheckpointFile.FileName}", create: true))
        {
            file.Write(0, new byte[100]);
        }

        UplinkStoppedException stopped = Assert.Throws<UplinkStoppedException>(() => Create(Options));
        Assert.Contains("onCheckpointDamaged", stopped.Message, StringComparison.Ordinal);
        Assert.Equal(-1, Create(Options with { OnCheckpointDamaged = OnDamaged.Resend }).Status.ProducerId);
    }

    [Fact]
    public async Task A_checkpoint_that_is_missing_although_the_log_was_trimmed_stops_as_a_damaged_one_does()
    {
        Start();
        Ingest(100);
        await Until(() => _log.StartOffset == 100);
        await _uplink!.DisposeAsync();
        _storage.Delete($"telemetry-0/{CheckpointFile.FileName}");
        UplinkStoppedException stopped = Assert.Throws<UplinkStoppedException>(() => Create(Options));

        Assert.Contains("missing", stopped.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_record_that_is_refused_for_good_is_kept_before_it_is_passed_over()
    {
        Start();
        Ingest(10);
        _log.Append([("device-1", ++_lastId, ""), ("device-2", ++_lastId, SimulatedCloud.Poison), ("device-3", ++_lastId, "")]);
        Ingest(10);
        await Until(() => _uplink!.Status is { State: "idle", AckedOffset: 23 });

        DeadLetter letter = Assert.Single(_dead.Letters.Read(0, 1 << 20));
        Assert.Equal(("telemetry", 0, 11L), (letter.Topic, letter.Partition, letter.Offset));
        Assert.Equal("device-2", System.Text.Encoding.UTF8.GetString(letter.Key));
        Assert.StartsWith("12 ", System.Text.Encoding.UTF8.GetString(letter.Value), StringComparison.Ordinal);
        Assert.Contains("InvalidRecord", letter.Reason, StringComparison.Ordinal);
        Assert.Equal(1, _uplink!.Status.Refused);
        Assert.Equal(Enumerable.Range(1, 23).Where(id => id != 12).Select(id => (long)id), _cloud.Ids().Order());
    }

    [Fact]
    public async Task The_end_of_the_log_is_noted_before_anything_is_ingested()
    {
        Start();
        Ingest(10);
        await Until(() => _uplink!.Status is { State: "idle", AckedOffset: 10 });
        await _uplink!.DisposeAsync();
        _cloud.IsAway = true;
        Create(Options);

        new CheckpointFile(_storage, "telemetry-0").Load(out UplinkCheckpoint checkpoint);
        Assert.Equal(10, checkpoint.UnresolvedEnd);
        _cloud.IsAway = false;
    }

    private void Start()
    {
        _uplink = Create(Options);
        _log.Flushed = _uplink.Wake;
        _uplink.Start();
    }

    private PartitionUplink Create(UplinkOptions options) => new(
        new BufferPartition("telemetry", 0, null!, "telemetry-0"), _log, _log.FlushedEnd, new CheckpointFile(_storage, "telemetry-0"),
        _dead.Letters, null, _cloud, new LinkShare(CapSchedule.Always(null), TimeProvider.System), LinkShare.DefaultPriority, options,
        TimeProvider.System, _counters, NullLogger.Instance, new Random(1));

    private void Ingest(int count)
    {
        for (int i = 0; i < count; i += 10)
        {
            _log.Append([.. Enumerable.Range(0, 10).Select(n => ($"device-{n}", ++_lastId, ""))]);
        }
    }

    private static Task Until(Func<bool> condition) => Waiting.Until(condition);

    /// <summary>One node that leads everything.</summary>
    private sealed class CloudInMemory : ICloud, ICloudNode
    {
        private readonly SimulatedCloud _cloud = new();
        private readonly Lock _lock = new();
        private readonly List<TaskCompletionSource<IReadOnlyList<ProduceAnswer>>> _waiting = [];
        private int _requests;

        public CloudInMemory() => _cloud.SetPartitions(3);

        public int FailEvery { get; set; }

        public bool AnswerNothing { get; set; }

        public bool IsAway { get; set; }

        public int Drops { get; private set; }

        public bool IsConnected => !IsAway;

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;

        public List<long> Ids()
        {
            lock (_lock)
            {
                return [.. Enumerable.Range(0, 3).SelectMany(_cloud.Committed).Select(record => record.Id)];
            }
        }

        public Task<TopicMetadata> GetMetadataAsync(string topic, bool allowCreate, CancellationToken cancellation) =>
            Ask(() => new TopicMetadata(_cloud.ClusterId, _cloud.TopicId, 3));

        public Task<(long ProducerId, short ProducerEpoch)> InitProducerIdAsync(CancellationToken cancellation) =>
            Ask(() => (_cloud.NewProducerId(), (short)0));

        public Task<CloudPosition[]> GetPositionsAsync(
            string topic, long producerId, ProducerClaim claim, int targets, CancellationToken cancellation) =>
            Ask(() => _cloud.Describe(producerId, claim.Incarnation, claim.Start, targets));

        public ValueTask<ICloudNode> GetLeaderAsync(string topic, int target, CancellationToken cancellation) =>
            IsAway ? throw new CloudException("away") : ValueTask.FromResult<ICloudNode>(this);

        public Task<IReadOnlyList<ProduceAnswer>> Produce(string topic, Guid incarnation, IReadOnlyList<RoundBatch> batches)
        {
            lock (_lock)
            {
                int number = ++_requests;
                bool isLost = FailEvery > 0 && number % FailEvery == 0;
                if (isLost && number % 2 == 0)
                {
                    return Task.FromException<IReadOnlyList<ProduceAnswer>>(new CloudException("lost before"));
                }
                List<ProduceAnswer> answers = [];
                foreach (RoundBatch batch in batches)
                {
                    SimulatedCloud.SimulatedPartition partition = _cloud.Partitions[batch.Target];
                    (Contracts.Kafka.ErrorCode error, long offset, long end) = partition.Append(batch.Bytes.Span, incarnation);
                    partition.Commit(end);
                    answers.Add(new ProduceAnswer(batch, error, offset));
                }
                if (AnswerNothing)
                {
                    var waiting = new TaskCompletionSource<IReadOnlyList<ProduceAnswer>>();
                    _waiting.Add(waiting);
                    return waiting.Task;
                }
                return isLost
                    ? Task.FromException<IReadOnlyList<ProduceAnswer>>(new CloudException("lost after"))
                    : Answer(answers);
            }
        }

        public void Drop(string reason)
        {
            lock (_lock)
            {
                Drops++;
                _waiting.ForEach(waiting => waiting.TrySetException(new CloudException(reason)));
                _waiting.Clear();
            }
        }

        private static async Task<IReadOnlyList<ProduceAnswer>> Answer(List<ProduceAnswer> answers)
        {
            await Task.Yield();
            return answers;
        }

        private async Task<T> Ask<T>(Func<T> answer)
        {
            await Task.Yield();
            if (IsAway)
            {
                throw new CloudException("away");
            }
            lock (_lock)
            {
                return answer();
            }
        }
    }
}
