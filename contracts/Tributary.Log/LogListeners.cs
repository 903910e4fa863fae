namespace Tributary.Log;

/// <summary>Something that gathers records and makes a batch of them only when the writer thread is ready to take it.</summary>
public interface IAppendSource
{
    /// <summary>Appends what was gathered. Called on the writer thread; must not block or throw.</summary>
    void AppendPending();
}

/// <summary>Hears of flushes. Called on the writer thread in order; must return quickly and not throw.</summary>
public interface ILogListener
{
    /// <summary>Everything below <paramref name="flushedEnd"/> is durable now.</summary>
    void OnFlushed(PartitionLog log, long flushedEnd);

    /// <summary>
    /// A write or flush failed: what was appended at <paramref name="fromOffset"/> and beyond is gone and must not be acknowledged.
    /// The next append continues at <paramref name="fromOffset"/>, or fails if the partition went offline. One that was made there before
    /// this call counts as lost too, although a later <see cref="OnFlushed"/> may cover it.
    /// </summary>
    void OnFailed(PartitionLog log, long fromOffset, Exception reason);
}
