using Tributary.Edge.Uplink;
using Tributary.Log;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>A log that is written by one thread and read by another.</summary>
internal sealed class SharedLog : IUplinkSource
{
    private readonly SimulatedLog _log = new();
    private readonly Lock _lock = new();

    public Action? Flushed { get; set; }

    public long StartOffset
    {
        get
        {
            lock (_lock)
            {
                return _log.StartOffset;
            }
        }
    }

    public long FlushedEnd
    {
        get
        {
            lock (_lock)
            {
                return _log.FlushedEnd;
            }
        }
    }

    public LogRead Read(long offset, int maxBytes, long upTo)
    {
        lock (_lock)
        {
            return _log.Read(offset, maxBytes, upTo);
        }
    }

    public void AdvanceStart(long offset)
    {
        lock (_lock)
        {
            _log.AdvanceStart(offset);
        }
    }

    public void ReportDamage(long offset)
    {
    }

    public void SaveBeside(Action save) => save();

    public void Append(IReadOnlyList<(string Key, long Id, string Remark)> records)
    {
        lock (_lock)
        {
            _log.Append(records);
            _log.Flush();
        }
        Flushed?.Invoke();
    }
}
