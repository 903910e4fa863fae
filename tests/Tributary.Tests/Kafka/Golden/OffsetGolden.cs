using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

/// <summary>Committing, reading and deleting a group's offsets.</summary>
internal static class OffsetGolden
{
    public static IEnumerable<GoldenCase> Cases => [.. Commit, .. Fetch, .. Delete];

    private static IEnumerable<GoldenCase> Commit =>
    [
        GoldenCase.Of(2, 4, Committing(2), new Wire().String("g").Int32(3).String("m").Int64(5000)
            .Array(1).String("t").Array(2).Int32(1).Int64(42).String("x").Int32(2).Int64(43).NullString()),
        GoldenCase.Of(5, 5, Committing(5), new Wire().String("g").Int32(3).String("m")
            .Array(1).String("t").Array(2).Int32(1).Int64(42).String("x").Int32(2).Int64(43).NullString()),
        GoldenCase.Of(6, 6, Committing(6), new Wire().String("g").Int32(3).String("m")
            .Array(1).String("t").Array(2).Int32(1).Int64(42).Int32(7).String("x").Int32(2).Int64(43).Int32(-1).NullString()),
        GoldenCase.Of(7, 7, Committing(7), new Wire().String("g").Int32(3).String("m").String("i")
            .Array(1).String("t").Array(2).Int32(1).Int64(42).Int32(7).String("x").Int32(2).Int64(43).Int32(-1).NullString()),
        GoldenCase.Of(8, 9, Committing(8), new Wire().CompactString("g").Int32(3).CompactString("m").CompactString("i")
            .CompactArray(1).CompactString("t")
            .CompactArray(2).Int32(1).Int64(42).Int32(7).CompactString("x").NoTags().Int32(2).Int64(43).Int32(-1).CompactNull().NoTags()
            .NoTags().NoTags()),
        GoldenCase.Of(2, 2, Committed(0), new Wire().Array(1).String("t").Array(1).Int32(1).Int16(22)),
        GoldenCase.Of(3, 7, Committed(8), new Wire().Int32(8).Array(1).String("t").Array(1).Int32(1).Int16(22)),
        GoldenCase.Of(8, 9, Committed(8), new Wire().Int32(8).CompactArray(1).CompactString("t")
            .CompactArray(1).Int32(1).Int16(22).NoTags().NoTags().NoTags()),
    ];

    private static IEnumerable<GoldenCase> Fetch =>
    [
        GoldenCase.Of(1, 5, Fetching(1), new Wire().String("g").Array(1).String("t").Array(2).Int32(1).Int32(2)),
        GoldenCase.Of(2, 5, new OffsetFetchRequest { GroupId = "g", Topics = null }, new Wire().String("g").Array(-1)),
        GoldenCase.Of(6, 6, Fetching(6), new Wire().CompactString("g")
            .CompactArray(1).CompactString("t").CompactArray(2).Int32(1).Int32(2).NoTags().NoTags()),
        GoldenCase.Of(7, 7, Fetching(7), new Wire().CompactString("g")
            .CompactArray(1).CompactString("t").CompactArray(2).Int32(1).Int32(2).NoTags().Int8(1).NoTags()),
        GoldenCase.Of(8, 8, FetchingMany(8), new Wire()
            .CompactArray(2)
            .CompactString("g").CompactArray(1).CompactString("t").CompactArray(2).Int32(1).Int32(2).NoTags().NoTags()
            .CompactString("h").CompactNull().NoTags()
            .Int8(1).NoTags()),
        GoldenCase.Of(9, 9, FetchingMany(9), new Wire()
            .CompactArray(2)
            .CompactString("g").CompactString("m").Int32(5).CompactArray(1).CompactString("t").CompactArray(2).Int32(1).Int32(2).NoTags().NoTags()
            .CompactString("h").CompactNull().Int32(-1).CompactNull().NoTags()
            .Int8(1).NoTags()),
        GoldenCase.Of(1, 1, Fetched(1), new Wire().Array(1).String("t").Array(1).Int32(1).Int64(42).String("x").Int16(25)),
        GoldenCase.Of(2, 2, Fetched(2), new Wire().Array(1).String("t").Array(1).Int32(1).Int64(42).String("x").Int16(25).Int16(24)),
        GoldenCase.Of(3, 4, Fetched(3),
            new Wire().Int32(8).Array(1).String("t").Array(1).Int32(1).Int64(42).String("x").Int16(25).Int16(24)),
        GoldenCase.Of(5, 5, Fetched(5),
            new Wire().Int32(8).Array(1).String("t").Array(1).Int32(1).Int64(42).Int32(7).String("x").Int16(25).Int16(24)),
        GoldenCase.Of(6, 7, Fetched(6),
            new Wire().Int32(8).CompactArray(1).CompactString("t")
                .CompactArray(1).Int32(1).Int64(42).Int32(7).CompactString("x").Int16(25).NoTags().NoTags().Int16(24).NoTags()),
        GoldenCase.Of(8, 9, FetchedMany(),
            new Wire().Int32(8).CompactArray(1).CompactString("g").CompactArray(1).CompactString("t")
                .CompactArray(1).Int32(1).Int64(42).Int32(7).CompactNull().Int16(25).NoTags().NoTags().Int16(24).NoTags().NoTags()),
    ];

    private static IEnumerable<GoldenCase> Delete =>
    [
        GoldenCase.Of(0, 0,
            new OffsetDeleteRequest { GroupId = "g", Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 1 }] }] },
            new Wire().String("g").Array(1).String("t").Array(1).Int32(1)),
        GoldenCase.Of(0, 0,
            new OffsetDeleteResponse
            {
                ErrorCode = ErrorCode.NonEmptyGroup,
                ThrottleTimeMs = 8,
                Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 1, ErrorCode = ErrorCode.GroupSubscribedToTopic }] }],
            },
            new Wire().Int16(68).Int32(8).Array(1).String("t").Array(1).Int32(1).Int16(86)),
    ];

    private static OffsetCommitRequest Committing(short version) => new()
    {
        GroupId = "g",
        GenerationId = 3,
        MemberId = "m",
        GroupInstanceId = version >= 7 ? "i" : null,
        RetentionTimeMs = version <= 4 ? 5000 : -1,
        Topics =
        [
            new()
            {
                Name = "t",
                Partitions =
                [
                    new() { PartitionIndex = 1, CommittedOffset = 42, CommittedLeaderEpoch = version >= 6 ? 7 : -1, CommittedMetadata = "x" },
                    new() { PartitionIndex = 2, CommittedOffset = 43, CommittedMetadata = null },
                ],
            },
        ],
    };

    private static OffsetCommitResponse Committed(int throttle) => new()
    {
        ThrottleTimeMs = throttle,
        Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 1, ErrorCode = ErrorCode.IllegalGeneration }] }],
    };

    private static OffsetFetchRequest Fetching(short version) => new()
    {
        GroupId = "g",
        Topics = [new() { Name = "t", PartitionIndexes = [1, 2] }],
        RequireStable = version >= 7,
    };

    private static OffsetFetchRequest FetchingMany(short version) => new()
    {
        Groups =
        [
            new()
            {
                GroupId = "g",
                MemberId = version >= 9 ? "m" : null,
                MemberEpoch = version >= 9 ? 5 : -1,
                Topics = [new() { Name = "t", PartitionIndexes = [1, 2] }],
            },
            new() { GroupId = "h", Topics = null },
        ],
        RequireStable = true,
    };

    private static OffsetFetchResponse Fetched(short version) => new()
    {
        ThrottleTimeMs = version >= 3 ? 8 : 0,
        Topics =
        [
            new()
            {
                Name = "t",
                Partitions =
                [
                    new()
                    {
                        PartitionIndex = 1,
                        CommittedOffset = 42,
                        CommittedLeaderEpoch = version >= 5 ? 7 : -1,
                        Metadata = "x",
                        ErrorCode = ErrorCode.UnknownMemberId,
                    },
                ],
            },
        ],
        ErrorCode = version >= 2 ? ErrorCode.InvalidGroupId : ErrorCode.None,
    };

    private static OffsetFetchResponse FetchedMany() => new()
    {
        ThrottleTimeMs = 8,
        Groups =
        [
            new()
            {
                GroupId = "g",
                Topics =
                [
                    new()
                    {
                        Name = "t",
                        Partitions =
                        [
                            new()
                            {
                                PartitionIndex = 1,
                                CommittedOffset = 42,
                                CommittedLeaderEpoch = 7,
                                Metadata = null,
                                ErrorCode = ErrorCode.UnknownMemberId,
                            },
                        ],
                    },
                ],
                ErrorCode = ErrorCode.InvalidGroupId,
            },
        ],
    };
}
