using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Text;

namespace Tributary.Kafka.Generator;

/// <summary>
/// Writes the C# of Kafka messages from the schemas in <c>*.kafka</c> files: one source for each file, made anew only when the file's
/// content changes. A mistake in a schema is the error KAFKA001 at its place.
/// </summary>
[Generator]
public sealed class KafkaMessageGenerator : IIncrementalGenerator
{
    private const string Extension = ".kafka";
    private static readonly DiagnosticDescriptor SchemaMistake = new(
        "KAFKA001", "Mistake in a message schema", "{0}", "Tributary.Kafka", DiagnosticSeverity.Error, isEnabledByDefault: true);

    /// <inheritdoc/>
    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        IncrementalValuesProvider<Compiled> compiled = context.AdditionalTextsProvider
            .Where(static file => file.Path.EndsWith(Extension, StringComparison.Ordinal))
            .Select(static (file, cancellation) => Compile(file.Path, file.GetText(cancellation)?.ToString() ?? ""))
            .WithTrackingName("Compile");
        context.RegisterSourceOutput(compiled, static (production, result) =>
        {
            if (result.Mistake is { } mistake)
            {
                production.ReportDiagnostic(Diagnostic.Create(SchemaMistake, mistake.ToLocation(), mistake.Message));
            }
            else
            {
                production.AddSource(result.Name + ".g.cs", SourceText.From(result.Source, Encoding.UTF8));
            }
        });
    }

    private static Compiled Compile(string path, string text)
    {
        string name = Path.GetFileNameWithoutExtension(path);
        try
        {
            return new Compiled(name, MessageEmitter.Emit(SchemaParser.Parse(text, name)), null);
        }
        catch (SchemaException e)
        {
            return new Compiled(name, "", new Mistake(path, e.Line, e.Column, e.Length, e.Message));
        }
    }

    /// <summary>What became of a file; compared by value, so that unchanged files cost nothing.</summary>
    private sealed record Compiled(string Name, string Source, Mistake? Mistake);

    private sealed record Mistake(string Path, int Line, int Column, int Length, string Message)
    {
        public Location ToLocation() => Location.Create(
            Path, new TextSpan(0, 0), new LinePositionSpan(new LinePosition(Line, Column), new LinePosition(Line, Column + Length)));
    }
}
