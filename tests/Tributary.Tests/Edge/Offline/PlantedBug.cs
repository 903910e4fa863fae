namespace Tributary.Tests.Edge.Offline;

/// <summary>Bugs that the simulation must find.</summary>
internal enum PlantedBug
{
    None,

    /// <summary>The device's clock is believed, whatever it says.</summary>
    BelievesTheClock,

    /// <summary>What is known of the boots is written and not made durable.</summary>
    ForgetsBoots,

    /// <summary>Bounds are counted by a clock that does not drift.</summary>
    IgnoresDrift,

    /// <summary>Records do not wait for their time.</summary>
    SendsAtOnce,

    /// <summary>A gap is passed over and not told.</summary>
    HidesGaps,

    /// <summary>A topic that refuses messages at its quota drops the oldest.</summary>
    DropsWhatIsPromised,

    /// <summary>The uplink's checkpoint is written and not found again.</summary>
    LosesCheckpoint,
}
