using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

internal static class MetadataGolden
{
    private const string Id = "00112233-4455-6677-8899-aabbccddeeff";

    public static IEnumerable<GoldenCase> Cases => [.. Requests, .. ClassicResponses, .. FlexibleResponses];

    private static IEnumerable<GoldenCase> Requests =>
    [
        GoldenCase.Of(0, 3, new MetadataRequest { Topics = [new() { Name = "a" }, new() { Name = "bc" }] },
            new Wire().Array(2).String("a").String("bc")),
        GoldenCase.Of(1, 3, new MetadataRequest { Topics = null }, new Wire().Int32(-1)),
        GoldenCase.Of(4, 7, new MetadataRequest { Topics = [new() { Name = "a" }], AllowAutoTopicCreation = false },
            new Wire().Array(1).String("a").Int8(0)),
        GoldenCase.Of(8, 8, new MetadataRequest { Topics = [new() { Name = "a" }], IncludeClusterAuthorizedOperations = true },
            new Wire().Array(1).String("a").Int8(1).Int8(1).Int8(0)),
        GoldenCase.Of(8, 8, new MetadataRequest { IncludeTopicAuthorizedOperations = true },
            new Wire().Array(0).Int8(1).Int8(0).Int8(1)),
        GoldenCase.Of(9, 9,
            new MetadataRequest
            {
                Topics = [new() { Name = "a" }],
                AllowAutoTopicCreation = false,
                IncludeClusterAuthorizedOperations = true,
            },
            new Wire().CompactArray(1).CompactString("a").NoTags().Int8(0).Int8(1).Int8(0).NoTags()),
        GoldenCase.Of(10, 10,
            new MetadataRequest
            {
                Topics = [new() { Name = "a" }, new() { TopicId = Guid.Parse(Id), Name = null }],
                AllowAutoTopicCreation = false,
                IncludeClusterAuthorizedOperations = true,
            },
            new Wire()
                .CompactArray(2)
                .Uuid(Guid.Empty.ToString()).CompactString("a").NoTags()
                .Uuid(Id).CompactNull().NoTags()
                .Int8(0).Int8(1).Int8(0)
                .NoTags()),
        GoldenCase.Of(11, 13, new MetadataRequest { Topics = null, IncludeTopicAuthorizedOperations = true },
            new Wire().CompactNull().Int8(1).Int8(1).NoTags()),
    ];

    private static IEnumerable<GoldenCase> ClassicResponses =>
    [
        GoldenCase.Of(0, 0, Response(0),
            new Wire()
                .Array(2)
                .Int32(1).String("h1").Int32(9092)
                .Int32(2).String("h2").Int32(9094)
                .Array(1)
                .Int16(3).String("telemetry")
                .Array(1)
                .Int16(5).Int32(7).Int32(2).Array(2).Int32(2).Int32(1).Array(1).Int32(2)),
        GoldenCase.Of(1, 1, Response(1),
            new Wire()
                .Array(2)
                .Int32(1).String("h1").Int32(9092).String("r1")
                .Int32(2).String("h2").Int32(9094).NullString()
                .Int32(1)
                .Array(1)
                .Int16(3).String("telemetry").Int8(1)
                .Array(1)
                .Int16(5).Int32(7).Int32(2).Array(2).Int32(2).Int32(1).Array(1).Int32(2)),
        GoldenCase.Of(2, 2, Response(2),
            new Wire()
                .Array(2)
                .Int32(1).String("h1").Int32(9092).String("r1")
                .Int32(2).String("h2").Int32(9094).NullString()
                .String("cluster").Int32(1)
                .Array(1)
                .Int16(3).String("telemetry").Int8(1)
                .Array(1)
                .Int16(5).Int32(7).Int32(2).Array(2).Int32(2).Int32(1).Array(1).Int32(2)),
        GoldenCase.Of(3, 4, Response(3),
            new Wire()
                .Int32(21)
                .Array(2)
                .Int32(1).String("h1").Int32(9092).String("r1")
                .Int32(2).String("h2").Int32(9094).NullString()
                .String("cluster").Int32(1)
                .Array(1)
                .Int16(3).String("telemetry").Int8(1)
                .Array(1)
                .Int16(5).Int32(7).Int32(2).Array(2).Int32(2).Int32(1).Array(1).Int32(2)),
        GoldenCase.Of(5, 6, Response(5),
            new Wire()
                .Int32(21)
                .Array(2)
                .Int32(1).String("h1").Int32(9092).String("r1")
                .Int32(2).String("h2").Int32(9094).NullString()
                .String("cluster").Int32(1)
                .Array(1)
                .Int16(3).String("telemetry").Int8(1)
                .Array(1)
                .Int16(5).Int32(7).Int32(2).Array(2).Int32(2).Int32(1).Array(1).Int32(2).Array(1).Int32(1)),
        GoldenCase.Of(7, 7, Response(7),
            new Wire()
                .Int32(21)
                .Array(2)
                .Int32(1).String("h1").Int32(9092).String("r1")
                .Int32(2).String("h2").Int32(9094).NullString()
                .String("cluster").Int32(1)
                .Array(1)
                .Int16(3).String("telemetry").Int8(1)
                .Array(1)
                .Int16(5).Int32(7).Int32(2).Int32(44).Array(2).Int32(2).Int32(1).Array(1).Int32(2).Array(1).Int32(1)),
        GoldenCase.Of(8, 8, Response(8),
            new Wire()
                .Int32(21)
                .Array(2)
                .Int32(1).String("h1").Int32(9092).String("r1")
                .Int32(2).String("h2").Int32(9094).NullString()
                .String("cluster").Int32(1)
                .Array(1)
                .Int16(3).String("telemetry").Int8(1)
                .Array(1)
                .Int16(5).Int32(7).Int32(2).Int32(44).Array(2).Int32(2).Int32(1).Array(1).Int32(2).Array(1).Int32(1)
                .Int32(0x0DF8)
                .Int32(0x0400)),
    ];

    private static IEnumerable<GoldenCase> FlexibleResponses =>
    [
        GoldenCase.Of(9, 9, Response(9),
            new Wire()
                .Int32(21)
                .CompactArray(2)
                .Int32(1).CompactString("h1").Int32(9092).CompactString("r1").NoTags()
                .Int32(2).CompactString("h2").Int32(9094).CompactNull().NoTags()
                .CompactString("cluster").Int32(1)
                .CompactArray(1)
                .Int16(3).CompactString("telemetry").Int8(1)
                .CompactArray(1)
                .Int16(5).Int32(7).Int32(2).Int32(44)
                .CompactArray(2).Int32(2).Int32(1).CompactArray(1).Int32(2).CompactArray(1).Int32(1).NoTags()
                .Int32(0x0DF8).NoTags()
                .Int32(0x0400)
                .NoTags()),
        GoldenCase.Of(10, 10, Response(10),
            new Wire()
                .Int32(21)
                .CompactArray(2)
                .Int32(1).CompactString("h1").Int32(9092).CompactString("r1").NoTags()
                .Int32(2).CompactString("h2").Int32(9094).CompactNull().NoTags()
                .CompactString("cluster").Int32(1)
                .CompactArray(1)
                .Int16(3).CompactString("telemetry").Uuid(Id).Int8(1)
                .CompactArray(1)
                .Int16(5).Int32(7).Int32(2).Int32(44)
                .CompactArray(2).Int32(2).Int32(1).CompactArray(1).Int32(2).CompactArray(1).Int32(1).NoTags()
                .Int32(0x0DF8).NoTags()
                .Int32(0x0400)
                .NoTags()),
        GoldenCase.Of(11, 12, Response(11),
            new Wire()
                .Int32(21)
                .CompactArray(2)
                .Int32(1).CompactString("h1").Int32(9092).CompactString("r1").NoTags()
                .Int32(2).CompactString("h2").Int32(9094).CompactNull().NoTags()
                .CompactString("cluster").Int32(1)
                .CompactArray(1)
                .Int16(3).CompactString("telemetry").Uuid(Id).Int8(1)
                .CompactArray(1)
                .Int16(5).Int32(7).Int32(2).Int32(44)
                .CompactArray(2).Int32(2).Int32(1).CompactArray(1).Int32(2).CompactArray(1).Int32(1).NoTags()
                .Int32(0x0DF8).NoTags()
                .NoTags()),
        GoldenCase.Of(13, 13, Response(13),
            new Wire()
                .Int32(21)
                .CompactArray(2)
                .Int32(1).CompactString("h1").Int32(9092).CompactString("r1").NoTags()
                .Int32(2).CompactString("h2").Int32(9094).CompactNull().NoTags()
                .CompactString("cluster").Int32(1)
                .CompactArray(1)
                .Int16(3).CompactString("telemetry").Uuid(Id).Int8(1)
                .CompactArray(1)
                .Int16(5).Int32(7).Int32(2).Int32(44)
                .CompactArray(2).Int32(2).Int32(1).CompactArray(1).Int32(2).CompactArray(1).Int32(1).NoTags()
                .Int32(0x0DF8).NoTags()
                .Int16(41)
                .NoTags()),
        GoldenCase.Of(12, 12,
            new MetadataResponse { Topics = [new() { ErrorCode = (ErrorCode)100, Name = null, TopicId = Guid.Parse(Id) }] },
            new Wire()
                .Int32(0).CompactArray(0).CompactNull().Int32(-1)
                .CompactArray(1)
                .Int16(100).CompactNull().Uuid(Id).Int8(0).CompactArray(0).Hex("80 00 00 00").NoTags()
                .NoTags()),
    ];

    private static MetadataResponse Response(short version)
    {
        var partition = new MetadataResponse.MetadataResponsePartition
        {
            ErrorCode = ErrorCode.LeaderNotAvailable,
            PartitionIndex = 7,
            LeaderId = 2,
            LeaderEpoch = version >= 7 ? 44 : -1,
            ReplicaNodes = [2, 1],
            IsrNodes = [2],
            OfflineReplicas = version >= 5 ? [1] : [],
        };
        var topic = new MetadataResponse.MetadataResponseTopic
        {
            ErrorCode = ErrorCode.UnknownTopicOrPartition,
            Name = "telemetry",
            TopicId = version >= 10 ? Guid.Parse(Id) : Guid.Empty,
            IsInternal = version >= 1,
            Partitions = [partition],
            TopicAuthorizedOperations = version >= 8 ? 0x0DF8 : int.MinValue,
        };
        return new MetadataResponse
        {
            ThrottleTimeMs = version >= 3 ? 21 : 0,
            Brokers =
            [
                new() { NodeId = 1, Host = "h1", Port = 9092, Rack = version >= 1 ? "r1" : null },
                new() { NodeId = 2, Host = "h2", Port = 9094 },
            ],
            ClusterId = version >= 2 ? "cluster" : null,
            ControllerId = version >= 1 ? 1 : -1,
            Topics = [topic],
            ClusterAuthorizedOperations = version is >= 8 and <= 10 ? 0x0400 : int.MinValue,
            ErrorCode = version >= 13 ? ErrorCode.NotController : ErrorCode.None,
        };
    }
}
