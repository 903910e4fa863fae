using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Kafka.Golden;

internal static class TransactionGolden
{
    private const long ProducerId = 0x0102030405060708;

    public static IEnumerable<GoldenCase> Cases => [.. AddPartitions, .. AddOffsets, .. End, .. CommitOffsets, .. Describe, .. List];

    private static IEnumerable<GoldenCase> AddPartitions =>
    [
        GoldenCase.Of(0, 2, Adding(), new Wire().String("tx").Int64(ProducerId).Int16(9).Array(1).String("a").Array(2).Int32(1).Int32(2)),
        GoldenCase.Of(3, 3, Adding(), new Wire().CompactString("tx").Int64(ProducerId).Int16(9)
            .CompactArray(1).CompactString("a").CompactArray(2).Int32(1).Int32(2).NoTags().NoTags()),
        GoldenCase.Of(0, 2, Added(), new Wire().Int32(3).Array(1).String("a").Array(1).Int32(1).Int16(51)),
        GoldenCase.Of(3, 3, Added(), new Wire().Int32(3)
            .CompactArray(1).CompactString("a").CompactArray(1).Int32(1).Int16(51).NoTags().NoTags().NoTags()),
    ];

    private static IEnumerable<GoldenCase> AddOffsets =>
    [
        GoldenCase.Of(0, 2, AddingGroup(), new Wire().String("tx").Int64(ProducerId).Int16(9).String("g")),
        GoldenCase.Of(3, 4, AddingGroup(), new Wire().CompactString("tx").Int64(ProducerId).Int16(9).CompactString("g").NoTags()),
        GoldenCase.Of(0, 2, new AddOffsetsToTxnResponse { ThrottleTimeMs = 3, ErrorCode = ErrorCode.ProducerFenced }, new Wire().Int32(3).Int16(90)),
        GoldenCase.Of(3, 4, new AddOffsetsToTxnResponse { ThrottleTimeMs = 3, ErrorCode = ErrorCode.ProducerFenced },
            new Wire().Int32(3).Int16(90).NoTags()),
    ];

    private static IEnumerable<GoldenCase> End =>
    [
        GoldenCase.Of(0, 2, Ending(), new Wire().String("tx").Int64(ProducerId).Int16(9).Int8(1)),
        GoldenCase.Of(3, 4, Ending(), new Wire().CompactString("tx").Int64(ProducerId).Int16(9).Int8(1).NoTags()),
        GoldenCase.Of(0, 2, new EndTxnResponse { ThrottleTimeMs = 3, ErrorCode = ErrorCode.InvalidTxnState }, new Wire().Int32(3).Int16(48)),
        GoldenCase.Of(3, 4, new EndTxnResponse { ThrottleTimeMs = 3, ErrorCode = ErrorCode.InvalidTxnState },
            new Wire().Int32(3).Int16(48).NoTags()),
    ];

    private static IEnumerable<GoldenCase> CommitOffsets =>
    [
        GoldenCase.Of(0, 1, Committing(0), new Wire().String("tx").String("g").Int64(ProducerId).Int16(9)
            .Array(1).String("a").Array(1).Int32(1).Int64(42).String("m")),
        GoldenCase.Of(2, 2, Committing(2), new Wire().String("tx").String("g").Int64(ProducerId).Int16(9)
            .Array(1).String("a").Array(1).Int32(1).Int64(42).Int32(7).String("m")),
        GoldenCase.Of(3, 4, Committing(3), new Wire().CompactString("tx").CompactString("g").Int64(ProducerId).Int16(9)
            .Int32(5).CompactString("member").CompactString("i")
            .CompactArray(1).CompactString("a").CompactArray(1).Int32(1).Int64(42).Int32(7).CompactString("m").NoTags().NoTags().NoTags()),
        GoldenCase.Of(3, 4, new TxnOffsetCommitRequest { TransactionalId = "tx", GroupId = "g" },
            new Wire().CompactString("tx").CompactString("g").Int64(0).Int16(0).Int32(-1).CompactString("").CompactNull().CompactArray(0).NoTags()),
        GoldenCase.Of(0, 2, Committed(), new Wire().Int32(3).Array(1).String("a").Array(1).Int32(1).Int16(48)),
        GoldenCase.Of(3, 4, Committed(), new Wire().Int32(3)
            .CompactArray(1).CompactString("a").CompactArray(1).Int32(1).Int16(48).NoTags().NoTags().NoTags()),
    ];

    private static IEnumerable<GoldenCase> Describe =>
    [
        GoldenCase.Of(0, 0, new DescribeTransactionsRequest { TransactionalIds = ["tx", "ty"] },
            new Wire().CompactArray(2).CompactString("tx").CompactString("ty").NoTags()),
        GoldenCase.Of(0, 0,
            new DescribeTransactionsResponse
            {
                ThrottleTimeMs = 3,
                TransactionStates =
                [
                    new()
                    {
                        TransactionalId = "tx",
                        State = "Ongoing",
                        TransactionTimeoutMs = 60_000,
                        TransactionStartTimeMs = 1_700_000_000_000,
                        ProducerId = ProducerId,
                        ProducerEpoch = 9,
                        Topics = [new() { Topic = "a", Partitions = [1, 2] }],
                    },
                    new() { TransactionalId = "ty", ErrorCode = ErrorCode.TransactionalIdNotFound },
                ],
            },
            new Wire().Int32(3).CompactArray(2)
                .Int16(0).CompactString("tx").CompactString("Ongoing").Int32(60_000).Int64(1_700_000_000_000).Int64(ProducerId).Int16(9)
                .CompactArray(1).CompactString("a").CompactArray(2).Int32(1).Int32(2).NoTags().NoTags()
                .Int16(105).CompactString("ty").CompactString("").Int32(0).Int64(0).Int64(0).Int16(0).CompactArray(0).NoTags()
                .NoTags()),
    ];

    private static IEnumerable<GoldenCase> List =>
    [
        GoldenCase.Of(0, 0, new ListTransactionsRequest { StateFilters = ["Ongoing"], ProducerIdFilters = [ProducerId] },
            new Wire().CompactArray(1).CompactString("Ongoing").CompactArray(1).Int64(ProducerId).NoTags()),
        GoldenCase.Of(1, 1, new ListTransactionsRequest { StateFilters = ["Ongoing"], ProducerIdFilters = [ProducerId], DurationFilter = 500 },
            new Wire().CompactArray(1).CompactString("Ongoing").CompactArray(1).Int64(ProducerId).Int64(500).NoTags()),
        GoldenCase.Of(1, 1, new ListTransactionsRequest(), new Wire().CompactArray(0).CompactArray(0).Int64(-1).NoTags()),
        GoldenCase.Of(0, 1,
            new ListTransactionsResponse
            {
                ThrottleTimeMs = 3,
                ErrorCode = ErrorCode.CoordinatorNotAvailable,
                UnknownStateFilters = ["x"],
                TransactionStates = [new() { TransactionalId = "tx", ProducerId = ProducerId, State = "Empty" }],
            },
            new Wire().Int32(3).Int16(15).CompactArray(1).CompactString("x")
                .CompactArray(1).CompactString("tx").Int64(ProducerId).CompactString("Empty").NoTags().NoTags()),
    ];

    private static AddPartitionsToTxnRequest Adding() => new()
    {
        TransactionalId = "tx",
        ProducerId = ProducerId,
        ProducerEpoch = 9,
        Topics = [new() { Name = "a", Partitions = [1, 2] }],
    };

    private static AddPartitionsToTxnResponse Added() => new()
    {
        ThrottleTimeMs = 3,
        ResultsByTopic =
        [
            new() { Name = "a", ResultsByPartition = [new() { PartitionIndex = 1, PartitionErrorCode = ErrorCode.ConcurrentTransactions }] },
        ],
    };

    private static AddOffsetsToTxnRequest AddingGroup() => new()
    {
        TransactionalId = "tx",
        ProducerId = ProducerId,
        ProducerEpoch = 9,
        GroupId = "g",
    };

    private static EndTxnRequest Ending() => new() { TransactionalId = "tx", ProducerId = ProducerId, ProducerEpoch = 9, Committed = true };

    private static TxnOffsetCommitRequest Committing(int version) => new()
    {
        TransactionalId = "tx",
        GroupId = "g",
        ProducerId = ProducerId,
        ProducerEpoch = 9,
        GenerationId = version >= 3 ? 5 : -1,
        MemberId = version >= 3 ? "member" : "",
        GroupInstanceId = version >= 3 ? "i" : null,
        Topics =
        [
            new()
            {
                Name = "a",
                Partitions =
                [
                    new() { PartitionIndex = 1, CommittedOffset = 42, CommittedLeaderEpoch = version >= 2 ? 7 : -1, CommittedMetadata = "m" },
                ],
            },
        ],
    };

    private static TxnOffsetCommitResponse Committed() => new()
    {
        ThrottleTimeMs = 3,
        Topics = [new() { Name = "a", Partitions = [new() { PartitionIndex = 1, ErrorCode = ErrorCode.InvalidTxnState }] }],
    };
}
