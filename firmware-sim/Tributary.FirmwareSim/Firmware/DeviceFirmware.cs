using Tributary.FirmwareSim.Devices;
using Tributary.FirmwareSim.Signals;

namespace Tributary.FirmwareSim.Firmware;

/// <summary>
/// The firmware of one device as a pure state machine: it hears what happened, with the time since the start of the run, and
/// <see cref="Next"/> says what to do. It does no I/O, reads no clock and starts nothing. One thread at a time.
/// <para>
/// Invariants. Reading k is taken at phase + k × interval, whether there is a connection or not; what the sensor says then depends on
/// nothing but seed, device and time. At QoS 1 each reading is counted exactly once as acknowledged, refused, dropped or pending.
/// A connection has at most the outbox's window of messages outstanding.
/// </para>
/// </summary>
internal sealed class DeviceFirmware
{
    private readonly FirmwareOptions _options;
    private readonly Device _device;
    private readonly double _epoch;
    private readonly Totals _totals;
    private readonly Outbox _outbox;
    private readonly Reconnect _reconnect;
    private readonly Queue<OutboundMessage> _unreliable = new();
    private readonly TimeSpan _phase;
    private TimeSpan _nextReading;
    private long _readings;
    private bool _reads = true;
    private Link _link = Link.Down;
    private TimeSpan _retryAt;
    private TimeSpan _connectedAt;

    /// <param name="options">How it behaves.</param>
    /// <param name="device">What it measures.</param>
    /// <param name="seed">Seed of the run.</param>
    /// <param name="index">Index of the device.</param>
    /// <param name="epoch">Seconds since 1970 at the start of the run.</param>
    /// <param name="firstConnect">When to connect first, since the start of the run.</param>
    /// <param name="totals">Where it counts.</param>
    public DeviceFirmware(FirmwareOptions options, Device device, int seed, int index, double epoch, TimeSpan firstConnect, Totals totals)
    {
        _options = options;
        _device = device;
        _epoch = epoch;
        _totals = totals;
        _outbox = new Outbox(options.OutboxLimit, options.Window);
        var jitter = Noise.For(seed, index, "jitter");
        long draws = 0;
        _reconnect = new Reconnect(() => jitter.Uniform(draws++));
        _phase = options.Interval * jitter.Uniform(-1);
        _nextReading = _phase;
        _retryAt = firstConnect;
    }

    private enum Link
    {
        Down,
        Connecting,
        Up,
    }

    /// <summary>Whether there is a connection.</summary>
    public bool IsConnected => _link == Link.Up;

    /// <summary>Messages that are not acknowledged.</summary>
    public int Pending => _outbox.Count;

    /// <summary>Whether it waits for an answer that may still come.</summary>
    public bool IsWaiting => _link == Link.Up && _outbox.Count > 0;

    /// <summary>When <see cref="Next"/> must be called again though nothing happened.</summary>
    public TimeSpan DueAt
    {
        get
        {
            TimeSpan due = _reads ? _nextReading : TimeSpan.MaxValue;
            if (_link == Link.Down)
            {
                due = Earlier(due, _retryAt);
            }
            else if (_link == Link.Up && _outbox.OldestSentAt is { } sent)
            {
                due = Earlier(due, sent + _options.AnswerTimeout);
            }
            return due;
        }
    }

    /// <summary>The next thing to do, null if there is nothing now. Call it until it says null after whatever happened.</summary>
    public FirmwareAction? Next(TimeSpan now)
    {
        TakeReadings(now);
        return _link switch
        {
            Link.Up => NextWhileUp(now),
            Link.Down when now >= _retryAt => StartConnecting(),
            _ => null,
        };
    }

    /// <summary>Takes no more readings.</summary>
    public void StopReading() => _reads = false;

    /// <summary>The broker accepted the connection.</summary>
    public void OnConnected(TimeSpan now)
    {
        _link = Link.Up;
        _connectedAt = now;
        _totals.Connects++;
    }

    /// <summary>The connection could not be made or is gone.</summary>
    public void OnLost(TimeSpan now)
    {
        if (_link == Link.Down)
        {
            return;
        }
        TimeSpan lasted = TimeSpan.Zero;
        if (_link == Link.Up)
        {
            lasted = now - _connectedAt;
            _totals.Lost++;
        }
        else
        {
            _totals.Failures++;
        }
        _link = Link.Down;
        _outbox.OnLost();
        _totals.Dropped += _unreliable.Count;
        _unreliable.Clear();
        _retryAt = now + _reconnect.Next(lasted);
    }

    /// <summary>The broker answered a message at QoS 1.</summary>
    /// <param name="id">The message.</param>
    /// <param name="isAccepted">Whether the broker took it; a refused one is not sent again (MQTT 5, section 3.4.2.1).</param>
    public void OnAnswered(long id, bool isAccepted)
    {
        if (!_outbox.Remove(id))
        {
            return;
        }
        if (isAccepted)
        {
            _totals.Acknowledged++;
        }
        else
        {
            _totals.Refused++;
        }
    }

    private static TimeSpan Earlier(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private void TakeReadings(TimeSpan now)
    {
        for (int turn = 0; _reads && _nextReading <= now && turn < FirmwareOptions.ReadingsPerTurn; turn++)
        {
            int metric = (int)(_readings % _device.Metrics.Count);
            byte[]? payload = _device.Metrics[metric].Read(_epoch + _nextReading.TotalSeconds);
            _readings++;
            _nextReading = _phase + (_options.Interval * _readings);
            if (payload is null)
            {
                _totals.Silent++;
                continue;
            }
            _totals.Readings++;
            Keep(new OutboundMessage(_readings, _device.Topic(metric), payload));
        }
    }

    private void Keep(OutboundMessage message)
    {
        if (_options.Qos == 1)
        {
            _totals.Dropped += _outbox.Add(message) ? 1 : 0;
        }
        else if (_link == Link.Up)
        {
            _unreliable.Enqueue(message);
        }
        else
        {
            _totals.Dropped++;
        }
    }

    private FirmwareAction? NextWhileUp(TimeSpan now)
    {
        if (_outbox.OldestSentAt is { } sent && now - sent >= _options.AnswerTimeout)
        {
            OnLost(now);
            return FirmwareAction.Drop.Instance;
        }
        if (_unreliable.TryDequeue(out OutboundMessage? unreliable))
        {
            return Publish(unreliable, isRepeated: false);
        }
        return _outbox.TakeNext(now, out bool isRepeated) is { } message ? Publish(message, isRepeated) : null;
    }

    private FirmwareAction.Publish Publish(OutboundMessage message, bool isRepeated)
    {
        if (isRepeated)
        {
            _totals.Retransmitted++;
        }
        else
        {
            _totals.Sent++;
        }
        return new FirmwareAction.Publish(message);
    }

    private FirmwareAction.Connect StartConnecting()
    {
        _link = Link.Connecting;
        return FirmwareAction.Connect.Instance;
    }
}
