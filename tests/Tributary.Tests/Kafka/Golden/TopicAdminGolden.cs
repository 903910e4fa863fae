using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

/// <summary>DeleteTopics, CreatePartitions and DeleteRecords.</summary>
internal static class TopicAdminGolden
{
    private const string Id = "00112233-4455-6677-8899-aabbccddeeff";

    public static IEnumerable<GoldenCase> Cases => [.. DeleteTopics, .. CreatePartitions, .. DeleteRecords];

    private static IEnumerable<GoldenCase> DeleteTopics =>
    [
        GoldenCase.Of(1, 3, new DeleteTopicsRequest { TopicNames = ["a", "bc"], TimeoutMs = 30_000 },
            new Wire().Array(2).String("a").String("bc").Int32(30_000)),
        GoldenCase.Of(4, 5, new DeleteTopicsRequest { TopicNames = ["a", "bc"], TimeoutMs = 30_000 },
            new Wire().CompactArray(2).CompactString("a").CompactString("bc").Int32(30_000).NoTags()),
        GoldenCase.Of(6, 6,
            new DeleteTopicsRequest { Topics = [new() { Name = "a" }, new() { TopicId = Guid.Parse(Id) }], TimeoutMs = 30_000 },
            new Wire().CompactArray(2)
                .CompactString("a").Uuid(Guid.Empty.ToString()).NoTags()
                .CompactNull().Uuid(Id).NoTags()
                .Int32(30_000).NoTags()),
        GoldenCase.Of(1, 3, Deleted(1), new Wire().Int32(8).Array(1).String("a").Int16(3)),
        GoldenCase.Of(4, 4, Deleted(4), new Wire().Int32(8).CompactArray(1).CompactString("a").Int16(3).NoTags().NoTags()),
        GoldenCase.Of(5, 5, Deleted(5),
            new Wire().Int32(8).CompactArray(1).CompactString("a").Int16(3).CompactString("gone").NoTags().NoTags()),
        GoldenCase.Of(6, 6, Deleted(6),
            new Wire().Int32(8).CompactArray(1).CompactString("a").Uuid(Id).Int16(3).CompactString("gone").NoTags().NoTags()),
        GoldenCase.Of(6, 6,
            new DeleteTopicsResponse { Responses = [new() { Name = null, ErrorCode = ErrorCode.UnknownTopicId }] },
            new Wire().Int32(0).CompactArray(1).CompactNull().Uuid(Guid.Empty.ToString()).Int16(100).CompactNull().NoTags().NoTags()),
    ];

    private static IEnumerable<GoldenCase> CreatePartitions =>
    [
        GoldenCase.Of(0, 1, MorePartitions(),
            new Wire().Array(2)
                .String("a").Int32(5).Array(1).Array(2).Int32(1).Int32(2)
                .String("b").Int32(6).Array(-1)
                .Int32(30_000).Int8(1)),
        GoldenCase.Of(2, 3, MorePartitions(),
            new Wire().CompactArray(2)
                .CompactString("a").Int32(5).CompactArray(1).CompactArray(2).Int32(1).Int32(2).NoTags().NoTags()
                .CompactString("b").Int32(6).CompactNull().NoTags()
                .Int32(30_000).Int8(1).NoTags()),
        GoldenCase.Of(0, 1, PartitionsCreated(),
            new Wire().Int32(8).Array(2).String("a").Int16(37).String("fewer").String("b").Int16(0).NullString()),
        GoldenCase.Of(2, 3, PartitionsCreated(),
            new Wire().Int32(8).CompactArray(2)
                .CompactString("a").Int16(37).CompactString("fewer").NoTags()
                .CompactString("b").Int16(0).CompactNull().NoTags()
                .NoTags()),
    ];

    private static IEnumerable<GoldenCase> DeleteRecords =>
    [
        GoldenCase.Of(0, 1, RecordsToDelete(),
            new Wire().Array(1).String("a").Array(2).Int32(0).Int64(258).Int32(1).Int64(-1).Int32(30_000)),
        GoldenCase.Of(2, 2, RecordsToDelete(),
            new Wire().CompactArray(1).CompactString("a").CompactArray(2)
                .Int32(0).Int64(258).NoTags()
                .Int32(1).Int64(-1).NoTags()
                .NoTags().Int32(30_000).NoTags()),
        GoldenCase.Of(0, 1, RecordsDeleted(), new Wire().Int32(8).Array(1).String("a").Array(1).Int32(1).Int64(258).Int16(1)),
        GoldenCase.Of(2, 2, RecordsDeleted(),
            new Wire().Int32(8).CompactArray(1).CompactString("a").CompactArray(1).Int32(1).Int64(258).Int16(1).NoTags().NoTags().NoTags()),
    ];

    private static DeleteTopicsResponse Deleted(short version) => new()
    {
        ThrottleTimeMs = 8,
        Responses =
        [
            new()
            {
                Name = "a",
                TopicId = version >= 6 ? Guid.Parse(Id) : Guid.Empty,
                ErrorCode = ErrorCode.UnknownTopicOrPartition,
                ErrorMessage = version >= 5 ? "gone" : null,
            },
        ],
    };

    private static CreatePartitionsRequest MorePartitions() => new()
    {
        Topics =
        [
            new() { Name = "a", Count = 5, Assignments = [new() { BrokerIds = [1, 2] }] },
            new() { Name = "b", Count = 6, Assignments = null },
        ],
        TimeoutMs = 30_000,
        ValidateOnly = true,
    };

    private static CreatePartitionsResponse PartitionsCreated() => new()
    {
        ThrottleTimeMs = 8,
        Results = [new() { Name = "a", ErrorCode = ErrorCode.InvalidPartitions, ErrorMessage = "fewer" }, new() { Name = "b" }],
    };

    private static DeleteRecordsRequest RecordsToDelete() => new()
    {
        Topics = [new() { Name = "a", Partitions = [new() { Offset = 258 }, new() { PartitionIndex = 1, Offset = -1 }] }],
        TimeoutMs = 30_000,
    };

    private static DeleteRecordsResponse RecordsDeleted() => new()
    {
        ThrottleTimeMs = 8,
        Topics =
        [
            new()
            {
                Name = "a",
                Partitions = [new() { PartitionIndex = 1, LowWatermark = 258, ErrorCode = ErrorCode.OffsetOutOfRange }],
            },
        ],
    };
}
