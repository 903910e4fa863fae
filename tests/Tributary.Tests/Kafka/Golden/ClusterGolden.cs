using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

/// <summary>DescribeCluster, DescribeLogDirs, DescribeTopicPartitions, ElectLeaders, AlterPartitionReassignments and ListPartitionReassignments.</summary>
internal static class ClusterGolden
{
    private const string Id = "00112233-4455-6677-8899-aabbccddeeff";

    public static IEnumerable<GoldenCase> Cases => [.. Cluster, .. LogDirs, .. TopicPartitions, .. Elections, .. Reassignments];

    private static IEnumerable<GoldenCase> Cluster =>
    [
        GoldenCase.Of(0, 0, new DescribeClusterRequest { IncludeClusterAuthorizedOperations = true }, new Wire().Int8(1).NoTags()),
        GoldenCase.Of(1, 1, new DescribeClusterRequest { IncludeClusterAuthorizedOperations = true, EndpointType = 2 },
            new Wire().Int8(1).Int8(2).NoTags()),
        GoldenCase.Of(2, 2,
            new DescribeClusterRequest { IncludeClusterAuthorizedOperations = true, EndpointType = 2, IncludeFencedBrokers = true },
            new Wire().Int8(1).Int8(2).Int8(1).NoTags()),
        GoldenCase.Of(0, 0, ClusterDescribed(0),
            new Wire().Int32(8).Int16(35).CompactString("m").CompactString("c").Int32(1).CompactArray(1)
                .Int32(1).CompactString("h").Int32(9092).CompactString("r").NoTags()
                .Int32(258).NoTags()),
        GoldenCase.Of(1, 1, ClusterDescribed(1),
            new Wire().Int32(8).Int16(35).CompactString("m").Int8(2).CompactString("c").Int32(1).CompactArray(1)
                .Int32(1).CompactString("h").Int32(9092).CompactString("r").NoTags()
                .Int32(258).NoTags()),
        GoldenCase.Of(2, 2, ClusterDescribed(2),
            new Wire().Int32(8).Int16(35).CompactString("m").Int8(2).CompactString("c").Int32(1).CompactArray(1)
                .Int32(1).CompactString("h").Int32(9092).CompactString("r").Int8(1).NoTags()
                .Int32(258).NoTags()),
    ];

    private static IEnumerable<GoldenCase> LogDirs =>
    [
        GoldenCase.Of(1, 1, new DescribeLogDirsRequest { Topics = [new() { Topic = "a", Partitions = [1, 2] }] },
            new Wire().Array(1).String("a").Array(2).Int32(1).Int32(2)),
        GoldenCase.Of(2, 4, new DescribeLogDirsRequest { Topics = [new() { Topic = "a", Partitions = [1, 2] }] },
            new Wire().CompactArray(1).CompactString("a").CompactArray(2).Int32(1).Int32(2).NoTags().NoTags()),
        GoldenCase.Of(2, 4, new DescribeLogDirsRequest { Topics = null }, new Wire().CompactNull().NoTags()),
        GoldenCase.Of(1, 1, LogDirsDescribed(1),
            new Wire().Int32(8).Array(1).Int16(56).String("/d").Array(1).String("a").Array(1).Int32(1).Int64(258).Int64(7).Int8(1)),
        GoldenCase.Of(2, 2, LogDirsDescribed(2),
            new Wire().Int32(8).CompactArray(1).Int16(56).CompactString("/d").CompactArray(1).CompactString("a").CompactArray(1)
                .Int32(1).Int64(258).Int64(7).Int8(1).NoTags().NoTags().NoTags().NoTags()),
        GoldenCase.Of(3, 3, LogDirsDescribed(3),
            new Wire().Int32(8).Int16(41).CompactArray(1).Int16(56).CompactString("/d").CompactArray(1).CompactString("a").CompactArray(1)
                .Int32(1).Int64(258).Int64(7).Int8(1).NoTags().NoTags().NoTags().NoTags()),
        GoldenCase.Of(4, 4, LogDirsDescribed(4),
            new Wire().Int32(8).Int16(41).CompactArray(1).Int16(56).CompactString("/d").CompactArray(1).CompactString("a").CompactArray(1)
                .Int32(1).Int64(258).Int64(7).Int8(1).NoTags().NoTags().Int64(1000).Int64(900).NoTags().NoTags()),
    ];

    private static IEnumerable<GoldenCase> TopicPartitions =>
    [
        GoldenCase.Of(0, 0,
            new DescribeTopicPartitionsRequest
            {
                Topics = [new() { Name = "a" }],
                ResponsePartitionLimit = 10,
                Cursor = new() { TopicName = "a", PartitionIndex = 3 },
            },
            new Wire().CompactArray(1).CompactString("a").NoTags().Int32(10).Int8(1).CompactString("a").Int32(3).NoTags().NoTags()),
        GoldenCase.Of(0, 0, new DescribeTopicPartitionsRequest(), new Wire().CompactArray(0).Int32(2000).Int8(-1).NoTags()),
        GoldenCase.Of(0, 0,
            new DescribeTopicPartitionsResponse
            {
                ThrottleTimeMs = 8,
                Topics =
                [
                    new()
                    {
                        ErrorCode = ErrorCode.UnknownTopicOrPartition,
                        Name = "a",
                        TopicId = Guid.Parse(Id),
                        IsInternal = true,
                        Partitions =
                        [
                            new()
                            {
                                ErrorCode = ErrorCode.LeaderNotAvailable,
                                PartitionIndex = 3,
                                LeaderId = 1,
                                LeaderEpoch = 5,
                                ReplicaNodes = [1, 2],
                                IsrNodes = [1],
                                EligibleLeaderReplicas = [2],
                                LastKnownElr = [3],
                                OfflineReplicas = [4],
                            },
                        ],
                        TopicAuthorizedOperations = 258,
                    },
                ],
                NextCursor = new() { TopicName = "a", PartitionIndex = 4 },
            },
            new Wire().Int32(8).CompactArray(1).Int16(3).CompactString("a").Uuid(Id).Int8(1).CompactArray(1)
                .Int16(5).Int32(3).Int32(1).Int32(5).CompactArray(2).Int32(1).Int32(2).CompactArray(1).Int32(1).CompactArray(1).Int32(2)
                .CompactArray(1).Int32(3).CompactArray(1).Int32(4).NoTags()
                .Int32(258).NoTags()
                .Int8(1).CompactString("a").Int32(4).NoTags().NoTags()),
        GoldenCase.Of(0, 0,
            new DescribeTopicPartitionsResponse { Topics = [new() { Partitions = [new()] }] },
            new Wire().Int32(0).CompactArray(1).Int16(0).CompactNull().Uuid(Guid.Empty.ToString()).Int8(0).CompactArray(1)
                .Int16(0).Int32(0).Int32(0).Int32(-1).CompactArray(0).CompactArray(0).CompactNull().CompactNull().CompactArray(0).NoTags()
                .Int32(int.MinValue).NoTags().Int8(-1).NoTags()),
    ];

    private static IEnumerable<GoldenCase> Elections =>
    [
        GoldenCase.Of(0, 0, new ElectLeadersRequest { TopicPartitions = [new() { Topic = "a", Partitions = [1, 2] }], TimeoutMs = 30_000 },
            new Wire().Array(1).String("a").Array(2).Int32(1).Int32(2).Int32(30_000)),
        GoldenCase.Of(1, 1, new ElectLeadersRequest { ElectionType = 1, TopicPartitions = null }, new Wire().Int8(1).Array(-1).Int32(60_000)),
        GoldenCase.Of(2, 2,
            new ElectLeadersRequest { ElectionType = 1, TopicPartitions = [new() { Topic = "a", Partitions = [1, 2] }], TimeoutMs = 30_000 },
            new Wire().Int8(1).CompactArray(1).CompactString("a").CompactArray(2).Int32(1).Int32(2).NoTags().Int32(30_000).NoTags()),
        GoldenCase.Of(0, 0, Elected(0), new Wire().Int32(8).Array(1).String("a").Array(1).Int32(1).Int16(84).String("no need")),
        GoldenCase.Of(1, 1, Elected(1), new Wire().Int32(8).Int16(41).Array(1).String("a").Array(1).Int32(1).Int16(84).String("no need")),
        GoldenCase.Of(2, 2, Elected(2),
            new Wire().Int32(8).Int16(41).CompactArray(1).CompactString("a").CompactArray(1)
                .Int32(1).Int16(84).CompactString("no need").NoTags().NoTags().NoTags()),
    ];

    private static IEnumerable<GoldenCase> Reassignments =>
    [
        GoldenCase.Of(0, 0,
            new AlterPartitionReassignmentsRequest
            {
                TimeoutMs = 30_000,
                Topics =
                [
                    new()
                    {
                        Name = "a",
                        Partitions = [new() { PartitionIndex = 1, Replicas = [1, 2] }, new() { PartitionIndex = 3, Replicas = null }],
                    },
                ],
            },
            new Wire().Int32(30_000).CompactArray(1).CompactString("a").CompactArray(2)
                .Int32(1).CompactArray(2).Int32(1).Int32(2).NoTags().Int32(3).CompactNull().NoTags().NoTags().NoTags()),
        GoldenCase.Of(0, 0,
            new AlterPartitionReassignmentsResponse
            {
                ThrottleTimeMs = 8,
                ErrorCode = ErrorCode.NotController,
                ErrorMessage = "m",
                Responses =
                [
                    new() { Name = "a", Partitions = [new() { PartitionIndex = 1, ErrorCode = ErrorCode.NoReassignmentInProgress, ErrorMessage = "n" }] },
                ],
            },
            new Wire().Int32(8).Int16(41).CompactString("m").CompactArray(1).CompactString("a").CompactArray(1)
                .Int32(1).Int16(85).CompactString("n").NoTags().NoTags().NoTags()),
        GoldenCase.Of(0, 0,
            new ListPartitionReassignmentsRequest { TimeoutMs = 30_000, Topics = [new() { Name = "a", PartitionIndexes = [1] }] },
            new Wire().Int32(30_000).CompactArray(1).CompactString("a").CompactArray(1).Int32(1).NoTags().NoTags()),
        GoldenCase.Of(0, 0, new ListPartitionReassignmentsRequest(), new Wire().Int32(60_000).CompactNull().NoTags()),
        GoldenCase.Of(0, 0,
            new ListPartitionReassignmentsResponse
            {
                ThrottleTimeMs = 8,
                ErrorCode = ErrorCode.NotController,
                ErrorMessage = "m",
                Topics =
                [
                    new()
                    {
                        Name = "a",
                        Partitions = [new() { PartitionIndex = 1, Replicas = [1, 2], AddingReplicas = [2], RemovingReplicas = [3] }],
                    },
                ],
            },
            new Wire().Int32(8).Int16(41).CompactString("m").CompactArray(1).CompactString("a").CompactArray(1)
                .Int32(1).CompactArray(2).Int32(1).Int32(2).CompactArray(1).Int32(2).CompactArray(1).Int32(3).NoTags()
                .NoTags().NoTags()),
    ];

    private static DescribeClusterResponse ClusterDescribed(short version) => new()
    {
        ThrottleTimeMs = 8,
        ErrorCode = ErrorCode.UnsupportedVersion,
        ErrorMessage = "m",
        EndpointType = (sbyte)(version >= 1 ? 2 : 1),
        ClusterId = "c",
        ControllerId = 1,
        Brokers = [new() { BrokerId = 1, Host = "h", Port = 9092, Rack = "r", IsFenced = version >= 2 }],
        ClusterAuthorizedOperations = 258,
    };

    private static DescribeLogDirsResponse LogDirsDescribed(short version) => new()
    {
        ThrottleTimeMs = 8,
        ErrorCode = version >= 3 ? ErrorCode.NotController : ErrorCode.None,
        Results =
        [
            new()
            {
                ErrorCode = ErrorCode.KafkaStorageError,
                LogDir = "/d",
                Topics =
                [
                    new() { Name = "a", Partitions = [new() { PartitionIndex = 1, PartitionSize = 258, OffsetLag = 7, IsFutureKey = true }] },
                ],
                TotalBytes = version >= 4 ? 1000 : -1,
                UsableBytes = version >= 4 ? 900 : -1,
            },
        ],
    };

    private static ElectLeadersResponse Elected(short version) => new()
    {
        ThrottleTimeMs = 8,
        ErrorCode = version >= 1 ? ErrorCode.NotController : ErrorCode.None,
        ReplicaElectionResults =
        [
            new()
            {
                Topic = "a",
                PartitionResult = [new() { PartitionId = 1, ErrorCode = ErrorCode.ElectionNotNeeded, ErrorMessage = "no need" }],
            },
        ],
    };
}
