namespace Tributary.Log.Compaction;

/// <summary>Holds whoever reads or writes much to so many bytes per second. Used by one thread.</summary>
internal sealed class ByteThrottle(long bytesPerSecond, TimeProvider time)
{
    /// <summary>Bytes between two looks at the clock.</summary>
    private const int Step = 64 << 10;

    /// <summary>What was not used for so long is not made up for.</summary>
    private static readonly TimeSpan Memory = TimeSpan.FromSeconds(1);

    private long _since = time.GetTimestamp();
    private long _bytes;
    private int _step;

    /// <summary>Waits until so many bytes may pass.</summary>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    public void Pass(int bytes, CancellationToken cancellation)
    {
        _step += bytes;
        if (_step < Step)
        {
            return;
        }
        cancellation.ThrowIfCancellationRequested();
        if (bytesPerSecond < long.MaxValue)
        {
            _bytes += _step;
            TimeSpan ahead = TimeSpan.FromSeconds((double)_bytes / bytesPerSecond) - time.GetElapsedTime(_since);
            if (ahead < -Memory)
            {
                (_since, _bytes) = (time.GetTimestamp(), 0);
            }
            else if (ahead > TimeSpan.Zero)
            {
                Task.Delay(ahead, time, cancellation).GetAwaiter().GetResult();
            }
        }
        _step = 0;
    }
}
