namespace Tributary.Edge.Doctor;

/// <summary>Gathers what was found, in the order in which it was looked at. One thread at a time.</summary>
internal sealed class Findings
{
    private readonly List<Finding> _all = [];

    /// <summary>All of it.</summary>
    public IReadOnlyList<Finding> All => _all;

    /// <summary>Something is as it should be.</summary>
    public void Ok(string check, string found) => _all.Add(new Finding(check, Verdict.Ok, found));

    /// <summary>Something could not be looked at.</summary>
    public void Skip(string check, string why) => _all.Add(new Finding(check, Verdict.Skipped, why));

    /// <summary>Something is worth a look.</summary>
    public void Warn(string check, string found, string? remedy = null) => _all.Add(new Finding(check, Verdict.Warning, found, remedy));

    /// <summary>Something does not work.</summary>
    public void Fail(string check, string found, string? remedy = null) => _all.Add(new Finding(check, Verdict.Problem, found, remedy));
}
