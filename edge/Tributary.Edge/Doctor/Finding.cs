using System.Text.Json.Serialization;

namespace Tributary.Edge.Doctor;

/// <summary>How bad something is.</summary>
internal enum Verdict
{
    /// <summary>As it should be.</summary>
    [JsonStringEnumMemberName("ok")]
    Ok,

    /// <summary>It could not be looked at, for a reason that is told elsewhere.</summary>
    [JsonStringEnumMemberName("skipped")]
    Skipped,

    /// <summary>Works, and worth a look.</summary>
    [JsonStringEnumMemberName("warning")]
    Warning,

    /// <summary>Something does not work, or will not.</summary>
    [JsonStringEnumMemberName("problem")]
    Problem,
}

/// <summary>What was found.</summary>
/// <param name="Check">What was looked at.</param>
/// <param name="Verdict">How bad it is.</param>
/// <param name="Found">What was found, in a sentence. Never a secret.</param>
/// <param name="Remedy">What to do; null for nothing.</param>
internal sealed record Finding(string Check, Verdict Verdict, string Found, string? Remedy = null);

/// <summary>What <c>tributary-edge doctor --json</c> tells.</summary>
/// <param name="Worst">The worst verdict.</param>
/// <param name="Findings">All that was found, in the order in which it was looked at.</param>
internal sealed record DoctorReport(Verdict Worst, IReadOnlyList<Finding> Findings)
{
    /// <summary>Makes the report of findings.</summary>
    public static DoctorReport Of(IReadOnlyList<Finding> findings) => new(findings.Max(finding => finding.Verdict), findings);
}

/// <summary>Writes the report without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true)]
[JsonSerializable(typeof(DoctorReport))]
internal sealed partial class DoctorJson : JsonSerializerContext;
