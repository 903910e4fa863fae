using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;

namespace Tributary.Broker.Groups.Modern;

/// <summary>
/// The expression by which a member subscribes to topics (KIP-848, KIP-1190 in clients): RE2's syntax as far as it is .NET's too, matched
/// against the whole name. It is matched in time linear in the name, whatever it says, and what needs more than that (back references,
/// looking around) is refused, as RE2 does.
/// </summary>
internal sealed class TopicPattern
{
    /// <summary>Most characters.</summary>
    public const int MaxLength = 1024;

    /// <summary>What RE2 knows and .NET does not, in the letters of topic names.</summary>
    private static readonly (string Theirs, string Ours)[] Words =
    [
        ("(?P<", "(?<"),
        ("[:alnum:]", "0-9A-Za-z"), ("[:alpha:]", "A-Za-z"), ("[:digit:]", "0-9"), ("[:lower:]", "a-z"), ("[:upper:]", "A-Z"),
        ("[:word:]", "0-9A-Za-z_"), ("[:xdigit:]", "0-9A-Fa-f"), ("[:punct:]", @"._\-"),
    ];

    private readonly Regex _regex;

    private TopicPattern(Regex regex) => _regex = regex;

    /// <summary>Understands an expression.</summary>
    /// <param name="expression">What the client wrote.</param>
    /// <param name="pattern">What was understood.</param>
    /// <param name="fault">A sentence, if nothing was.</param>
    public static bool TryParse(string expression, [NotNullWhen(true)] out TopicPattern? pattern, [NotNullWhen(false)] out string? fault)
    {
        (pattern, fault) = (null, null);
        if (expression.Length > MaxLength)
        {
            fault = $"SubscribedTopicRegex has more than {MaxLength} characters.";
            return false;
        }
        try
        {
            string translated = expression;
            foreach ((string theirs, string ours) in Words)
            {
                translated = translated.Replace(theirs, ours, StringComparison.Ordinal);
            }
            _ = new Regex(translated, RegexOptions.NonBacktracking); // by itself first: what is put around it must not close its brackets
            pattern = new TopicPattern(new Regex(
                $@"\A(?:{translated})\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant));
            return true;
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            fault = $"SubscribedTopicRegex `{expression}` is not a valid regular expression: {e.Message}";
            return false;
        }
    }

    /// <summary>Whether it matches a topic's whole name.</summary>
    public bool Matches(string topic) => _regex.IsMatch(topic);
}
