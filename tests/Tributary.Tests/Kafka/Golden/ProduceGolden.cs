using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

internal static class ProduceGolden
{
    public static IEnumerable<GoldenCase> Cases => [.. Requests, .. Responses];

    private static IEnumerable<GoldenCase> Requests =>
    [
        GoldenCase.Of(3, 8, Request(null),
            new Wire()
                .NullString()
                .Int16(-1)
                .Int32(30_000)
                .Array(2)
                .String("telemetry").Array(2)
                .Int32(1).Records("CA FE 01")
                .Int32(2).Int32(-1)
                .String("ü").Array(1)
                .Int32(0).Records("")),
        GoldenCase.Of(3, 8, new ProduceRequest { TransactionalId = "tx", Acks = 1, TimeoutMs = 0x01020304 },
            new Wire().String("tx").Int16(1).Hex("01 02 03 04").Array(0)),
        GoldenCase.Of(9, 11, Request("tx-1"),
            new Wire()
                .CompactString("tx-1")
                .Int16(-1)
                .Int32(30_000)
                .CompactArray(2)
                .CompactString("telemetry").CompactArray(2)
                .Int32(1).CompactRecords("CA FE 01").NoTags()
                .Int32(2).CompactNull().NoTags()
                .NoTags()
                .CompactString("ü").CompactArray(1)
                .Int32(0).CompactRecords("").NoTags()
                .NoTags()
                .NoTags()),
        GoldenCase.Of(9, 11, new ProduceRequest { Acks = 0, TimeoutMs = 5 },
            new Wire().CompactNull().Int16(0).Int32(5).CompactArray(0).NoTags()),
        GoldenCase.Of(9, 11, new ProduceRequest { Acks = -1, Incarnation = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff") },
            new Wire().CompactNull().Int16(-1).Int32(0).CompactArray(0)
                .Hex("01 91 4E 10 00 11 22 33 44 55 66 77 88 99 AA BB CC DD EE FF")), // one tagged field: tag 10001, 16 bytes
    ];

    private static IEnumerable<GoldenCase> Responses =>
    [
        GoldenCase.Of(3, 4, Response(),
            new Wire()
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(3).Int16(6).Int64(0x1122334455667788).Int64(1_700_000_000_000)
                .Int32(9)),
        GoldenCase.Of(5, 7, Response(partition => partition.LogStartOffset = 12),
            new Wire()
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(3).Int16(6).Int64(0x1122334455667788).Int64(1_700_000_000_000).Int64(12)
                .Int32(9)),
        GoldenCase.Of(8, 8, Response(WithErrors),
            new Wire()
                .Array(1)
                .String("telemetry").Array(1)
                .Int32(3).Int16(6).Int64(0x1122334455667788).Int64(1_700_000_000_000).Int64(12)
                .Array(2)
                .Int32(4).String("no key")
                .Int32(5).NullString()
                .String("dropped")
                .Int32(9)),
        GoldenCase.Of(9, 11, Response(WithErrors),
            new Wire()
                .CompactArray(1)
                .CompactString("telemetry").CompactArray(1)
                .Int32(3).Int16(6).Int64(0x1122334455667788).Int64(1_700_000_000_000).Int64(12)
                .CompactArray(2)
                .Int32(4).CompactString("no key").NoTags()
                .Int32(5).CompactNull().NoTags()
                .CompactString("dropped")
                .NoTags()
                .NoTags()
                .Int32(9)
                .NoTags()),
        GoldenCase.Of(10, 11, WithLeader(),
            new Wire()
                .CompactArray(1)
                .CompactString("telemetry").CompactArray(1)
                .Int32(3).Int16(6).Int64(0x1122334455667788).Int64(1_700_000_000_000).Int64(-1)
                .CompactArray(0)
                .CompactNull()
                .Tags((0, new Wire().Int32(2).Int32(41).NoTags()))
                .NoTags()
                .Int32(9)
                .Tags((0, new Wire()
                    .CompactArray(2)
                    .Int32(2).CompactString("b2").Int32(9092).CompactString("r").NoTags()
                    .Int32(7).CompactString("b7").Int32(9093).CompactNull().NoTags()))),
    ];

    private static ProduceRequest Request(string? transactionalId) => new()
    {
        TransactionalId = transactionalId,
        Acks = -1,
        TimeoutMs = 30_000,
        TopicData =
        [
            new()
            {
                Name = "telemetry",
                PartitionData =
                [
                    new() { Index = 1, Records = new byte[] { 0xCA, 0xFE, 0x01 } },
                    new() { Index = 2, Records = RecordBytes.Null },
                ],
            },
            new() { Name = "ü", PartitionData = [new() { Index = 0, Records = Array.Empty<byte>() }] },
        ],
    };

    private static ProduceResponse Response(Action<ProduceResponse.PartitionProduceResponse>? change = null)
    {
        var partition = new ProduceResponse.PartitionProduceResponse
        {
            Index = 3,
            ErrorCode = ErrorCode.NotLeaderOrFollower,
            BaseOffset = 0x1122334455667788,
            LogAppendTimeMs = 1_700_000_000_000,
        };
        change?.Invoke(partition);
        return new ProduceResponse { Responses = [new() { Name = "telemetry", PartitionResponses = [partition] }], ThrottleTimeMs = 9 };
    }

    private static void WithErrors(ProduceResponse.PartitionProduceResponse partition)
    {
        partition.LogStartOffset = 12;
        partition.RecordErrors = [new() { BatchIndex = 4, BatchIndexErrorMessage = "no key" }, new() { BatchIndex = 5 }];
        partition.ErrorMessage = "dropped";
    }

    private static ProduceResponse WithLeader()
    {
        ProduceResponse response = Response(partition => partition.CurrentLeader = new() { LeaderId = 2, LeaderEpoch = 41 });
        response.NodeEndpoints =
        [
            new() { NodeId = 2, Host = "b2", Port = 9092, Rack = "r" },
            new() { NodeId = 7, Host = "b7", Port = 9093 },
        ];
        return response;
    }
}
