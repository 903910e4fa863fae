using Tributary.Edge.Buffer;

namespace Tributary.Edge.Uplink;

/// <summary>What of an uplink's notices is news for the cloud.</summary>
internal static class NoticeEvents
{
    /// <summary>What whoever reads the topics in the cloud should know of it; null for doubts that pass.</summary>
    public static EdgeEvent? ToEvent(this UplinkNotice notice, BufferPartition partition, long stamp)
    {
        string? kind = notice.Kind switch
        {
            UplinkNoticeKind.Gap => "gap",
            UplinkNoticeKind.Refused => "refused",
            UplinkNoticeKind.MayRepeat => "mayRepeat",
            UplinkNoticeKind.PartitionCount => "partitionCount",
            UplinkNoticeKind.Stopped => "stopped",
            _ => null,
        };
        if (kind is null)
        {
            return null;
        }
        (long from, long to) = notice.Kind == UplinkNoticeKind.Refused ? (notice.Offset, notice.Offset + 1)
            : notice.From >= 0 ? (notice.From, notice.Offset) : (-1, -1);
        return new EdgeEvent(stamp, kind, partition.Topic, partition.Index, from, to, notice.Records, notice.Message);
    }
}
