using Microsoft.Extensions.Logging;
using Tributary.Edge.Buffer;

namespace Tributary.Edge.Uplink;

/// <summary>Logs what happens to the uplink of a partition, each thing once. One thread at a time.</summary>
internal sealed class UplinkNoticeLog(BufferPartition partition, ILogger logger)
{
    private static readonly TimeSpan DoubtInterval = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan SameDoubtInterval = TimeSpan.FromHours(1);
    private string? _lastDoubt;
    private long _lastDoubtAt;
    private TimeSpan _lastDoubtLogged;

    /// <summary>Logs a notice of time <paramref name="now"/>.</summary>
    public void Log(UplinkNotice notice, TimeSpan now)
    {
        (string topic, int index) = (partition.Topic, partition.Index);
        switch (notice.Kind)
        {
            case UplinkNoticeKind.InDoubt:
                LogDoubt(notice, now);
                break;
            case UplinkNoticeKind.NewEpoch:
                logger.UplinkNewEpoch(topic, index, notice.Message, notice.Offset);
                break;
            case UplinkNoticeKind.Gap:
                logger.UplinkGap(topic, index, notice.Records, notice.Offset, notice.Message);
                break;
            case UplinkNoticeKind.Refused:
                logger.UplinkRefused(topic, index, notice.Message);
                break;
            case UplinkNoticeKind.PartitionCount:
                logger.UplinkPartitionCount(topic, index, notice.Offset, notice.Message);
                break;
            case UplinkNoticeKind.MayRepeat:
                logger.UplinkMayRepeat(topic, index, notice.Offset, notice.Message);
                break;
            case UplinkNoticeKind.Stopped:
                logger.UplinkStopped(topic, index, notice.Offset, notice.Message);
                break;
        }
    }

    /// <summary>A cloud that is away for weeks is no news each time that it is tried.</summary>
    private void LogDoubt(UplinkNotice notice, TimeSpan now)
    {
        TimeSpan interval = notice.Message == _lastDoubt ? SameDoubtInterval : DoubtInterval;
        if (_lastDoubt is not null && notice.Offset == _lastDoubtAt && now - _lastDoubtLogged < interval)
        {
            return;
        }
        (_lastDoubt, _lastDoubtAt, _lastDoubtLogged) = (notice.Message, notice.Offset, now);
        logger.UplinkInDoubt(partition.Topic, partition.Index, notice.Offset, notice.Message);
    }
}
