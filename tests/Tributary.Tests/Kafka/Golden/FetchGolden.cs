using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

internal static class FetchGolden
{
    private const string Id = "00112233-4455-6677-8899-aabbccddeeff";
    private const string OtherId = "f0e0d0c0-b0a0-9080-7060-504030201000";

    public static IEnumerable<GoldenCase> Cases => [.. ClassicRequests, .. FlexibleRequests, .. ClassicResponses, .. FlexibleResponses];

    private static IEnumerable<GoldenCase> ClassicRequests =>
    [
        GoldenCase.Of(4, 4, Request(4),
            new Wire()
                .Int32(5).Int32(500).Int32(1).Int32(0x00A00000).Int8(1)
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(2).Int64(1_000_000).Int32(65536)),
        GoldenCase.Of(5, 6, Request(5),
            new Wire()
                .Int32(5).Int32(500).Int32(1).Int32(0x00A00000).Int8(1)
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(2).Int64(1_000_000).Int64(17).Int32(65536)),
        GoldenCase.Of(7, 8, Request(7),
            new Wire()
                .Int32(5).Int32(500).Int32(1).Int32(0x00A00000).Int8(1).Int32(71).Int32(72)
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(2).Int64(1_000_000).Int64(17).Int32(65536)
                .Array(1)
                .String("gone").Array(2).Int32(8).Int32(9)),
        GoldenCase.Of(9, 10, Request(9),
            new Wire()
                .Int32(5).Int32(500).Int32(1).Int32(0x00A00000).Int8(1).Int32(71).Int32(72)
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(2).Int32(33).Int64(1_000_000).Int64(17).Int32(65536)
                .Array(1)
                .String("gone").Array(2).Int32(8).Int32(9)),
        GoldenCase.Of(11, 11, Request(11),
            new Wire()
                .Int32(5).Int32(500).Int32(1).Int32(0x00A00000).Int8(1).Int32(71).Int32(72)
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(2).Int32(33).Int64(1_000_000).Int64(17).Int32(65536)
                .Array(1)
                .String("gone").Array(2).Int32(8).Int32(9)
                .String("rack-1")),
    ];

    private static IEnumerable<GoldenCase> FlexibleRequests =>
    [
        GoldenCase.Of(12, 12, Request(12),
            new Wire()
                .Int32(5).Int32(500).Int32(1).Int32(0x00A00000).Int8(1).Int32(71).Int32(72)
                .CompactArray(1)
                .CompactString("telemetry").CompactArray(1)
                .Int32(2).Int32(33).Int64(1_000_000).Int32(32).Int64(17).Int32(65536).NoTags()
                .NoTags()
                .CompactArray(1)
                .CompactString("gone").CompactArray(2).Int32(8).Int32(9).NoTags()
                .CompactString("rack-1")
                .Tags((0, new Wire().CompactString("cluster")))),
        GoldenCase.Of(13, 14, Request(13),
            new Wire()
                .Int32(5).Int32(500).Int32(1).Int32(0x00A00000).Int8(1).Int32(71).Int32(72)
                .CompactArray(1)
                .Uuid(Id).CompactArray(1)
                .Int32(2).Int32(33).Int64(1_000_000).Int32(32).Int64(17).Int32(65536).NoTags()
                .NoTags()
                .CompactArray(1)
                .Uuid(OtherId).CompactArray(2).Int32(8).Int32(9).NoTags()
                .CompactString("rack-1")
                .Tags((0, new Wire().CompactString("cluster")))),
        GoldenCase.Of(15, 16, Request(15),
            new Wire()
                .Int32(500).Int32(1).Int32(0x00A00000).Int8(1).Int32(71).Int32(72)
                .CompactArray(1)
                .Uuid(Id).CompactArray(1)
                .Int32(2).Int32(33).Int64(1_000_000).Int32(32).Int64(17).Int32(65536).NoTags()
                .NoTags()
                .CompactArray(1)
                .Uuid(OtherId).CompactArray(2).Int32(8).Int32(9).NoTags()
                .CompactString("rack-1")
                .Tags((0, new Wire().CompactString("cluster")), (1, new Wire().Int32(5).Int64(55).NoTags()))),
        GoldenCase.Of(17, 17, Request(17),
            new Wire()
                .Int32(500).Int32(1).Int32(0x00A00000).Int8(1).Int32(71).Int32(72)
                .CompactArray(1)
                .Uuid(Id).CompactArray(1)
                .Int32(2).Int32(33).Int64(1_000_000).Int32(32).Int64(17).Int32(65536).Tags((0, new Wire().Uuid(OtherId)))
                .NoTags()
                .CompactArray(1)
                .Uuid(OtherId).CompactArray(2).Int32(8).Int32(9).NoTags()
                .CompactString("rack-1")
                .Tags((0, new Wire().CompactString("cluster")), (1, new Wire().Int32(5).Int64(55).NoTags()))),
        GoldenCase.Of(15, 17, new FetchRequest { MaxWaitMs = 9 },
            new Wire()
                .Int32(9).Int32(0).Int32(0x7FFFFFFF).Int8(0).Int32(0).Int32(-1).CompactArray(0).CompactArray(0).CompactString("").NoTags()),
    ];

    private static IEnumerable<GoldenCase> ClassicResponses =>
    [
        GoldenCase.Of(4, 4, Response(4),
            new Wire()
                .Int32(11)
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(6).Int16(1).Int64(200).Int64(190)
                .Array(2)
                .Int64(4001).Int64(150)
                .Int64(4002).Int64(160)
                .Records("AA BB CC")),
        GoldenCase.Of(5, 6, Response(5),
            new Wire()
                .Int32(11)
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(6).Int16(1).Int64(200).Int64(190).Int64(20)
                .Array(2)
                .Int64(4001).Int64(150)
                .Int64(4002).Int64(160)
                .Records("AA BB CC")),
        GoldenCase.Of(7, 10, Response(7),
            new Wire()
                .Int32(11).Int16(70).Int32(71)
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(6).Int16(1).Int64(200).Int64(190).Int64(20)
                .Array(2)
                .Int64(4001).Int64(150)
                .Int64(4002).Int64(160)
                .Records("AA BB CC")),
        GoldenCase.Of(11, 11, Response(11),
            new Wire()
                .Int32(11).Int16(70).Int32(71)
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(6).Int16(1).Int64(200).Int64(190).Int64(20)
                .Array(2)
                .Int64(4001).Int64(150)
                .Int64(4002).Int64(160)
                .Int32(8)
                .Records("AA BB CC")),
        GoldenCase.Of(11, 11, Empty(RecordBytes.Null),
            new Wire()
                .Int32(0).Int16(0).Int32(0)
                .Array(1)
                .String("t").Array(1)
                .Int32(0).Int16(0).Int64(0).Int64(-1).Int64(-1).Int32(-1).Int32(-1).Int32(-1)),
    ];

    private static IEnumerable<GoldenCase> FlexibleResponses =>
    [
        GoldenCase.Of(12, 12, Response(12),
            new Wire()
                .Int32(11).Int16(70).Int32(71)
                .CompactArray(1)
                .CompactString("telemetry").CompactArray(1)
                .Int32(6).Int16(1).Int64(200).Int64(190).Int64(20)
                .CompactArray(2)
                .Int64(4001).Int64(150).NoTags()
                .Int64(4002).Int64(160).NoTags()
                .Int32(8)
                .CompactRecords("AA BB CC")
                .Tags(
                    (0, new Wire().Int32(34).Int64(180).NoTags()),
                    (1, new Wire().Int32(2).Int32(35).NoTags()),
                    (2, new Wire().Int64(170).Int32(36).NoTags()))
                .NoTags()
                .NoTags()),
        GoldenCase.Of(13, 15, Response(13),
            new Wire()
                .Int32(11).Int16(70).Int32(71)
                .CompactArray(1)
                .Uuid(Id).CompactArray(1)
                .Int32(6).Int16(1).Int64(200).Int64(190).Int64(20)
                .CompactArray(2)
                .Int64(4001).Int64(150).NoTags()
                .Int64(4002).Int64(160).NoTags()
                .Int32(8)
                .CompactRecords("AA BB CC")
                .Tags(
                    (0, new Wire().Int32(34).Int64(180).NoTags()),
                    (1, new Wire().Int32(2).Int32(35).NoTags()),
                    (2, new Wire().Int64(170).Int32(36).NoTags()))
                .NoTags()
                .NoTags()),
        GoldenCase.Of(16, 17, Response(16),
            new Wire()
                .Int32(11).Int16(70).Int32(71)
                .CompactArray(1)
                .Uuid(Id).CompactArray(1)
                .Int32(6).Int16(1).Int64(200).Int64(190).Int64(20)
                .CompactArray(2)
                .Int64(4001).Int64(150).NoTags()
                .Int64(4002).Int64(160).NoTags()
                .Int32(8)
                .CompactRecords("AA BB CC")
                .Tags(
                    (0, new Wire().Int32(34).Int64(180).NoTags()),
                    (1, new Wire().Int32(2).Int32(35).NoTags()),
                    (2, new Wire().Int64(170).Int32(36).NoTags()))
                .NoTags()
                .Tags((0, new Wire().CompactArray(1).Int32(2).CompactString("b2").Int32(9092).CompactString("r").NoTags()))),
        GoldenCase.Of(12, 12, Empty(default),
            new Wire()
                .Int32(0).Int16(0).Int32(0)
                .CompactArray(1)
                .CompactString("t").CompactArray(1)
                .Int32(0).Int16(0).Int64(0).Int64(-1).Int64(-1).CompactNull().Int32(-1).CompactRecords("").NoTags()
                .NoTags()
                .NoTags()),
    ];

    private static FetchRequest Request(short version)
    {
        var partition = new FetchRequest.FetchPartition
        {
            Partition = 2,
            CurrentLeaderEpoch = version >= 9 ? 33 : -1,
            FetchOffset = 1_000_000,
            LastFetchedEpoch = version >= 12 ? 32 : -1,
            LogStartOffset = version >= 5 ? 17 : -1,
            PartitionMaxBytes = 65536,
            ReplicaDirectoryId = version >= 17 ? Guid.Parse(OtherId) : Guid.Empty,
        };
        return new FetchRequest
        {
            ClusterId = version >= 12 ? "cluster" : null,
            ReplicaId = version >= 15 ? -1 : 5,
            ReplicaState = version >= 15 ? new() { ReplicaId = 5, ReplicaEpoch = 55 } : null,
            MaxWaitMs = 500,
            MinBytes = 1,
            MaxBytes = 0x00A00000,
            IsolationLevel = 1,
            SessionId = version >= 7 ? 71 : 0,
            SessionEpoch = version >= 7 ? 72 : -1,
            Topics = [new() { Topic = version >= 13 ? "" : "telemetry", TopicId = IdFrom(version, Id), Partitions = [partition] }],
            ForgottenTopicsData = version < 7
                ? []
                : [new() { Topic = version >= 13 ? "" : "gone", TopicId = IdFrom(version, OtherId), Partitions = [8, 9] }],
            RackId = version >= 11 ? "rack-1" : "",
        };
    }

    private static FetchResponse Response(short version)
    {
        var partition = new FetchResponse.PartitionData
        {
            PartitionIndex = 6,
            ErrorCode = ErrorCode.OffsetOutOfRange,
            HighWatermark = 200,
            LastStableOffset = 190,
            LogStartOffset = version >= 5 ? 20 : -1,
            DivergingEpoch = version >= 12 ? new() { Epoch = 34, EndOffset = 180 } : null,
            CurrentLeader = version >= 12 ? new() { LeaderId = 2, LeaderEpoch = 35 } : null,
            SnapshotId = version >= 12 ? new() { EndOffset = 170, Epoch = 36 } : null,
            AbortedTransactions = [new() { ProducerId = 4001, FirstOffset = 150 }, new() { ProducerId = 4002, FirstOffset = 160 }],
            PreferredReadReplica = version >= 11 ? 8 : -1,
            Records = new byte[] { 0xAA, 0xBB, 0xCC },
        };
        return new FetchResponse
        {
            ThrottleTimeMs = 11,
            ErrorCode = version >= 7 ? ErrorCode.FetchSessionIdNotFound : ErrorCode.None,
            SessionId = version >= 7 ? 71 : 0,
            Responses = [new() { Topic = version >= 13 ? "" : "telemetry", TopicId = IdFrom(version, Id), Partitions = [partition] }],
            NodeEndpoints = version >= 16 ? [new() { NodeId = 2, Host = "b2", Port = 9092, Rack = "r" }] : [],
        };
    }

    private static FetchResponse Empty(RecordBytes records) =>
        new() { Responses = [new() { Topic = "t", Partitions = [new() { Records = records }] }] };

    private static Guid IdFrom(short version, string id) => version >= 13 ? Guid.Parse(id) : Guid.Empty;
}
