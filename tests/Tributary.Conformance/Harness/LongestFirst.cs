using Tributary.Conformance.Harness;
using Xunit.Sdk;
using Xunit.v3;

[assembly: Xunit.TestCollectionOrderer(typeof(LongestFirst))]

namespace Tributary.Conformance.Harness;

/// <summary>
/// The tests of a class run one after the other, so a class that takes minutes begins first: begun last, it would run alone at the end.
/// </summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly Type[] Long =
    [
        typeof(ConsumerGroupTests), typeof(TransactionChainTests), typeof(GroupRestartTests), typeof(NodeClientTests), typeof(ExactlyOnceTests),
        typeof(CloudDiskFaultTests), typeof(DemoTests), typeof(MixedGroupTests), typeof(ShutdownTests), typeof(KafkaAdminTests),
        typeof(FirstRunTests),
    ];

    /// <inheritdoc/>
    public IReadOnlyCollection<TTestCollection> OrderTestCollections<TTestCollection>(IReadOnlyCollection<TTestCollection> testCollections)
        where TTestCollection : ITestCollection =>
        [.. testCollections.OrderBy(RankOf)];

    /// <summary>A class without a collection of its own is one, with the class in its name.</summary>
    private static int RankOf<TTestCollection>(TTestCollection collection)
        where TTestCollection : ITestCollection
    {
        int rank = Array.FindIndex(Long, one => collection.TestCollectionDisplayName.Contains($"{one.FullName} ", StringComparison.Ordinal));
        return rank < 0 ? Long.Length : rank;
    }
}
