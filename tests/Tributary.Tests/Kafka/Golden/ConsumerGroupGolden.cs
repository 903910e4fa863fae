using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

/// <summary>Groups of the newer protocol (KIP-848).</summary>
internal static class ConsumerGroupGolden
{
    private const string Id = "00112233-4455-6677-8899-aabbccddeeff";

    public static IEnumerable<GoldenCase> Cases => [.. Heartbeat, .. Describe];

    private static IEnumerable<GoldenCase> Heartbeat =>
    [
        GoldenCase.Of(0, 0, Beat(0), new Wire().CompactString("g").CompactString("m").Int32(3).CompactString("i").CompactString("r").Int32(60_000)
            .CompactArray(2).CompactString("t").CompactString("u").CompactString("uniform")
            .CompactArray(1).Uuid(Id).CompactArray(2).Int32(0).Int32(5).NoTags().NoTags()),
        GoldenCase.Of(1, 1, Beat(1), new Wire().CompactString("g").CompactString("m").Int32(3).CompactString("i").CompactString("r").Int32(60_000)
            .CompactArray(2).CompactString("t").CompactString("u").CompactString("a.*").CompactString("uniform")
            .CompactArray(1).Uuid(Id).CompactArray(2).Int32(0).Int32(5).NoTags().NoTags()),
        GoldenCase.Of(0, 0, new ConsumerGroupHeartbeatRequest { GroupId = "g", MemberId = "m", MemberEpoch = 4 }, new Wire()
            .CompactString("g").CompactString("m").Int32(4).CompactNull().CompactNull().Int32(-1).CompactNull().CompactNull().CompactNull().NoTags()),
        GoldenCase.Of(1, 1, new ConsumerGroupHeartbeatRequest { GroupId = "g", MemberId = "m", MemberEpoch = -1 }, new Wire()
            .CompactString("g").CompactString("m").Int32(-1).CompactNull().CompactNull().Int32(-1).CompactNull().CompactNull().CompactNull()
            .CompactNull().NoTags()),
        GoldenCase.Of(0, 1, new ConsumerGroupHeartbeatResponse
        {
            ThrottleTimeMs = 8,
            MemberId = "m",
            MemberEpoch = 4,
            HeartbeatIntervalMs = 5000,
            Assignment = new() { TopicPartitions = [new() { TopicId = Guid.Parse(Id), Partitions = [0, 5] }] },
        }, new Wire().Int32(8).Int16(0).CompactNull().CompactString("m").Int32(4).Int32(5000)
            .Int8(1).CompactArray(1).Uuid(Id).CompactArray(2).Int32(0).Int32(5).NoTags().NoTags().NoTags()),
        GoldenCase.Of(0, 1, new ConsumerGroupHeartbeatResponse { ErrorCode = ErrorCode.FencedMemberEpoch, ErrorMessage = "no" },
            new Wire().Int32(0).Int16(110).CompactString("no").CompactNull().Int32(0).Int32(0).Int8(-1).NoTags()),
    ];

    private static IEnumerable<GoldenCase> Describe =>
    [
        GoldenCase.Of(0, 1, new ConsumerGroupDescribeRequest { GroupIds = ["g"], IncludeAuthorizedOperations = true },
            new Wire().CompactArray(1).CompactString("g").Int8(1).NoTags()),
        GoldenCase.Of(0, 0, Described(0), Group().NoTags().Int32(328).NoTags().NoTags()),
        GoldenCase.Of(1, 1, Described(1), Group().Int8(1).NoTags().Int32(328).NoTags().NoTags()),
    ];

    private static Wire Group() => new Wire().Int32(8)
        .CompactArray(1).Int16(69).CompactString("none").CompactString("g").CompactString("Stable").Int32(7).Int32(6).CompactString("range")
        .CompactArray(1).CompactString("m").CompactString("i").CompactString("r").Int32(5).CompactString("c").CompactString("/h")
        .CompactArray(1).CompactString("t").CompactString("t.*")
        .CompactArray(1).Uuid(Id).CompactString("t").CompactArray(1).Int32(2).NoTags().NoTags()
        .CompactArray(1).Uuid(Id).CompactString("u").CompactArray(2).Int32(3).Int32(4).NoTags().NoTags();

    private static ConsumerGroupHeartbeatRequest Beat(short version) => new()
    {
        GroupId = "g",
        MemberId = "m",
        MemberEpoch = 3,
        InstanceId = "i",
        RackId = "r",
        RebalanceTimeoutMs = 60_000,
        SubscribedTopicNames = ["t", "u"],
        SubscribedTopicRegex = version >= 1 ? "a.*" : null,
        ServerAssignor = "uniform",
        TopicPartitions = [new() { TopicId = Guid.Parse(Id), Partitions = [0, 5] }],
    };

    private static ConsumerGroupDescribeResponse Described(short version) => new()
    {
        ThrottleTimeMs = 8,
        Groups =
        [
            new()
            {
                ErrorCode = ErrorCode.GroupIdNotFound,
                ErrorMessage = "none",
                GroupId = "g",
                GroupState = "Stable",
                GroupEpoch = 7,
                AssignmentEpoch = 6,
                AssignorName = "range",
                Members =
                [
                    new()
                    {
                        MemberId = "m",
                        InstanceId = "i",
                        RackId = "r",
                        MemberEpoch = 5,
                        ClientId = "c",
                        ClientHost = "/h",
                        SubscribedTopicNames = ["t"],
                        SubscribedTopicRegex = "t.*",
                        Assignment = new() { TopicPartitions = [new() { TopicId = Guid.Parse(Id), TopicName = "t", Partitions = [2] }] },
                        TargetAssignment = new() { TopicPartitions = [new() { TopicId = Guid.Parse(Id), TopicName = "u", Partitions = [3, 4] }] },
                        MemberType = (sbyte)(version >= 1 ? 1 : -1),
                    },
                ],
                AuthorizedOperations = 328,
            },
        ],
    };
}
