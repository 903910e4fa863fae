namespace Tributary.FirmwareSim.Firmware;

/// <summary>How the firmware of a device behaves.</summary>
internal sealed record FirmwareOptions
{
    /// <summary>Most readings taken in one turn; what is left of a backlog of readings is taken in the next.</summary>
    public const int ReadingsPerTurn = 100;

    /// <summary>Time between two readings.</summary>
    public required TimeSpan Interval { get; init; }

    /// <summary>1: a reading is kept until it is acknowledged. 0: it is sent once, or lost when there is no connection.</summary>
    public required int Qos { get; init; }

    /// <summary>Most unacknowledged messages that a device keeps; when there are more, the oldest is given up.</summary>
    public int OutboxLimit { get; init; } = 1_000;

    /// <summary>Most messages in flight on a connection.</summary>
    public int Window { get; init; } = 16;

    /// <summary>Time without the acknowledgement of a message after which the connection is given up.</summary>
    public TimeSpan AnswerTimeout { get; init; } = TimeSpan.FromSeconds(20);
}
