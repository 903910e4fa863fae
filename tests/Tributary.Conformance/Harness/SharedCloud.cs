using Xunit;

namespace Tributary.Conformance.Harness;

/// <summary>A cloud that the tests of a class share, each under device names of its own.</summary>
public sealed class SharedCloud : IAsyncLifetime
{
    private readonly TestSystem _system = new();

    /// <summary>What Kafka clients and agents bootstrap from.</summary>
    internal string Kafka => _system.Kafka;

    /// <summary>Its process.</summary>
    internal RunningProcess Process => _system.Cloud;

    /// <inheritdoc/>
    public async ValueTask InitializeAsync() => await _system.StartCloudAsync();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _system.DisposeAsync();
}
