namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>A client's will in one connection, and what the specification lets become of it (MQTT 5, 3.1.3.2.2).</summary>
internal sealed class SimulatedWill(string payload, int delay)
{
    public string Payload { get; } = payload;

    /// <summary>Seconds that it waits when its connection has ended.</summary>
    public int Delay { get; } = delay;

    /// <summary>Whether it must never be published: its client came back in time, and was told so.</summary>
    public bool IsCancelled { get; set; }

    /// <summary>Whether it may be published, whatever comes now.</summary>
    public bool MayCome { get; private set; }

    private DateTimeOffset? DueAt { get; set; }

    /// <summary>Its connection has ended, or its broker has begun anew.</summary>
    public void Begin(DateTimeOffset now)
    {
        Look(now);
        DueAt = now.AddSeconds(Delay);
        Look(now);
    }

    /// <summary>The client comes back.</summary>
    /// <param name="now">The time.</param>
    /// <param name="isClean">Whether the session ends, and the delay with it.</param>
    public void Return(DateTimeOffset now, bool isClean)
    {
        Look(now);
        MayCome |= isClean;
    }

    private void Look(DateTimeOffset now) => MayCome |= DueAt <= now;
}
