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
    private readonly Lock _probing = new();
    private long _probedAt;
    private string? _probeFailure;
    private bool _hasProbed;
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
        if (await Task.Run(Probe) is { } failure) // a flush blocks
        {
            return $"The log can't be written: {failure}";
        }
        int led = census.Led;
        return led > 0 && census.Unavailable == led
            ? $"None of the {led} partitions can be written: {census.OfflineReason ?? "they could not be opened, as the log of the program says"}"
            : null;
    }

    /// <summary>Writes and flushes a small file, at most once in a while however often it is asked.</summary>
    private string? Probe()
    {
        lock (_probing)
        {
            if (_hasProbed && time.GetElapsedTime(_probedAt) < ProbeLifetime)
            {
                return _probeFailure;
            }
            try
            {
                using IStorageFile file = storage.Open($"{logDirectory}/{ProbeFile}", create: true);
                file.Write(0, BitConverter.GetBytes(time.GetUtcNow().ToUnixTimeMilliseconds()));
                file.Flush();
                _probeFailure = null;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                _probeFailure = e.Message;
            }
            _hasProbed = true;
            _probedAt = time.GetTimestamp();
            return _probeFailure;
        }
    }
}
