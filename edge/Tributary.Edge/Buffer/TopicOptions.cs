namespace Tributary.Edge.Buffer;

/// <summary>What becomes of messages when there is no room for them.</summary>
internal enum FullPolicy
{
    /// <summary>They are refused: what was acknowledged is kept.</summary>
    Reject,

    /// <summary>The oldest records of the topic are given up, acknowledged by the cloud or not, and counted and reported.</summary>
    DropOldest,
}

/// <summary>Settings of one Kafka topic: what is null is as for all topics.</summary>
/// <param name="Policy">What to do when there is no room.</param>
/// <param name="MaxBytes">Most bytes on disk of its partitions together, everything counted; null: as much as the buffer may take.</param>
/// <param name="Keep">How long records stay after the cloud has acknowledged them.</param>
/// <param name="Priority">Its priority on the link to the cloud, 0 to 9.</param>
internal sealed record TopicOptions(FullPolicy? Policy, long? MaxBytes, TimeSpan? Keep, int? Priority = null);
