using Orleans.Runtime;
using Tributary.Log.Storage;

namespace Tributary.Cloud.Api;

/// <summary>
/// Says whether the program can serve: the silo is up, the log's disk takes a flushed write, and not every partition is out of order.
/// (A single partition that is doesn't make the others unready; it shows in the metrics.) Callable from any thread.
/// </summary>
internal sealed class Readiness(IStorage storage, string logDirectory, TimeProvider time, ISiloStatusOracle silo)
{
    private const string ProbeFile = "ready.probe";
    private static readonly TimeSpan ProbeLifetime = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan ProbeLimit = TimeSpan.FromSeconds(5);
    private readonly Lock _probing = new();
    private Task<string?>? _probe;
    private long _probedAt;
    private PartitionCensus? _census;
    private bool _isStopping;

    /// <summary>The broker has its partitions.</summary>
    public void Started(PartitionCensus census) => Volatile.Write(ref _census, census);

    /// <summary>The program ends.</summary>
    public void Stopping() => Volatile.Write(ref _isStopping, true);

    /// <summary>Why it isn't ready, in a sentence; null if it is.</summary>
    public async ValueTask<string?> FindReasonAsync()
    {
        if (Volatile.Read(ref _isStopping))
        {
            return "The program is stopping.";
        }
        if (Volatile.Read(ref _census) is not { } census)
        {
            return "The broker is starting.";
        }
        if (silo.CurrentStatus != SiloStatus.Active)
        {
            return $"The silo is {silo.CurrentStatus}.";
        }
        if (await ProbeAsync() is { } failure)
        {
            return $"The log can't be written: {failure}";
        }
        int led = census.Led;
        return led > 0 && census.Unavailable == led
            ? $"None of the {led} partitions can be written: {census.OfflineReason ?? "they could not be opened, as the log of the program says"}"
            : null;
    }

    /// <summary>
    /// Writes and flushes a small file, at most once in a while however often it is asked. A flush blocks a thread for as long as the disk
    /// likes: whoever asks meanwhile waits for the same one, and not for ever.
    /// </summary>
    private async ValueTask<string?> ProbeAsync()
    {
        Task<string?> probe;
        lock (_probing)
        {
            if (_probe is null || (_probe.IsCompleted && time.GetElapsedTime(_probedAt) >= ProbeLifetime))
            {
                _probe = Task.Run(Probe);
                _probedAt = time.GetTimestamp();
            }
            probe = _probe;
        }
        try
        {
            return await probe.WaitAsync(ProbeLimit, time);
        }
        catch (TimeoutException)
        {
            return $"a flush has taken more than {ProbeLimit.TotalSeconds} s so far";
        }
    }

    private string? Probe()
    {
        try
        {
            using IStorageFile file = storage.Open($"{logDirectory}/{ProbeFile}", create: true);
            file.Write(0, BitConverter.GetBytes(time.GetUtcNow().ToUnixTimeMilliseconds()));
            file.Flush();
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }
}
