namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>Bugs that the simulation must find.</summary>
internal enum PlantedBug
{
    None,

    /// <summary>What was written is taken for durable without a flush.</summary>
    FlushesNothing,

    /// <summary>The snapshot takes its name before its content is durable.</summary>
    FlushesNoSnapshot,

    /// <summary>A message is acknowledged when its record is durable, whatever becomes of its journal entry.</summary>
    ForgetsJournal,

    /// <summary>A message is acknowledged when it is taken.</summary>
    AcknowledgesAtOnce,

    /// <summary>PUBCOMP leaves before the release is durable.</summary>
    CompletesAtOnce,

    /// <summary>A PUBREL that comes again is confirmed before the release is durable.</summary>
    ConfirmsAgainAtOnce,

    /// <summary>A connection does not hear that its session has something to send.</summary>
    MissesItsSession,

    /// <summary>PUBREL leaves before the subscriber's PUBREC is durable.</summary>
    ReleasesAtOnce,

    /// <summary>Topics are trimmed whatever a recovery has to search.</summary>
    TrimsWhatIsHeld,

    /// <summary>A QoS 2 message's record does not say so.</summary>
    StoresNoReceipt,

    /// <summary>What was received with QoS 2 is forgotten with the connection.</summary>
    ForgetsReceipts,

    /// <summary>What waits for a session is forgotten with its connection.</summary>
    ForgetsQueue,

    /// <summary>A session begins to be searched for receipts before that is durable.</summary>
    TakesBeforeMarked,
}
