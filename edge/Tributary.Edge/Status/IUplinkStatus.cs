using Tributary.Edge.Uplink;

namespace Tributary.Edge.Status;

/// <summary>What the uplink tells about itself.</summary>
internal interface IUplinkStatus
{
    /// <summary>Whether the cloud answered lately, and if not why, in a sentence.</summary>
    UplinkLinkStatus Link { get; }

    /// <summary>One entry for each local partition, as of now.</summary>
    IReadOnlyList<UplinkPartitionStatus> Partitions { get; }
}

/// <summary>State of the connection to the cloud.</summary>
/// <param name="Connected">Whether a request was answered on the connection that is open now.</param>
/// <param name="ClusterId">Id of the cluster, null before the first answer ever.</param>
/// <param name="LastError">Why the last attempt failed, null if it did not.</param>
/// <param name="LastAck">When the last acks=all answer came, null if none did since the start.</param>
/// <param name="Requests">Produce requests answered since the start.</param>
/// <param name="BytesSent">Bytes of produce requests sent since the start.</param>
/// <param name="Acknowledged">Records acknowledged since the start.</param>
/// <param name="Retries">Times that the position was looked up again after doubt.</param>
/// <param name="Share">Cap, and what is on its way.</param>
/// <param name="Dated">Records acknowledged since the start whose time was not known when they were stored.</param>
internal sealed record UplinkLinkStatus(
    bool Connected, string? ClusterId, string? LastError, DateTimeOffset? LastAck, long Requests, long BytesSent, long Acknowledged,
    long Retries, LinkShareStatus Share, DatedCounts Dated = default);

/// <summary>State of one local partition's way to the cloud.</summary>
/// <param name="Topic">Kafka topic.</param>
/// <param name="Index">Local partition.</param>
/// <param name="Priority">Priority of the topic.</param>
/// <param name="State">A word: <c>starting</c>, <c>resolving</c>, <c>sending</c>, <c>idle</c>, <c>waitsForClock</c>,
/// <c>backoff</c>, <c>stopped</c>.</param>
/// <param name="Reason">A sentence when it is stopped, backs off or waits for the clock.</param>
/// <param name="AckedOffset">Local offset below which the cloud has everything durably.</param>
/// <param name="ProducerId">Producer id in use, −1 if none yet.</param>
/// <param name="ProducerEpoch">Its epoch.</param>
/// <param name="Refused">Records that the cloud refused for good.</param>
/// <param name="GapRecords">Records that were lost between the edge and the cloud, as far as is known.</param>
/// <param name="Conflicts">Times that another process was found to have written as this producer: an old or a second copy of the data directory.</param>
/// <param name="MayRepeat">Times, since the start, that records may have come twice.</param>
/// <param name="Promise">What the cluster lets us promise.</param>
/// <param name="Held">Flushed records that wait since the time of the first is not known.</param>
internal sealed record UplinkPartitionStatus(
    string Topic, int Index, int Priority, string State, string? Reason, long AckedOffset, long ProducerId, short ProducerEpoch, long Refused,
    long GapRecords, long Conflicts, long MayRepeat, DeliveryPromise Promise, long Held = 0);
