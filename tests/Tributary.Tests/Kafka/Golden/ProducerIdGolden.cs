using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

internal static class ProducerIdGolden
{
    public static IEnumerable<GoldenCase> Cases => [.. InitProducerId, .. DescribeProducers];

    private static IEnumerable<GoldenCase> InitProducerId =>
    [
        GoldenCase.Of(0, 1, new InitProducerIdRequest { TransactionTimeoutMs = 60_000 }, new Wire().NullString().Int32(60_000)),
        GoldenCase.Of(0, 1, new InitProducerIdRequest { TransactionalId = "tx", TransactionTimeoutMs = 60_000 },
            new Wire().String("tx").Int32(60_000)),
        GoldenCase.Of(2, 2, new InitProducerIdRequest { TransactionalId = "tx", TransactionTimeoutMs = 60_000 },
            new Wire().CompactString("tx").Int32(60_000).NoTags()),
        GoldenCase.Of(3, 5,
            new InitProducerIdRequest { TransactionTimeoutMs = 60_000, ProducerId = 0x0102030405060708, ProducerEpoch = 0x090A },
            new Wire().CompactNull().Int32(60_000).Hex("01 02 03 04 05 06 07 08").Hex("09 0A").NoTags()),
        GoldenCase.Of(3, 5, new InitProducerIdRequest(), new Wire().CompactNull().Int32(0).Int64(-1).Int16(-1).NoTags()),
        GoldenCase.Of(0, 1, Answer(), new Wire().Int32(3).Int16(47).Hex("01 02 03 04 05 06 07 08").Int16(12)),
        GoldenCase.Of(2, 5, Answer(), new Wire().Int32(3).Int16(47).Hex("01 02 03 04 05 06 07 08").Int16(12).NoTags()),
    ];

    private static IEnumerable<GoldenCase> DescribeProducers =>
    [
        GoldenCase.Of(0, 0, Question(),
            new Wire()
                .CompactArray(2)
                .CompactString("a").CompactArray(2).Int32(1).Int32(2).NoTags()
                .CompactString("b").CompactArray(0).NoTags()
                .NoTags()),
        GoldenCase.Of(0, 0, Question(4001, 0x0102030405060708),
            new Wire()
                .CompactArray(2)
                .CompactString("a").CompactArray(2).Int32(1).Int32(2).NoTags()
                .CompactString("b").CompactArray(0).NoTags()
                .Hex("01 91 4E 11 03") // one tagged field: tag 10001, 17 bytes, an array of two
                .Int64(4001).Hex("01 02 03 04 05 06 07 08")),
        GoldenCase.Of(0, 0,
            new DescribeProducersRequest { Claim = new() { Incarnation = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"), Start = 258 } },
            new Wire().CompactArray(0)
                .Hex("01 92 4E 19 00 11 22 33 44 55 66 77 88 99 AA BB CC DD EE FF").Int64(258).Hex("00")), // tag 10002, 25 bytes
        GoldenCase.Of(0, 0,
            new DescribeProducersResponse
            {
                Topics =
                [
                    new() { Name = "a", Partitions = [new() { PartitionIndex = 1, ClaimedBy = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff") }] },
                ],
            },
            new Wire()
                .Int32(0).CompactArray(1).CompactString("a").CompactArray(1)
                .Int32(1).Int16(0).CompactNull().CompactArray(0)
                .Hex("01 91 4E 10 00 11 22 33 44 55 66 77 88 99 AA BB CC DD EE FF")
                .NoTags().NoTags()),
        GoldenCase.Of(0, 0,
            new DescribeProducersResponse
            {
                ThrottleTimeMs = 6,
                Topics =
                [
                    new()
                    {
                        Name = "a",
                        Partitions =
                        [
                            new()
                            {
                                PartitionIndex = 1,
                                ActiveProducers =
                                [
                                    new()
                                    {
                                        ProducerId = 4001,
                                        ProducerEpoch = 2,
                                        LastSequence = 3333,
                                        LastTimestamp = 1_700_000_000_000,
                                        CoordinatorEpoch = 5,
                                        CurrentTxnStartOffset = 66,
                                    },
                                    new() { ProducerId = 4002 },
                                ],
                            },
                            new() { PartitionIndex = 2, ErrorCode = ErrorCode.NotLeaderOrFollower, ErrorMessage = "no leader" },
                        ],
                    },
                ],
            },
            new Wire()
                .Int32(6)
                .CompactArray(1)
                .CompactString("a").CompactArray(2)
                .Int32(1).Int16(0).CompactNull().CompactArray(2)
                .Int64(4001).Int32(2).Int32(3333).Int64(1_700_000_000_000).Int32(5).Int64(66).NoTags()
                .Int64(4002).Int32(0).Int32(-1).Int64(-1).Int32(0).Int64(-1).NoTags()
                .NoTags()
                .Int32(2).Int16(6).CompactString("no leader").CompactArray(0).NoTags()
                .NoTags()
                .NoTags()),
    ];

    private static InitProducerIdResponse Answer() => new()
    {
        ThrottleTimeMs = 3,
        ErrorCode = ErrorCode.InvalidProducerEpoch,
        ProducerId = 0x0102030405060708,
        ProducerEpoch = 12,
    };

    private static DescribeProducersRequest Question(params long[] producerIds) => new()
    {
        Topics = [new() { Name = "a", PartitionIndexes = [1, 2] }, new() { Name = "b" }],
        ProducerIds = producerIds,
    };
}
