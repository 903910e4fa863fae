using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

/// <summary>Joining, syncing, living and leaving, and who coordinates it.</summary>
internal static class GroupGolden
{
    private static readonly byte[] Bytes = [0xAA, 0xBB];

    public static IEnumerable<GoldenCase> Cases => [.. FindCoordinator, .. JoinGroup, .. SyncGroup, .. Heartbeat, .. LeaveGroup];

    private static IEnumerable<GoldenCase> FindCoordinator =>
    [
        GoldenCase.Of(0, 0, new FindCoordinatorRequest { Key = "g" }, new Wire().String("g")),
        GoldenCase.Of(1, 2, new FindCoordinatorRequest { Key = "g", KeyType = 1 }, new Wire().String("g").Int8(1)),
        GoldenCase.Of(3, 3, new FindCoordinatorRequest { Key = "g", KeyType = 1 }, new Wire().CompactString("g").Int8(1).NoTags()),
        GoldenCase.Of(4, 6, new FindCoordinatorRequest { KeyType = 1, CoordinatorKeys = ["g", "h"] },
            new Wire().Int8(1).CompactArray(2).CompactString("g").CompactString("h").NoTags()),
        GoldenCase.Of(0, 0, new FindCoordinatorResponse { ErrorCode = ErrorCode.CoordinatorNotAvailable, NodeId = 1, Host = "h", Port = 9092 },
            new Wire().Int16(15).Int32(1).String("h").Int32(9092)),
        GoldenCase.Of(1, 2, OneCoordinator(), new Wire().Int32(8).Int16(15).String("m").Int32(1).String("h").Int32(9092)),
        GoldenCase.Of(3, 3, OneCoordinator(),
            new Wire().Int32(8).Int16(15).CompactString("m").Int32(1).CompactString("h").Int32(9092).NoTags()),
        GoldenCase.Of(4, 6,
            new FindCoordinatorResponse
            {
                ThrottleTimeMs = 8,
                Coordinators =
                [
                    new() { Key = "g", NodeId = 1, Host = "h", Port = 9092, ErrorCode = ErrorCode.NotCoordinator, ErrorMessage = "m" },
                    new() { Key = "i", ErrorMessage = null },
                ],
            },
            new Wire().Int32(8).CompactArray(2)
                .CompactString("g").Int32(1).CompactString("h").Int32(9092).Int16(16).CompactString("m").NoTags()
                .CompactString("i").Int32(0).CompactString("").Int32(0).Int16(0).CompactNull().NoTags()
                .NoTags()),
    ];

    private static IEnumerable<GoldenCase> JoinGroup =>
    [
        GoldenCase.Of(0, 0, Join(0), new Wire().String("g").Int32(10_000).String("m").String("consumer")
            .Array(2).String("range").Records("AA BB").String("x").Records("")),
        GoldenCase.Of(1, 4, Join(1), new Wire().String("g").Int32(10_000).Int32(60_000).String("m").String("consumer")
            .Array(2).String("range").Records("AA BB").String("x").Records("")),
        GoldenCase.Of(5, 5, Join(5), new Wire().String("g").Int32(10_000).Int32(60_000).String("m").String("i").String("consumer")
            .Array(2).String("range").Records("AA BB").String("x").Records("")),
        GoldenCase.Of(6, 7, Join(6), new Wire().CompactString("g").Int32(10_000).Int32(60_000).CompactString("m").CompactString("i")
            .CompactString("consumer")
            .CompactArray(2).CompactString("range").CompactRecords("AA BB").NoTags().CompactString("x").CompactRecords("").NoTags()
            .NoTags()),
        GoldenCase.Of(8, 9, Join(8), new Wire().CompactString("g").Int32(10_000).Int32(60_000).CompactString("m").CompactString("i")
            .CompactString("consumer")
            .CompactArray(2).CompactString("range").CompactRecords("AA BB").NoTags().CompactString("x").CompactRecords("").NoTags()
            .CompactString("why").NoTags()),
        GoldenCase.Of(0, 1, Joined(0), new Wire().Int16(27).Int32(3).String("range").String("l").String("m")
            .Array(1).String("m").Records("AA BB")),
        GoldenCase.Of(2, 4, Joined(2), new Wire().Int32(8).Int16(27).Int32(3).String("range").String("l").String("m")
            .Array(1).String("m").Records("AA BB")),
        GoldenCase.Of(5, 5, Joined(5), new Wire().Int32(8).Int16(27).Int32(3).String("range").String("l").String("m")
            .Array(1).String("m").String("i").Records("AA BB")),
        GoldenCase.Of(6, 6, Joined(6), new Wire().Int32(8).Int16(27).Int32(3).CompactString("range").CompactString("l").CompactString("m")
            .CompactArray(1).CompactString("m").CompactString("i").CompactRecords("AA BB").NoTags().NoTags()),
        GoldenCase.Of(7, 8, Joined(7), new Wire().Int32(8).Int16(27).Int32(3).CompactString("consumer").CompactString("range")
            .CompactString("l").CompactString("m")
            .CompactArray(1).CompactString("m").CompactString("i").CompactRecords("AA BB").NoTags().NoTags()),
        GoldenCase.Of(9, 9, Joined(9), new Wire().Int32(8).Int16(27).Int32(3).CompactString("consumer").CompactString("range")
            .CompactString("l").Int8(1).CompactString("m")
            .CompactArray(1).CompactString("m").CompactString("i").CompactRecords("AA BB").NoTags().NoTags()),
        GoldenCase.Of(7, 8, new JoinGroupResponse { ProtocolName = null, Members = [new()] },
            new Wire().Int32(0).Int16(0).Int32(-1).CompactNull().CompactNull().CompactString("").CompactString("")
                .CompactArray(1).CompactString("").CompactNull().CompactRecords("").NoTags().NoTags()),
    ];

    private static IEnumerable<GoldenCase> SyncGroup =>
    [
        GoldenCase.Of(0, 2, Sync(0), new Wire().String("g").Int32(3).String("m").Array(1).String("n").Records("AA BB")),
        GoldenCase.Of(3, 3, Sync(3), new Wire().String("g").Int32(3).String("m").String("i").Array(1).String("n").Records("AA BB")),
        GoldenCase.Of(4, 4, Sync(4), new Wire().CompactString("g").Int32(3).CompactString("m").CompactString("i")
            .CompactArray(1).CompactString("n").CompactRecords("AA BB").NoTags().NoTags()),
        GoldenCase.Of(5, 5, Sync(5), new Wire().CompactString("g").Int32(3).CompactString("m").CompactString("i")
            .CompactString("consumer").CompactString("range")
            .CompactArray(1).CompactString("n").CompactRecords("AA BB").NoTags().NoTags()),
        GoldenCase.Of(0, 0, new SyncGroupResponse { ErrorCode = ErrorCode.UnknownMemberId, Assignment = Bytes },
            new Wire().Int16(25).Records("AA BB")),
        GoldenCase.Of(1, 3, Synced(1), new Wire().Int32(8).Int16(25).Records("AA BB")),
        GoldenCase.Of(4, 4, Synced(4), new Wire().Int32(8).Int16(25).CompactRecords("AA BB").NoTags()),
        GoldenCase.Of(5, 5, Synced(5),
            new Wire().Int32(8).Int16(25).CompactString("consumer").CompactString("range").CompactRecords("AA BB").NoTags()),
    ];

    private static IEnumerable<GoldenCase> Heartbeat =>
    [
        GoldenCase.Of(0, 2, new HeartbeatRequest { GroupId = "g", GenerationId = 3, MemberId = "m" },
            new Wire().String("g").Int32(3).String("m")),
        GoldenCase.Of(3, 3, new HeartbeatRequest { GroupId = "g", GenerationId = 3, MemberId = "m", GroupInstanceId = "i" },
            new Wire().String("g").Int32(3).String("m").String("i")),
        GoldenCase.Of(3, 3, new HeartbeatRequest { GroupId = "g" }, new Wire().String("g").Int32(0).String("").NullString()),
        GoldenCase.Of(4, 4, new HeartbeatRequest { GroupId = "g", GenerationId = 3, MemberId = "m", GroupInstanceId = "i" },
            new Wire().CompactString("g").Int32(3).CompactString("m").CompactString("i").NoTags()),
        GoldenCase.Of(0, 0, new HeartbeatResponse { ErrorCode = ErrorCode.IllegalGeneration }, new Wire().Int16(22)),
        GoldenCase.Of(1, 3, new HeartbeatResponse { ThrottleTimeMs = 8, ErrorCode = ErrorCode.IllegalGeneration },
            new Wire().Int32(8).Int16(22)),
        GoldenCase.Of(4, 4, new HeartbeatResponse { ThrottleTimeMs = 8, ErrorCode = ErrorCode.IllegalGeneration },
            new Wire().Int32(8).Int16(22).NoTags()),
    ];

    private static IEnumerable<GoldenCase> LeaveGroup =>
    [
        GoldenCase.Of(0, 2, new LeaveGroupRequest { GroupId = "g", MemberId = "m" }, new Wire().String("g").String("m")),
        GoldenCase.Of(3, 3, Leave(3), new Wire().String("g").Array(2).String("m").String("i").String("").NullString()),
        GoldenCase.Of(4, 4, Leave(4), new Wire().CompactString("g")
            .CompactArray(2).CompactString("m").CompactString("i").NoTags().CompactString("").CompactNull().NoTags().NoTags()),
        GoldenCase.Of(5, 5, Leave(5), new Wire().CompactString("g")
            .CompactArray(2).CompactString("m").CompactString("i").CompactString("why").NoTags()
            .CompactString("").CompactNull().CompactNull().NoTags().NoTags()),
        GoldenCase.Of(0, 0, new LeaveGroupResponse { ErrorCode = ErrorCode.UnknownMemberId }, new Wire().Int16(25)),
        GoldenCase.Of(1, 2, new LeaveGroupResponse { ThrottleTimeMs = 8, ErrorCode = ErrorCode.UnknownMemberId },
            new Wire().Int32(8).Int16(25)),
        GoldenCase.Of(3, 3, Left(), new Wire().Int32(8).Int16(25).Array(1).String("m").String("i").Int16(82)),
        GoldenCase.Of(4, 5, Left(), new Wire().Int32(8).Int16(25)
            .CompactArray(1).CompactString("m").CompactString("i").Int16(82).NoTags().NoTags()),
    ];

    private static FindCoordinatorResponse OneCoordinator() => new()
    {
        ThrottleTimeMs = 8,
        ErrorCode = ErrorCode.CoordinatorNotAvailable,
        ErrorMessage = "m",
        NodeId = 1,
        Host = "h",
        Port = 9092,
    };

    private static JoinGroupRequest Join(short version) => new()
    {
        GroupId = "g",
        SessionTimeoutMs = 10_000,
        RebalanceTimeoutMs = version >= 1 ? 60_000 : -1,
        MemberId = "m",
        GroupInstanceId = version >= 5 ? "i" : null,
        ProtocolType = "consumer",
        Protocols = [new() { Name = "range", Metadata = Bytes }, new() { Name = "x" }],
        Reason = version >= 8 ? "why" : null,
    };

    private static JoinGroupResponse Joined(short version) => new()
    {
        ThrottleTimeMs = version >= 2 ? 8 : 0,
        ErrorCode = ErrorCode.RebalanceInProgress,
        GenerationId = 3,
        ProtocolType = version >= 7 ? "consumer" : null,
        ProtocolName = "range",
        Leader = "l",
        SkipAssignment = version >= 9,
        MemberId = "m",
        Members = [new() { MemberId = "m", GroupInstanceId = version >= 5 ? "i" : null, Metadata = Bytes }],
    };

    private static SyncGroupRequest Sync(short version) => new()
    {
        GroupId = "g",
        GenerationId = 3,
        MemberId = "m",
        GroupInstanceId = version >= 3 ? "i" : null,
        ProtocolType = version >= 5 ? "consumer" : null,
        ProtocolName = version >= 5 ? "range" : null,
        Assignments = [new() { MemberId = "n", Assignment = Bytes }],
    };

    private static SyncGroupResponse Synced(short version) => new()
    {
        ThrottleTimeMs = 8,
        ErrorCode = ErrorCode.UnknownMemberId,
        ProtocolType = version >= 5 ? "consumer" : null,
        ProtocolName = version >= 5 ? "range" : null,
        Assignment = Bytes,
    };

    private static LeaveGroupRequest Leave(short version) => new()
    {
        GroupId = "g",
        Members = [new() { MemberId = "m", GroupInstanceId = "i", Reason = version >= 5 ? "why" : null }, new()],
    };

    private static LeaveGroupResponse Left() => new()
    {
        ThrottleTimeMs = 8,
        ErrorCode = ErrorCode.UnknownMemberId,
        Members = [new() { MemberId = "m", GroupInstanceId = "i", ErrorCode = ErrorCode.FencedInstanceId }],
    };
}
