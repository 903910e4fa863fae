namespace Tributary.Tests.Kafka.Golden;

/// <summary>All messages whose bytes are known.</summary>
internal static class GoldenCases
{
    public static IReadOnlyList<GoldenCase> All { get; } =
    [
        .. ApiVersionsGolden.Cases,
        .. ClusterGolden.Cases,
        .. ConfigsGolden.Cases,
        .. CreateTopicsGolden.Cases,
        .. FetchGolden.Cases,
        .. GroupAdminGolden.Cases,
        .. ConsumerGroupGolden.Cases,
        .. GroupGolden.Cases,
        .. ListOffsetsGolden.Cases,
        .. MetadataGolden.Cases,
        .. OffsetGolden.Cases,
        .. OffsetForLeaderEpochGolden.Cases,
        .. ProduceGolden.Cases,
        .. ProducerIdGolden.Cases,
        .. SampleGolden.Cases,
        .. SaslGolden.Cases,
        .. TopicAdminGolden.Cases,
        .. TransactionGolden.Cases,
    ];

    /// <summary>Each case once, in a version of its range.</summary>
    public static IEnumerable<(GoldenCase Case, short Version)> EachLayout => All.Select(golden => (golden, golden.To));

    public static IEnumerable<(GoldenCase Case, short Version)> EachVersion =>
        All.SelectMany(golden => golden.Versions.Select(version => (golden, version)));
}
