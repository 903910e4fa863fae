using Microsoft.Extensions.Logging;
using Tributary.Log;
using Tributary.Log.Compaction;

namespace Tributary.Broker.Partitions;

/// <summary>
/// Compacts the partitions whose topics ask for it, one at a time, the dirtiest first, on one thread of low priority, at a bounded rate.
/// A partition that fails is reported and left alone for a while; the others go on. Counters may be read by any thread. A crash leaves
/// partitions as they were, or compacted.
/// </summary>
internal sealed class PartitionCompaction : IAsyncDisposable
{
    private readonly Func<IEnumerable<Partition>> _partitions;
    private readonly BrokerOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly LogCompactor _compactor;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // On the thread: those that failed, and until when they are left alone. A topic that is made anew has other partitions.
    private readonly Dictionary<Partition, DateTimeOffset> _failed = [];
    private double _dirtyRatio;
    private long _rounds;
    private long _givenUp;
    private long _failures;
    private long _removedRecords;
    private int _setAside;
    private int _disposed;

    /// <param name="partitions">Those that this broker leads now.</param>
    /// <param name="options">How, and how often.</param>
    /// <param name="time">All time.</param>
    /// <param name="logger">Where failures are told.</param>
    public PartitionCompaction(Func<IEnumerable<Partition>> partitions, BrokerOptions options, TimeProvider time, ILogger logger)
    {
        (_partitions, _options, _time, _logger) = (partitions, options, time, logger);
        var limits = new LogCompactorOptions { KeyMapBytes = options.CompactionKeyMapBytes, BytesPerSecond = options.CompactionBytesPerSecond };
        _compactor = new LogCompactor(limits, time);
        new Thread(Run) { IsBackground = true, Name = "compaction", Priority = ThreadPriority.BelowNormal }.Start();
    }

    /// <summary>Bytes that were read.</summary>
    public long BytesRead => _compactor.BytesRead;

    /// <summary>Bytes that were written.</summary>
    public long BytesWritten => _compactor.BytesWritten;

    /// <summary>Rounds that were done.</summary>
    public long Rounds => Interlocked.Read(ref _rounds);

    /// <summary>Rounds that a change of the log made vain.</summary>
    public long GivenUp => Interlocked.Read(ref _givenUp);

    /// <summary>Rounds that failed.</summary>
    public long Failures => Interlocked.Read(ref _failures);

    /// <summary>Partitions that are left alone since they have failed.</summary>
    public int SetAside => Volatile.Read(ref _setAside);

    /// <summary>Records that were taken out.</summary>
    public long RemovedRecords => Interlocked.Read(ref _removedRecords);

    /// <summary>The greatest share of a partition that waits for compaction, as of the last look.</summary>
    public double DirtyRatio => Volatile.Read(ref _dirtyRatio);

    /// <summary>Ends what is under way, at a place where nothing is lost, and the thread. May be called again.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            await _stop.CancelAsync();
        }
        await _ended.Task;
    }

    private void Run()
    {
        try
        {
            while (true)
            {
                if (!Sweep())
                {
                    _compactor.Rest();
                    Task.Delay(_options.CompactionInterval, _time, _stop.Token).GetAwaiter().GetResult();
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            _ended.SetResult();
        }
    }

    /// <summary>Compacts whatever is due, the dirtiest first.</summary>
    /// <returns>Whether more may be due by now.</returns>
    private bool Sweep()
    {
        bool any = false;
        foreach ((Partition partition, _) in FindDue().OrderByDescending(due => due.Need.IsOverdue).ThenByDescending(due => due.Need.DirtyRatio))
        {
            _stop.Token.ThrowIfCancellationRequested();
            any |= Compact(partition);
        }
        return any;
    }

    private List<(Partition Partition, CompactionNeed Need)> FindDue()
    {
        var due = new List<(Partition, CompactionNeed)>();
        DateTimeOffset now = _time.GetUtcNow();
        double most = 0;
        Partition[] partitions = [.. _partitions().Where(partition => partition.Settings.Compact)];
        Forget(partitions);
        foreach (Partition partition in partitions)
        {
            bool isSetAside = _failed.TryGetValue(partition, out DateTimeOffset until) && now < until;
            CompactionNeed need;
            try
            {
                need = partition.Log.NeedOfCompaction(StableEnd(partition));
            }
            catch (Exception e) // nobody else would catch it on this thread
            {
                if (!isSetAside)
                {
                    Fail(partition, e);
                }
                continue;
            }
            most = Math.Max(most, need.DirtyRatio);
            if (need.IsDue && !isSetAside)
            {
                due.Add((partition, need));
            }
        }
        Volatile.Write(ref _dirtyRatio, most);
        return due;
    }

    private bool Compact(Partition partition)
    {
        string name = partition.Log.Name;
        try
        {
            long start = _time.GetTimestamp();
            CompactionResult result = _compactor.Compact(partition.Log, StableEnd(partition), _stop.Token);
            Succeed(partition);
            Interlocked.Add(ref _givenUp, result.Outcome == CompactionOutcome.GivenUp ? 1 : 0);
            if (result.Outcome != CompactionOutcome.Done)
            {
                return false;
            }
            Interlocked.Increment(ref _rounds);
            Interlocked.Add(ref _removedRecords, result.RemovedRecords);
            _logger.PartitionCompacted(
                name, result.CleanOffset, result.RemovedRecords, result.BytesBefore, result.BytesAfter, _time.GetElapsedTime(start));
            return true;
        }
        catch (Exception e) when (e is not OperationCanceledException) // whatever is wrong with one must not keep the others from their turn
        {
            Fail(partition, e);
            return false;
        }
    }

    private void Fail(Partition partition, Exception reason)
    {
        Interlocked.Increment(ref _failures);
        _failed[partition] = _time.GetUtcNow() + _options.CompactionRetry;
        Volatile.Write(ref _setAside, _failed.Count);
        _logger.CompactionFailed(reason, partition.Log.Name, _options.CompactionRetry);
    }

    private void Succeed(Partition partition)
    {
        _failed.Remove(partition);
        Volatile.Write(ref _setAside, _failed.Count);
    }

    /// <summary>Those that failed and are not there any more, or not to be compacted, are not remembered.</summary>
    private void Forget(Partition[] present)
    {
        if (_failed.Count > 0)
        {
            HashSet<Partition> there = [.. present];
            foreach (Partition gone in _failed.Keys.Where(partition => !there.Contains(partition)).ToList())
            {
                _failed.Remove(gone);
            }
            Volatile.Write(ref _setAside, _failed.Count);
        }
    }

    private static long StableEnd(Partition partition) => partition.Log.LastStableOffset(partition.HighWatermark);
}
