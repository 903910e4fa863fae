using Microsoft.CodeAnalysis;

namespace Tributary.Kafka.Generator;

/// <summary>Writes the C# of Kafka messages from the schemas in <c>*.kafka</c> files.</summary>
[Generator]
public sealed class KafkaMessageGenerator : IIncrementalGenerator
{
    /// <inheritdoc/>
    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
    }
}
