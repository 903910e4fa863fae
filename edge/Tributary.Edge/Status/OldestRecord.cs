using Tributary.Edge.Buffer;
using Tributary.Log;

namespace Tributary.Edge.Status;

/// <summary>
/// When the record at an offset was stored, remembered until another offset is asked for, so that a backlog that stands still is read
/// once. Callable from any thread.
/// </summary>
internal sealed class OldestRecord(PartitionLog log)
{
    private readonly Lock _lock = new();
    private long _offset = -1;
    private long? _stamp;

    /// <inheritdoc cref="StoredTime.Of"/>
    public long? StoredAt(long offset)
    {
        lock (_lock)
        {
            if (offset == _offset && _stamp is not null)
            {
                return _stamp;
            }
            _offset = offset;
            _stamp = StoredTime.Of(log, offset);
            return _stamp;
        }
    }
}
