using Xunit;

namespace Tributary.Tests.Edge.Mqtt.Support;

/// <summary>Tests that count what the whole process does run without others beside them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public static class AloneCollection
{
    public const string Name = "alone";
}
