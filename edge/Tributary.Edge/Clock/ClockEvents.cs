using Tributary.Edge.Buffer;

namespace Tributary.Edge.Clock;

/// <summary>
/// Sends what happens to the clock to the topic of events: <c>clockTrusted</c> when the time is known from now on, <c>clockJump</c> when
/// the device's clock jumped. Callable from any thread.
/// </summary>
internal static class ClockEvents
{
    /// <summary>Sends what happened and what will happen.</summary>
    public static void SendTo(this EdgeClock clock, EdgeEvents events)
    {
        clock.Subscribe(_ => Send(clock, events));
        Send(clock, events);
    }

    private static void Send(EdgeClock clock, EdgeEvents events)
    {
        bool isAny = false;
        while (clock.TakeNotice() is { } notice)
        {
            string kind = notice.Kind == ClockNoticeKind.Trusted ? "clockTrusted" : "clockJump";
            events.Add(new EdgeEvent(notice.Stamp, kind, "", -1, -1, -1, 0, notice.Message));
            isAny = true;
        }
        if (isAny)
        {
            _ = events.StoreAsync().AsTask(); // what can't be stored now is tried again with the next
        }
    }
}
