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

    /// <summary>A snapshot takes for known what is durable and was told to nobody yet.</summary>
    TakesFlushedForTold,

    /// <summary>The journal is never given up, nor is it written down what is in it.</summary>
    NeverKeepsUp,

    /// <summary>A connection does not end when something of it is lost.</summary>
    HidesLosses,

    /// <summary>A retained message is one like the others.</summary>
    RetainsNothing,

    /// <summary>An empty retained message does not end the one before.</summary>
    ForgetsToClear,

    /// <summary>A session does not know of its client's will.</summary>
    ForgetsWill,

    /// <summary>A will does not wait for its delay.</summary>
    PublishesWillAtOnce,

    /// <summary>A piece of a snapshot does not say up to which entry it was taken: those before are done again.</summary>
    MarksNoPieces,

    /// <summary>What has changed while a snapshot was taken is not read again.</summary>
    ReadsOnFromTheEnd,

    /// <summary>What was lent to a member that has no durable session ends with its connection.</summary>
    EndsWhatIsLent,

    /// <summary>What waits for a member of a shared subscription ends with its session.</summary>
    EndsWhatIsShared,

    /// <summary>A message of a shared subscription whose member has gone before its commit goes to nobody else.</summary>
    GivesToTheGone,

    /// <summary>The uplink's checkpoint is written and not found again.</summary>
    LosesCheckpoint,
}
