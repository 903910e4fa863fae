using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

internal static class OffsetForLeaderEpochGolden
{
    public static IEnumerable<GoldenCase> Cases => [.. Requests, .. Responses];

    private static IEnumerable<GoldenCase> Requests =>
    [
        GoldenCase.Of(2, 2, Request(2),
            new Wire()
                .Array(1)
                .String("telemetry").Array(2)
                .Int32(3).Int32(61).Int32(60)
                .Int32(4).Int32(-1).Int32(59)),
        GoldenCase.Of(3, 3, Request(3),
            new Wire()
                .Int32(-1)
                .Array(1)
                .String("telemetry").Array(2)
                .Int32(3).Int32(61).Int32(60)
                .Int32(4).Int32(-1).Int32(59)),
        GoldenCase.Of(4, 4, Request(4),
            new Wire()
                .Int32(-1)
                .CompactArray(1)
                .CompactString("telemetry").CompactArray(2)
                .Int32(3).Int32(61).Int32(60).NoTags()
                .Int32(4).Int32(-1).Int32(59).NoTags()
                .NoTags()
                .NoTags()),
    ];

    private static IEnumerable<GoldenCase> Responses =>
    [
        GoldenCase.Of(2, 3, Response,
            new Wire()
                .Int32(13)
                .Array(1)
                .String("telemetry").Array(1)
                .Int16(74).Int32(3).Int32(60).Int64(987_654_321)),
        GoldenCase.Of(4, 4, Response,
            new Wire()
                .Int32(13)
                .CompactArray(1)
                .CompactString("telemetry").CompactArray(1)
                .Int16(74).Int32(3).Int32(60).Int64(987_654_321).NoTags()
                .NoTags()
                .NoTags()),
    ];

    private static OffsetForLeaderEpochResponse Response => new()
    {
        ThrottleTimeMs = 13,
        Topics =
        [
            new()
            {
                Topic = "telemetry",
                Partitions = [new() { ErrorCode = (ErrorCode)74, Partition = 3, LeaderEpoch = 60, EndOffset = 987_654_321 }],
            },
        ],
    };

    private static OffsetForLeaderEpochRequest Request(short version) => new()
    {
        ReplicaId = version >= 3 ? -1 : -2,
        Topics =
        [
            new()
            {
                Topic = "telemetry",
                Partitions =
                [
                    new() { Partition = 3, CurrentLeaderEpoch = 61, LeaderEpoch = 60 },
                    new() { Partition = 4, LeaderEpoch = 59 },
                ],
            },
        ],
    };
}
