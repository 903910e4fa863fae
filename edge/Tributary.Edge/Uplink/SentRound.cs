namespace Tributary.Edge.Uplink;

/// <summary>A round on its way over the link, as <see cref="LinkModel"/> sees it.</summary>
/// <param name="bytes">Bytes on the wire.</param>
/// <param name="sentAt">When it was sent.</param>
/// <param name="deliveredBefore">Bytes that were answered by then.</param>
/// <param name="deliveredAt">When the last of these was answered.</param>
/// <param name="firstSentAt">When the round was sent that was answered last by then.</param>
/// <param name="isFull">Whether its sender had more than it took.</param>
/// <param name="isLimited">Whether more was waiting to be sent: else it says how much there was to carry, not how much the link carries.</param>
/// <param name="isProbe">Whether the link's queue was drained before it.</param>
internal sealed class SentRound(
    long bytes, TimeSpan sentAt, long deliveredBefore, TimeSpan deliveredAt, TimeSpan firstSentAt, bool isFull, bool isLimited, bool isProbe)
{
    /// <summary>Bytes on the wire.</summary>
    public long Bytes => bytes;

    /// <summary>When it was sent.</summary>
    public TimeSpan SentAt => sentAt;

    /// <summary>Bytes that were answered by then.</summary>
    public long DeliveredBefore => deliveredBefore;

    /// <summary>When the last of these was answered.</summary>
    public TimeSpan DeliveredAt => deliveredAt;

    /// <summary>When the round was sent that was answered last by then.</summary>
    public TimeSpan FirstSentAt => firstSentAt;

    /// <summary>Whether its sender had more than it took.</summary>
    public bool IsFull => isFull;

    /// <summary>Whether more was waiting to be sent, of anybody.</summary>
    public bool IsLimited => isLimited;

    /// <summary>Whether the link's queue was drained before it.</summary>
    public bool IsProbe => isProbe;

    /// <summary>Whether rounds that were sent much later were answered and it was not: its node does not answer, and the link is not to blame.</summary>
    public bool IsStuck { get; set; }

    /// <summary>Whether it is still on its way.</summary>
    public bool IsOpen { get; set; } = true;
}
