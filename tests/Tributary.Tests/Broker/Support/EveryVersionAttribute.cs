using System.Reflection;
using Tributary.Contracts.Kafka;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

namespace Tributary.Tests.Broker.Support;

/// <summary>
/// Gives a theory every served version of an API as its first argument, and <paramref name="rest"/> after it. Used more than once, each
/// with other arguments.
/// </summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
internal sealed class EveryVersionAttribute<TRequest>(params object?[] rest) : DataAttribute
    where TRequest : IKafkaMessage<TRequest>
{
    /// <summary>The first version that has what is tested.</summary>
    public short Since { get; init; } = TRequest.Api.MinVersion;

    /// <summary>The last version that has what is tested.</summary>
    public short Until { get; init; } = TRequest.Api.MaxVersion;

    /// <inheritdoc/>
    public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(MethodInfo testMethod, DisposalTracker disposalTracker) =>
        new([.. Enumerable.Range(Since, Until - Since + 1).Select(version => new TheoryDataRow([(short)version, .. rest]))]);

    /// <inheritdoc/>
    public override bool SupportsDiscoveryEnumeration() => true;
}
