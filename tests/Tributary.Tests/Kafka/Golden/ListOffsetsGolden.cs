using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

internal static class ListOffsetsGolden
{
    public static IEnumerable<GoldenCase> Cases => [.. Requests, .. Responses];

    private static IEnumerable<GoldenCase> Requests =>
    [
        GoldenCase.Of(1, 1, Request(1),
            new Wire()
                .Int32(-1)
                .Array(1)
                .String("telemetry").Array(2)
                .Int32(3).Int64(-1)
                .Int32(4).Int64(1_700_000_000_000)),
        GoldenCase.Of(2, 3, Request(2),
            new Wire()
                .Int32(-1).Int8(1)
                .Array(1)
                .String("telemetry").Array(2)
                .Int32(3).Int64(-1)
                .Int32(4).Int64(1_700_000_000_000)),
        GoldenCase.Of(4, 5, Request(4),
            new Wire()
                .Int32(-1).Int8(1)
                .Array(1)
                .String("telemetry").Array(2)
                .Int32(3).Int32(61).Int64(-1)
                .Int32(4).Int32(62).Int64(1_700_000_000_000)),
        GoldenCase.Of(6, 9, Request(6),
            new Wire()
                .Int32(-1).Int8(1)
                .CompactArray(1)
                .CompactString("telemetry").CompactArray(2)
                .Int32(3).Int32(61).Int64(-1).NoTags()
                .Int32(4).Int32(62).Int64(1_700_000_000_000).NoTags()
                .NoTags()
                .NoTags()),
        GoldenCase.Of(10, 10, Request(10),
            new Wire()
                .Int32(-1).Int8(1)
                .CompactArray(1)
                .CompactString("telemetry").CompactArray(2)
                .Int32(3).Int32(61).Int64(-1).NoTags()
                .Int32(4).Int32(62).Int64(1_700_000_000_000).NoTags()
                .NoTags()
                .Int32(15_000)
                .NoTags()),
    ];

    private static IEnumerable<GoldenCase> Responses =>
    [
        GoldenCase.Of(1, 1, Response(1),
            new Wire()
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(3).Int16(78).Int64(1_700_000_000_001).Int64(987_654_321)),
        GoldenCase.Of(2, 3, Response(2),
            new Wire()
                .Int32(13)
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(3).Int16(78).Int64(1_700_000_000_001).Int64(987_654_321)),
        GoldenCase.Of(4, 5, Response(4),
            new Wire()
                .Int32(13)
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(3).Int16(78).Int64(1_700_000_000_001).Int64(987_654_321).Int32(61)),
        GoldenCase.Of(6, 10, Response(6),
            new Wire()
                .Int32(13)
                .CompactArray(1)
                .CompactString("telemetry").CompactArray(1)
                .Int32(3).Int16(78).Int64(1_700_000_000_001).Int64(987_654_321).Int32(61).NoTags()
                .NoTags()
                .NoTags()),
        GoldenCase.Of(6, 10, new ListOffsetsResponse { Topics = [new() { Name = "t", Partitions = [new()] }] },
            new Wire()
                .Int32(0)
                .CompactArray(1)
                .CompactString("t").CompactArray(1)
                .Int32(0).Int16(0).Int64(-1).Int64(-1).Int32(-1).NoTags()
                .NoTags()
                .NoTags()),
    ];

    private static ListOffsetsRequest Request(short version) => new()
    {
        ReplicaId = -1,
        IsolationLevel = version >= 2 ? (sbyte)1 : (sbyte)0,
        Topics =
        [
            new()
            {
                Name = "telemetry",
                Partitions =
                [
                    new() { PartitionIndex = 3, CurrentLeaderEpoch = version >= 4 ? 61 : -1, Timestamp = -1 },
                    new() { PartitionIndex = 4, CurrentLeaderEpoch = version >= 4 ? 62 : -1, Timestamp = 1_700_000_000_000 },
                ],
            },
        ],
        TimeoutMs = version >= 10 ? 15_000 : 0,
    };

    private static ListOffsetsResponse Response(short version) => new()
    {
        ThrottleTimeMs = version >= 2 ? 13 : 0,
        Topics =
        [
            new()
            {
                Name = "telemetry",
                Partitions =
                [
                    new()
                    {
                        PartitionIndex = 3,
                        ErrorCode = (ErrorCode)78,
                        Timestamp = 1_700_000_000_001,
                        Offset = 987_654_321,
                        LeaderEpoch = version >= 4 ? 61 : -1,
                    },
                ],
            },
        ],
    };
}
