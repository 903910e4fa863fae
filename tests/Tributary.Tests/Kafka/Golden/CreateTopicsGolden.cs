using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

internal static class CreateTopicsGolden
{
    private const string Id = "00112233-4455-6677-8899-aabbccddeeff";

    public static IEnumerable<GoldenCase> Cases => [.. Requests, .. Responses];

    private static IEnumerable<GoldenCase> Requests =>
    [
        GoldenCase.Of(2, 4, Request(),
            new Wire()
                .Array(2)
                .String("auto").Int32(4).Int16(3)
                .Array(0)
                .Array(2).String("retention.ms").String("60000").String("cleanup.policy").NullString()
                .String("manual").Int32(-1).Int16(-1)
                .Array(2)
                .Int32(0).Array(2).Int32(1).Int32(2)
                .Int32(1).Array(1).Int32(2)
                .Array(0)
                .Int32(30_000).Int8(1)),
        GoldenCase.Of(5, 7, Request(),
            new Wire()
                .CompactArray(2)
                .CompactString("auto").Int32(4).Int16(3)
                .CompactArray(0)
                .CompactArray(2)
                .CompactString("retention.ms").CompactString("60000").NoTags()
                .CompactString("cleanup.policy").CompactNull().NoTags()
                .NoTags()
                .CompactString("manual").Int32(-1).Int16(-1)
                .CompactArray(2)
                .Int32(0).CompactArray(2).Int32(1).Int32(2).NoTags()
                .Int32(1).CompactArray(1).Int32(2).NoTags()
                .CompactArray(0)
                .NoTags()
                .Int32(30_000).Int8(1)
                .NoTags()),
        GoldenCase.Of(2, 4, new CreateTopicsRequest(), new Wire().Array(0).Int32(60_000).Int8(0)),
    ];

    private static IEnumerable<GoldenCase> Responses =>
    [
        GoldenCase.Of(2, 4,
            new CreateTopicsResponse
            {
                ThrottleTimeMs = 8,
                Topics = [new() { Name = "a", ErrorCode = ErrorCode.TopicAlreadyExists, ErrorMessage = "exists" }, new() { Name = "b" }],
            },
            new Wire()
                .Int32(8)
                .Array(2)
                .String("a").Int16(36).String("exists")
                .String("b").Int16(0).NullString()),
        GoldenCase.Of(5, 6, Response(5),
            new Wire()
                .Int32(8)
                .CompactArray(2)
                .CompactString("a").Int16(0).CompactNull().Int32(4).Int16(3)
                .CompactArray(2)
                .CompactString("retention.ms").CompactString("60000").Int8(0).Int8(1).Int8(1).NoTags()
                .CompactString("x").CompactNull().Int8(1).Int8(-1).Int8(0).NoTags()
                .NoTags()
                .CompactString("b").Int16(0).CompactString("m").Int32(-1).Int16(-1).CompactNull().Tags((0, new Wire().Int16(40)))
                .NoTags()),
        GoldenCase.Of(7, 7, Response(7),
            new Wire()
                .Int32(8)
                .CompactArray(2)
                .CompactString("a").Uuid(Id).Int16(0).CompactNull().Int32(4).Int16(3)
                .CompactArray(2)
                .CompactString("retention.ms").CompactString("60000").Int8(0).Int8(1).Int8(1).NoTags()
                .CompactString("x").CompactNull().Int8(1).Int8(-1).Int8(0).NoTags()
                .NoTags()
                .CompactString("b").Uuid(Guid.Empty.ToString()).Int16(0).CompactString("m").Int32(-1).Int16(-1).CompactNull()
                .Tags((0, new Wire().Int16(40)))
                .NoTags()),
    ];

    private static CreateTopicsRequest Request() => new()
    {
        Topics =
        [
            new()
            {
                Name = "auto",
                NumPartitions = 4,
                ReplicationFactor = 3,
                Configs = [new() { Name = "retention.ms", Value = "60000" }, new() { Name = "cleanup.policy", Value = null }],
            },
            new()
            {
                Name = "manual",
                NumPartitions = -1,
                ReplicationFactor = -1,
                Assignments = [new() { PartitionIndex = 0, BrokerIds = [1, 2] }, new() { PartitionIndex = 1, BrokerIds = [2] }],
            },
        ],
        TimeoutMs = 30_000,
        ValidateOnly = true,
    };

    private static CreateTopicsResponse Response(short version) => new()
    {
        ThrottleTimeMs = 8,
        Topics =
        [
            new()
            {
                Name = "a",
                TopicId = version >= 7 ? Guid.Parse(Id) : Guid.Empty,
                NumPartitions = 4,
                ReplicationFactor = 3,
                Configs =
                [
                    new() { Name = "retention.ms", Value = "60000", ConfigSource = 1, IsSensitive = true },
                    new() { Name = "x", Value = null, ReadOnly = true },
                ],
            },
            new() { Name = "b", ErrorMessage = "m", TopicConfigErrorCode = ErrorCode.InvalidConfig, Configs = null },
        ],
    };
}
