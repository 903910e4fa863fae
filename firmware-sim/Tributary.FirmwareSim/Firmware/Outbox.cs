namespace Tributary.FirmwareSim.Firmware;

/// <summary>
/// The QoS 1 messages of one device that are not acknowledged yet, oldest first: those in flight on the present connection, then those
/// that wait. It stands for the small memory of a device: bounded, and gone when the device loses power.
/// <para>
/// Invariants. What is in flight is a prefix of the list, at most the window. A lost connection makes all of it wait again, in order, so
/// a broker sees a device's messages in the order of their ids, with repetitions. Room is made by giving up the oldest message, in flight
/// or not; its acknowledgement, should it still come, means nothing any more. One thread at a time.
/// </para>
/// </summary>
/// <param name="limit">Most messages kept.</param>
/// <param name="window">Most messages in flight.</param>
internal sealed class Outbox(int limit, int window)
{
    private readonly List<Entry> _entries = [];
    private int _inFlight;

    /// <summary>Messages that are not acknowledged.</summary>
    public int Count => _entries.Count;

    /// <summary>Those of them that were sent on the present connection.</summary>
    public int InFlight => _inFlight;

    /// <summary>When the oldest message in flight was sent; null if none is.</summary>
    public TimeSpan? OldestSentAt => _inFlight > 0 ? _entries[0].SentAt : null;

    /// <summary>Keeps a message.</summary>
    /// <returns>Whether the oldest one had to be given up for it.</returns>
    public bool Add(OutboundMessage message)
    {
        bool isFull = _entries.Count >= limit;
        if (isFull)
        {
            _entries.RemoveAt(0);
            _inFlight = Math.Max(0, _inFlight - 1);
        }
        _entries.Add(new Entry(message, TimeSpan.Zero, WasSent: false));
        return isFull;
    }

    /// <summary>The next message to be sent, from now on in flight; null if there is none or the window is full.</summary>
    /// <param name="now">When it is sent.</param>
    /// <param name="isRepeated">Whether it was sent before, on an earlier connection.</param>
    public OutboundMessage? TakeNext(TimeSpan now, out bool isRepeated)
    {
        isRepeated = false;
        if (_inFlight >= window || _inFlight >= _entries.Count)
        {
            return null;
        }
        Entry next = _entries[_inFlight];
        isRepeated = next.WasSent;
        _entries[_inFlight++] = next with { SentAt = now, WasSent = true };
        return next.Message;
    }

    /// <summary>The broker answered for a message in flight.</summary>
    /// <returns>False if it is not in flight: given up, or sent on an earlier connection.</returns>
    public bool Remove(long id)
    {
        for (int i = 0; i < _inFlight; i++)
        {
            if (_entries[i].Message.Id == id)
            {
                _entries.RemoveAt(i);
                _inFlight--;
                return true;
            }
        }
        return false;
    }

    /// <summary>The connection is gone: nothing is in flight any more, all of it waits to be sent again.</summary>
    public void OnLost() => _inFlight = 0;

    private readonly record struct Entry(OutboundMessage Message, TimeSpan SentAt, bool WasSent);
}
