using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

/// <summary>What administrators ask of groups.</summary>
internal static class GroupAdminGolden
{
    private static readonly byte[] Metadata = [0xAA];
    private static readonly byte[] Assignment = [0xBB];

    public static IEnumerable<GoldenCase> Cases => [.. Describe, .. List, .. Delete];

    private static IEnumerable<GoldenCase> Describe =>
    [
        GoldenCase.Of(0, 2, new DescribeGroupsRequest { Groups = ["g"] }, new Wire().Array(1).String("g")),
        GoldenCase.Of(3, 4, new DescribeGroupsRequest { Groups = ["g"], IncludeAuthorizedOperations = true },
            new Wire().Array(1).String("g").Int8(1)),
        GoldenCase.Of(5, 6, new DescribeGroupsRequest { Groups = ["g"], IncludeAuthorizedOperations = true },
            new Wire().CompactArray(1).CompactString("g").Int8(1).NoTags()),
        GoldenCase.Of(0, 0, Described(0), new Wire().Array(1).Int16(69).String("g").String("Stable").String("consumer").String("range")
            .Array(1).String("m").String("c").String("/h").Records("AA").Records("BB")),
        GoldenCase.Of(1, 2, Described(1), new Wire().Int32(8)
            .Array(1).Int16(69).String("g").String("Stable").String("consumer").String("range")
            .Array(1).String("m").String("c").String("/h").Records("AA").Records("BB")),
        GoldenCase.Of(3, 3, Described(3), new Wire().Int32(8)
            .Array(1).Int16(69).String("g").String("Stable").String("consumer").String("range")
            .Array(1).String("m").String("c").String("/h").Records("AA").Records("BB").Int32(328)),
        GoldenCase.Of(4, 4, Described(4), new Wire().Int32(8)
            .Array(1).Int16(69).String("g").String("Stable").String("consumer").String("range")
            .Array(1).String("m").String("i").String("c").String("/h").Records("AA").Records("BB").Int32(328)),
        GoldenCase.Of(5, 5, Described(5), new Wire().Int32(8)
            .CompactArray(1).Int16(69).CompactString("g").CompactString("Stable").CompactString("consumer").CompactString("range")
            .CompactArray(1).CompactString("m").CompactString("i").CompactString("c").CompactString("/h")
            .CompactRecords("AA").CompactRecords("BB").NoTags().Int32(328).NoTags().NoTags()),
        GoldenCase.Of(6, 6, Described(6), new Wire().Int32(8)
            .CompactArray(1).Int16(69).CompactString("none").CompactString("g").CompactString("Stable").CompactString("consumer")
            .CompactString("range")
            .CompactArray(1).CompactString("m").CompactString("i").CompactString("c").CompactString("/h")
            .CompactRecords("AA").CompactRecords("BB").NoTags().Int32(328).NoTags().NoTags()),
    ];

    private static IEnumerable<GoldenCase> List =>
    [
        GoldenCase.Of(0, 2, new ListGroupsRequest(), new Wire()),
        GoldenCase.Of(3, 3, new ListGroupsRequest(), new Wire().NoTags()),
        GoldenCase.Of(4, 4, new ListGroupsRequest { StatesFilter = ["Stable", "Empty"] },
            new Wire().CompactArray(2).CompactString("Stable").CompactString("Empty").NoTags()),
        GoldenCase.Of(5, 5, new ListGroupsRequest { StatesFilter = ["Stable"], TypesFilter = ["classic"] },
            new Wire().CompactArray(1).CompactString("Stable").CompactArray(1).CompactString("classic").NoTags()),
        GoldenCase.Of(0, 0, Listed(0), new Wire().Int16(15).Array(1).String("g").String("consumer")),
        GoldenCase.Of(1, 2, Listed(1), new Wire().Int32(8).Int16(15).Array(1).String("g").String("consumer")),
        GoldenCase.Of(3, 3, Listed(3),
            new Wire().Int32(8).Int16(15).CompactArray(1).CompactString("g").CompactString("consumer").NoTags().NoTags()),
        GoldenCase.Of(4, 4, Listed(4),
            new Wire().Int32(8).Int16(15).CompactArray(1).CompactString("g").CompactString("consumer").CompactString("Stable").NoTags().NoTags()),
        GoldenCase.Of(5, 5, Listed(5),
            new Wire().Int32(8).Int16(15).CompactArray(1).CompactString("g").CompactString("consumer").CompactString("Stable")
                .CompactString("classic").NoTags().NoTags()),
    ];

    private static IEnumerable<GoldenCase> Delete =>
    [
        GoldenCase.Of(0, 1, new DeleteGroupsRequest { GroupsNames = ["g", "h"] }, new Wire().Array(2).String("g").String("h")),
        GoldenCase.Of(2, 2, new DeleteGroupsRequest { GroupsNames = ["g", "h"] },
            new Wire().CompactArray(2).CompactString("g").CompactString("h").NoTags()),
        GoldenCase.Of(0, 1, Deleted(), new Wire().Int32(8).Array(1).String("g").Int16(68)),
        GoldenCase.Of(2, 2, Deleted(), new Wire().Int32(8).CompactArray(1).CompactString("g").Int16(68).NoTags().NoTags()),
    ];

    private static DescribeGroupsResponse Described(short version) => new()
    {
        ThrottleTimeMs = version >= 1 ? 8 : 0,
        Groups =
        [
            new()
            {
                ErrorCode = ErrorCode.GroupIdNotFound,
                ErrorMessage = version >= 6 ? "none" : null,
                GroupId = "g",
                GroupState = "Stable",
                ProtocolType = "consumer",
                ProtocolData = "range",
                Members =
                [
                    new()
                    {
                        MemberId = "m",
                        GroupInstanceId = version >= 4 ? "i" : null,
                        ClientId = "c",
                        ClientHost = "/h",
                        MemberMetadata = Metadata,
                        MemberAssignment = Assignment,
                    },
                ],
                AuthorizedOperations = version >= 3 ? 328 : int.MinValue,
            },
        ],
    };

    private static ListGroupsResponse Listed(short version) => new()
    {
        ThrottleTimeMs = version >= 1 ? 8 : 0,
        ErrorCode = ErrorCode.CoordinatorNotAvailable,
        Groups =
        [
            new()
            {
                GroupId = "g",
                ProtocolType = "consumer",
                GroupState = version >= 4 ? "Stable" : "",
                GroupType = version >= 5 ? "classic" : "",
            },
        ],
    };

    private static DeleteGroupsResponse Deleted() =>
        new() { ThrottleTimeMs = 8, Results = [new() { GroupId = "g", ErrorCode = ErrorCode.NonEmptyGroup }] };
}
