using System.Threading.Channels;
using Tributary.FirmwareSim.Devices;
using Tributary.FirmwareSim.Firmware;

namespace Tributary.FirmwareSim;

/// <summary>
/// Runs all devices of a process. One loop holds the state of all of them and one priority queue of when each is due; what connections
/// report comes to the loop through a bounded channel, so no device needs a timer, a thread or a lock of its own.
/// </summary>
/// <param name="options">What to run.</param>
/// <param name="time">The clock.</param>
/// <param name="open">Makes the connections of a device; its action is to be called when a connection is gone.</param>
/// <param name="report">Told, from the loop, what people should know.</param>
internal sealed class Simulator(
    SimulatorOptions options, TimeProvider time, Func<Device, Action, IDeviceLink> open, ISimulatorReport report)
{
    /// <summary>Reports of connections that wait for the loop; connections wait when it is full.</summary>
    private const int MaxEvents = 65_536;

    private readonly Channel<LinkEvent> _events = Channel.CreateBounded<LinkEvent>(
        new BoundedChannelOptions(MaxEvents) { SingleReader = true });
    private readonly PriorityQueue<Slot, TimeSpan> _due = new();
    private readonly Queue<Slot> _toConnect = new();
    private readonly long _start = time.GetTimestamp();
    private readonly List<Slot> _slots = new(options.Devices);
    private readonly Totals _totals = new() { Devices = options.Devices };
    private int _connecting;
    private TimeSpan? _endsBy;

    private enum EventKind
    {
        Wake,
        Connected,
        Lost,
        Accepted,
        Refused,
    }

    private TimeSpan Now => time.GetElapsedTime(_start);

    /// <summary>Runs until the time is over or it is told to stop, then waits a little for acknowledgements.</summary>
    /// <param name="stop">Ends the run.</param>
    /// <returns>What was done.</returns>
    public async Task<Totals> RunAsync(CancellationToken stop)
    {
        Populate();
        using CancellationTokenRegistration onStop = stop.Register(() => _events.Writer.TryWrite(default));
        await using ITimer alarm = time.CreateTimer(
            _ => _events.Writer.TryWrite(default), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        while (!IsOver(stop))
        {
            if (!Step())
            {
                TimeSpan wait = WakeAt() - Now;
                alarm.Change(wait > TimeSpan.Zero ? wait : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
                await _events.Reader.WaitToReadAsync(CancellationToken.None);
            }
        }
        foreach (Slot slot in _slots)
        {
            _totals.Pending += slot.Firmware.Pending;
        }
        _totals.Seconds = Math.Round(Now.TotalSeconds, 3);
        _events.Writer.Complete();
        await Parallel.ForEachAsync(
            _slots.Where(slot => slot.Link is not null),
            new ParallelOptions { MaxDegreeOfParallelism = options.MaxConnecting },
            async (slot, _) => await slot.Link!.CloseAsync());
        return _totals;
    }

    private void Populate()
    {
        double epoch = time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0;
        var firmware = new FirmwareOptions { Interval = TimeSpan.FromSeconds(1 / options.Rate), Qos = options.Qos };
        for (int index = 0; index < options.Devices; index++)
        {
            var device = Device.Create(options.Seed, index);
            TimeSpan firstConnect = TimeSpan.FromSeconds(index / options.ConnectsPerSecond);
            var slot = new Slot(device, new DeviceFirmware(firmware, device, options.Seed, index, epoch, firstConnect, _totals));
            _slots.Add(slot);
            Enqueue(slot);
        }
    }

    /// <summary>
    /// Whether the run ends now; when its time is over, devices stop reading and what is in flight may still be answered.
    /// </summary>
    private bool IsOver(CancellationToken stop)
    {
        TimeSpan now = Now;
        if (_endsBy is null && (stop.IsCancellationRequested || (options.Seconds is { } seconds && now.TotalSeconds >= seconds)))
        {
            _endsBy = now + options.DrainLimit;
            _slots.ForEach(slot => slot.Firmware.StopReading());
        }
        return _endsBy is { } end && (now >= end || !_slots.Exists(slot => slot.Firmware.IsWaiting));
    }

    private TimeSpan WakeAt()
    {
        TimeSpan end = _endsBy ?? (options.Seconds is { } seconds ? TimeSpan.FromSeconds(seconds) : TimeSpan.FromDays(1));
        return _due.TryPeek(out _, out TimeSpan due) && due < end ? due : end;
    }

    /// <summary>One event, or one device that is due; false if there is neither.</summary>
    private bool Step()
    {
        if (_events.Reader.TryRead(out LinkEvent happened))
        {
            Hear(happened);
            return true;
        }
        if (!_due.TryPeek(out Slot? slot, out TimeSpan due) || due > Now)
        {
            return false;
        }
        _due.Dequeue();
        if (slot.QueuedAt == due) // otherwise it was queued again for an earlier time, and had its turn
        {
            slot.QueuedAt = TimeSpan.MaxValue;
            Turn(slot);
        }
        return true;
    }

    private void Hear(LinkEvent happened)
    {
        (EventKind kind, Slot? slot, IDeviceLink? link, long id, string? why) = happened;
        if (slot is null || slot.Link != link)
        {
            return; // a wake-up, or word of a connection that was given up
        }
        if (slot.IsConnecting)
        {
            slot.IsConnecting = false;
            _connecting--;
            ConnectNext();
        }
        switch (kind)
        {
            case EventKind.Connected:
                slot.Firmware.OnConnected(Now);
                report.OnConnected();
                break;
            case EventKind.Lost:
                Lose(slot, wasConnected: slot.Firmware.IsConnected, why);
                break;
            case EventKind.Accepted or EventKind.Refused:
                slot.Firmware.OnAnswered(id, kind == EventKind.Accepted);
                break;
        }
        Turn(slot);
    }

    /// <summary>Lets a device do all it has to do now.</summary>
    private void Turn(Slot slot)
    {
        while (slot.Firmware.Next(Now) is { } action)
        {
            switch (action)
            {
                case FirmwareAction.Connect:
                    _toConnect.Enqueue(slot);
                    ConnectNext();
                    break;
                case FirmwareAction.Publish publish:
                    _ = PublishAsync(slot, slot.Link!, publish.Message);
                    break;
                case FirmwareAction.Drop:
                    Lose(slot, wasConnected: true, "there was no answer");
                    break;
            }
        }
        Enqueue(slot);
    }

    private void Enqueue(Slot slot)
    {
        TimeSpan due = slot.Firmware.DueAt;
        if (due < slot.QueuedAt)
        {
            slot.QueuedAt = due;
            _due.Enqueue(slot, due);
        }
    }

    private void ConnectNext()
    {
        while (_connecting < options.MaxConnecting && _toConnect.TryDequeue(out Slot? slot))
        {
            _connecting++;
            slot.IsConnecting = true;
            IDeviceLink? link = null;
            link = open(slot.Device, () => _ = PostAsync(new LinkEvent(EventKind.Lost, slot, link, 0, "the connection was closed")));
            slot.Link = link;
            _ = ConnectAsync(slot, link);
        }
    }

    private void Lose(Slot slot, bool wasConnected, string? why)
    {
        slot.Firmware.OnLost(Now);
        report.OnLost(slot.Device.Name, wasConnected, why);
        _ = slot.Link?.CloseAsync();
        slot.Link = null;
    }

    private async Task ConnectAsync(Slot slot, IDeviceLink link)
    {
        try
        {
            using var timeout = new CancellationTokenSource(options.ConnectTimeout, time);
            await link.ConnectAsync(timeout.Token);
            await PostAsync(new LinkEvent(EventKind.Connected, slot, link, 0, null));
        }
        catch (Exception e) // whatever the reason is, the device tries again; the first one is reported
        {
            await PostAsync(new LinkEvent(EventKind.Lost, slot, link, 0, e.GetBaseException().Message));
        }
    }

    private async Task PublishAsync(Slot slot, IDeviceLink link, OutboundMessage message)
    {
        try
        {
            bool isAccepted = await link.PublishAsync(message);
            if (options.Qos == 1)
            {
                await PostAsync(new LinkEvent(isAccepted ? EventKind.Accepted : EventKind.Refused, slot, link, message.Id, null));
            }
        }
        catch (Exception e)
        {
            await PostAsync(new LinkEvent(EventKind.Lost, slot, link, 0, e.GetBaseException().Message));
        }
    }

    private async Task PostAsync(LinkEvent happened)
    {
        try
        {
            await _events.Writer.WriteAsync(happened);
        }
        catch (ChannelClosedException)
        {
            // the run is over
        }
    }

    private readonly record struct LinkEvent(EventKind Kind, Slot? Slot, IDeviceLink? Link, long Id, string? Why);

    private sealed class Slot(Device device, DeviceFirmware firmware)
    {
        public Device Device { get; } = device;

        public DeviceFirmware Firmware { get; } = firmware;

        public IDeviceLink? Link { get; set; }

        public bool IsConnecting { get; set; }

        public TimeSpan QueuedAt { get; set; } = TimeSpan.MaxValue;
    }
}
