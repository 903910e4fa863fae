using System.Collections.Immutable;
using System.Globalization;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Text;
using Tributary.Kafka.Generator;
using Xunit;

namespace Tributary.Tests.Kafka.Generator;

public sealed class MessageGeneratorTests
{
    private const string Valid = """
        api 7 Test
        versions 1-5
        flexible 3+
        request
          Text: string
        response
          ErrorCode: error
        """;

    [Theory]
    [InlineData("", 1, 1, "a schema has an api")]
    [InlineData("versions 1-2", 1, 1, "begins with 'api KEY NAME'")]
    [InlineData("api x Test", 1, 5, "'x' is no number from 0 to 32767")]
    [InlineData("api 7 test", 1, 7, "'test' is no name")]
    [InlineData("api 7", 1, 6, "the API's name is missing")]
    [InlineData("api 7 Test\nversions 1+", 2, 10, "end somewhere")]
    [InlineData("api 7 Test\nversions 5-1", 2, 10, "no range of versions")]
    [InlineData("api 7 Test\nversions 1-2 3", 2, 14, "'3' is too much")]
    [InlineData("api 7 Test\nversions 1-2\nflexible 1", 3, 10, "written N+")]
    [InlineData("api 7 Test\nrequest", 2, 1, "versions must be known")]
    [InlineData("api 7 Test\nversions 1-2\nfields", 3, 1, "'fields' is not understood here")]
    [InlineData("api 7 Other\nversions 1\nrequest\nresponse", 1, 1, "belongs into Other.kafka")]
    [InlineData("api 7 Test\nversions 1\nrequest", 1, 1, "a request and a response")]
    [InlineData("api 7 Test\nversions 1\n  A: int8", 3, 3, "belongs to no structure")]
    public void A_mistake_outside_of_fields_is_an_error_at_its_place(string schema, int line, int column, string message) =>
        AssertMistake(schema, line, column, message);

    [Theory]
    [InlineData("   A: int8", 4, "indented by 2 spaces")]
    [InlineData("    A: int8", 5, "belongs to no structure")]
    [InlineData("  \tA: int8", 3, "tabs")]
    [InlineData("  A int8", 3, "written 'Name: type'")]
    [InlineData("  a: int8", 3, "'a' is no name")]
    [InlineData("  A:", 5, "the field's type is missing")]
    [InlineData("  A: int7", 6, "'int7' is no type")]
    [InlineData("  A: [int8", 6, "'[int8' is no type")]
    [InlineData("  A: int8 6+", 3, "the API has only 1-5")]
    [InlineData("  A: int8 x", 11, "'x' is no range of versions")]
    [InlineData("  A: int8?", 6, "can be null")]
    [InlineData("  A: string?x", 13, "no range of versions")]
    [InlineData("  A: string?4+ 1-2", 6, "never null in versions 1-2")]
    [InlineData("  A: int8 =", 12, "the default is missing")]
    [InlineData("  A: int8 = 128", 13, "no number from -128 to 127")]
    [InlineData("  A: int8 = 1 2", 15, "'2' is too much")]
    [InlineData("  A: bool = 1", 13, "no default for A")]
    [InlineData("  A: string = null", 15, "can't be null")]
    [InlineData("  A: string = x", 15, "no default for A")]
    [InlineData("  A: [int8] = 1", 15, "the default of an array")]
    [InlineData("  A: int8 tag", 14, "the tag is missing")]
    [InlineData("  A: int8 tag 1", 3, "flexible versions begin with 3")]
    [InlineData("  A: records 3+ tag 1", 6, "can't be tagged")]
    [InlineData("  A: [bytes]", 6, "arrays of bytes")]
    [InlineData("  Name: int8", 3, "C# does not allow a field called Name")]
    [InlineData("  Read: int8", 3, "C# does not allow a field called Read")]
    [InlineData("  TestRequest: int8", 3, "C# does not allow a field called TestRequest")]
    [InlineData("  A: TestRequest", 6, "C# does not allow a structure called TestRequest")]
    [InlineData("  A: B", 6, "the structure B has no fields")]
    public void A_mistake_in_a_field_is_an_error_at_its_place(string field, int column, string message) =>
        AssertMistake($"api 7 Test\nversions 1-5\nflexible 3+\n\nrequest\n{field}\nresponse", 6, column, message);

    [Theory]
    [InlineData("  A: int8\n  A: int8", 7, 3, "has a field A already")]
    [InlineData("  A: int8 3+ tag 1\n  B: int8 3+ tag 1", 7, 3, "has a field with tag 1 already")]
    [InlineData("  A: [B]\n    C: int8\n  D: [B]\n    E: int8", 9, 5, "the fields of B are given where it is first used")]
    [InlineData("  A: [B]\n    C: [B]", 7, 8, "B can't be within itself")]
    [InlineData("  A: [B]\n    C: [D]\n      E: B", 8, 10, "B can't be within itself")]
    [InlineData("  A: B 2+\n    C: int8", 6, 6, "nullable or ignorable")]
    [InlineData("  A: [B]\n    C: int8\n  B: int8", 8, 3, "beside the structure B")]
    [InlineData("  A: int8\n  B: [A]\n    C: int8", 7, 6, "C# does not allow a structure called A")]
    [InlineData("  A: A 3+ tag 1\n    C: int8", 6, 6, "beside the field A")]
    public void A_mistake_in_several_fields_is_an_error_at_its_place(string fields, int line, int column, string message) =>
        AssertMistake($"api 7 Test\nversions 1-5\nflexible 3+\n\nrequest\n{fields}\nresponse", line, column, message);

    [Fact]
    public void Windows_line_ends_comments_and_empty_lines_do_not_matter()
    {
        string plain = Source(Run(Valid));
        string other = Valid.Replace("  Text: string", "\n// note\n  Text: string // note", StringComparison.Ordinal);
        Assert.Equal(plain, Source(Run(other.Replace("\n", "\r\n", StringComparison.Ordinal))));
    }

    [Fact]
    public void The_same_schema_gives_the_same_source()
    {
        Assert.Equal(Source(Run(Valid)), Source(Run(Valid)));
        Assert.DoesNotContain(Path.GetTempPath(), Source(Run(Valid)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_schema_with_a_mistake_does_not_stop_the_others()
    {
        GeneratorDriverRunResult result = Run(("Test.kafka", Valid), ("Broken.kafka", "api"), ("notes.txt", "nothing"));
        Assert.Equal("Test.g.cs", Assert.Single(result.Results.Single().GeneratedSources).HintName);
        Assert.Equal("Broken.kafka", Assert.Single(result.Diagnostics).Location.GetLineSpan().Path);
    }

    [Fact]
    public void Only_a_schema_that_changed_is_compiled_again()
    {
        var first = new SchemaText("Test.kafka", Valid);
        var second = new SchemaText("Other.kafka", Valid.Replace("Test", "Other", StringComparison.Ordinal));
        GeneratorDriver driver = Driver(first, second).RunGenerators(Compilation());
        driver = driver.RunGenerators(Compilation().AddSyntaxTrees(CSharpSyntaxTree.ParseText("class C;")));
        Assert.All(Reasons(driver), reason => Assert.Equal(IncrementalStepRunReason.Cached, reason));
        var changed = new SchemaText("Other.kafka", second.Content + "\n  More: int8\n");
        driver = driver.ReplaceAdditionalText(second, changed).RunGenerators(Compilation());
        Assert.Equal([IncrementalStepRunReason.Modified, IncrementalStepRunReason.Cached], Reasons(driver).Order());
        var commented = new SchemaText("Other.kafka", changed.Content + "\n// note\n");
        driver = driver.ReplaceAdditionalText(changed, commented).RunGenerators(Compilation());
        Assert.Equal([IncrementalStepRunReason.Unchanged, IncrementalStepRunReason.Cached], Reasons(driver).Order());
    }

    private static void AssertMistake(string schema, int line, int column, string message)
    {
        GeneratorDriverRunResult result = Run(schema);
        Assert.Empty(result.Results.Single().GeneratedSources);
        Diagnostic diagnostic = Assert.Single(result.Diagnostics);
        FileLinePositionSpan span = diagnostic.Location.GetLineSpan();
        string text = diagnostic.GetMessage(CultureInfo.InvariantCulture);
        Assert.Equal(("KAFKA001", DiagnosticSeverity.Error, "Test.kafka"), (diagnostic.Id, diagnostic.Severity, span.Path));
        Assert.Contains(message, text, StringComparison.Ordinal);
        Assert.Equal((line, column), (span.StartLinePosition.Line + 1, span.StartLinePosition.Character + 1));
    }

    private static GeneratorDriverRunResult Run(string schema) => Run(("Test.kafka", schema));

    private static GeneratorDriverRunResult Run(params (string Name, string Content)[] files) =>
        Driver([.. files.Select(file => new SchemaText(file.Name, file.Content))]).RunGenerators(Compilation()).GetRunResult();

    private static GeneratorDriver Driver(params AdditionalText[] files) => CSharpGeneratorDriver.Create(
        [new KafkaMessageGenerator().AsSourceGenerator()],
        files,
        driverOptions: new GeneratorDriverOptions(IncrementalGeneratorOutputKind.None, trackIncrementalGeneratorSteps: true));

    private static CSharpCompilation Compilation() => CSharpCompilation.Create("Test");

    private static string Source(GeneratorDriverRunResult result)
    {
        Assert.Empty(result.Diagnostics);
        return Assert.Single(result.Results.Single().GeneratedSources).SourceText.ToString();
    }

    private static ImmutableArray<IncrementalStepRunReason> Reasons(GeneratorDriver driver) =>
        [.. driver.GetRunResult().Results.Single().TrackedSteps["Compile"].SelectMany(step => step.Outputs, (_, output) => output.Reason)];

    private sealed class SchemaText(string path, string content) : AdditionalText
    {
        public override string Path { get; } = path;

        public string Content { get; } = content;

        public override SourceText GetText(CancellationToken cancellationToken = default) => SourceText.From(Content);
    }
}
