using System.Diagnostics;
using Confluent.Kafka;

namespace Tributary.Conformance.Clients;

/// <summary>
/// A Confluent.Kafka consumer that is a member of a group: it reads, commits what it has read, and notes what was acknowledged and how
/// often partitions came or went. It may stand still, or crash: it is gone then without having left. Its numbers can be read from any
/// thread.
/// </summary>
internal sealed class GroupConsumer : IAsyncDisposable
{
    private const int KeptLines = 60;
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);
    private readonly Lock _lock = new();
    private readonly IConsumer<string, string> _consumer;
    private readonly Dictionary<TopicPartition, long> _next = [];
    private readonly Dictionary<TopicPartition, long> _acknowledged = [];
    private readonly List<(int Partition, long Offset, string Key, string Value)> _records = [];
    private readonly List<string> _errors = [];
    private readonly List<(int Partition, long Offset)> _commits = [];
    private readonly Queue<string> _log = new();
    private readonly Task _reading;
    private string _doing = "begins";
    private long _doingSince = Stopwatch.GetTimestamp();
    private volatile bool _isStopping;
    private volatile bool _isCrashing;
    private readonly ManualResetEventSlim _goesOn = new(initialState: true);
    private int _changes;
    private int _assignments;

    private GroupConsumer(ConsumerConfig config, string topic)
    {
        _consumer = new ConsumerBuilder<string, string>(config)
            .SetLogHandler((_, line) => Note(line.Message))
            .SetErrorHandler((_, _) => { })
            .SetPartitionsAssignedHandler((_, _) => CountAssignment())
            .SetPartitionsRevokedHandler((_, partitions) => Forget(partitions.Select(one => one.TopicPartition)))
            .SetPartitionsLostHandler((_, partitions) => Forget(partitions.Select(one => one.TopicPartition)))
            .Build();
        _consumer.Subscribe(topic);
        _reading = Task.Run(Read);
    }

    /// <summary>How often partitions were given or taken.</summary>
    public int Changes => Volatile.Read(ref _changes);

    /// <summary>How often it was told its partitions, be they none.</summary>
    public int Assignments => Volatile.Read(ref _assignments);

    /// <summary>The numbers of its partitions.</summary>
    public int[] Partitions
    {
        get
        {
            try
            {
                return [.. _consumer.Assignment.Select(one => one.Partition.Value).Order()];
            }
            catch (ObjectDisposedException)
            {
                return [];
            }
        }
    }

    /// <summary>What it has read, in its order.</summary>
    public (int Partition, long Offset, string Key, string Value)[] Records
    {
        get
        {
            lock (_lock)
            {
                return [.. _records];
            }
        }
    }

    /// <summary>The offsets whose commit was acknowledged, the latest of each partition.</summary>
    public IReadOnlyDictionary<int, long> Acknowledged
    {
        get
        {
            lock (_lock)
            {
                return _acknowledged.ToDictionary(one => one.Key.Partition.Value, one => one.Value);
            }
        }
    }

    /// <summary>Every commit that was acknowledged.</summary>
    public (int Partition, long Offset)[] Commits
    {
        get
        {
            lock (_lock)
            {
                return [.. _commits];
            }
        }
    }

    /// <summary>What went wrong on the way, for an error message.</summary>
    public string Story()
    {
        lock (_lock)
        {
            return $"{_records.Count} records, {_commits.Count} commits, partitions {string.Join(' ', Partitions)}; {_doing} "
                + $"since {Stopwatch.GetElapsedTime(_doingSince).TotalSeconds:0.0} s; {string.Join("; ", _errors.TakeLast(10))}\n"
                + string.Join('\n', Log());
        }
    }

    /// <summary>Joins the group: by a strategy of the classic protocol, or by the newer one if there is none.</summary>
    public static GroupConsumer Start(
        string kafka, string group, string topic, PartitionAssignmentStrategy? strategy, string? instance = null,
        int sessionTimeoutMs = 45_000, int? maxPollIntervalMs = null) => new( // a session is longer than a restart on a busy machine
            new ConsumerConfig
            {
                BootstrapServers = kafka,
                GroupId = group,
                GroupInstanceId = instance,
                GroupProtocol = strategy is null ? GroupProtocol.Consumer : GroupProtocol.Classic,
                PartitionAssignmentStrategy = strategy,
                SessionTimeoutMs = strategy is null ? null : sessionTimeoutMs,
                MaxPollIntervalMs = maxPollIntervalMs,
                HeartbeatIntervalMs = strategy is null ? null : 300,
                AutoOffsetReset = AutoOffsetReset.Earliest,
                EnableAutoCommit = false,
                ReconnectBackoffMs = 20,
                ReconnectBackoffMaxMs = 200,
                Debug = "cgrp", // its last lines are shown when a test fails
            },
            topic);

    /// <summary>Reads no more until it resumes, so that it leaves the group if that takes longer than its poll interval.</summary>
    public void Pause() => _goesOn.Reset();

    /// <summary>Reads on.</summary>
    public void Resume() => _goesOn.Set();

    /// <summary>Goes without a word, as when its process is killed.</summary>
    public async Task CrashAsync()
    {
        _isCrashing = true;
        await DisposeAsync();
    }

    /// <summary>Leaves the group, unless it is static.</summary>
    public async ValueTask DisposeAsync()
    {
        _isStopping = true;
        await _reading;
        _goesOn.Dispose();
    }

    private void Read()
    {
        while (!_isStopping)
        {
            if (!_goesOn.Wait(Poll))
            {
                continue;
            }
            try
            {
                Do("consumes");
                if (_consumer.Consume(Poll) is { } record)
                {
                    lock (_lock)
                    {
                        _records.Add((record.Partition.Value, record.Offset.Value, record.Message.Key, record.Message.Value));
                        _next[record.TopicPartition] = record.Offset.Value + 1;
                    }
                }
                Commit();
            }
            catch (KafkaException e)
            {
                lock (_lock)
                {
                    _errors.Add(e.Error.ToString()); // what the library can't settle by itself settles when it reads on
                }
            }
        }
        if (!_isCrashing)
        {
            _consumer.Close();
        }
        _consumer.Dispose();
    }

    private void Commit()
    {
        TopicPartitionOffset[] offsets;
        lock (_lock)
        {
            offsets = [.. _next.Where(one => _acknowledged.GetValueOrDefault(one.Key, -1) < one.Value)
                .Select(one => new TopicPartitionOffset(one.Key, one.Value))];
        }
        if (offsets.Length == 0)
        {
            return;
        }
        Do("commits");
        _consumer.Commit(offsets);
        lock (_lock)
        {
            foreach (TopicPartitionOffset offset in offsets)
            {
                _acknowledged[offset.TopicPartition] = offset.Offset.Value;
                _commits.Add((offset.Partition.Value, offset.Offset.Value));
            }
        }
    }

    private void Do(string what)
    {
        lock (_lock)
        {
            (_doing, _doingSince) = (what, Stopwatch.GetTimestamp());
        }
    }

    private string[] Log()
    {
        lock (_log)
        {
            return [.. _log];
        }
    }

    private void Note(string line)
    {
        lock (_log)
        {
            _log.Enqueue(line);
            if (_log.Count > KeptLines)
            {
                _log.Dequeue();
            }
        }
    }

    private void CountAssignment()
    {
        Interlocked.Increment(ref _changes);
        Interlocked.Increment(ref _assignments);
    }

    private void Forget(IEnumerable<TopicPartition> partitions)
    {
        Interlocked.Increment(ref _changes);
        lock (_lock)
        {
            foreach (TopicPartition partition in partitions)
            {
                _next.Remove(partition);
            }
        }
    }
}
