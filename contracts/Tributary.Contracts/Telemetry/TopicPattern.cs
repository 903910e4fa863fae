using System.Runtime.CompilerServices;
using System.Text;

namespace Tributary.Contracts.Telemetry;

/// <summary>
/// A pattern of MQTT topics with named captures: <c>devices/{device}/{metric...}</c>. <c>{name}</c> takes one level,
/// <c>{name...}</c> all levels between what stands before and behind it, at least one; a pattern has at most one of these. What is
/// captured is never empty. Everything else is literal. As with MQTT's wildcards (MQTT 5, 4.7.2), a pattern that begins with a capture takes no topic that begins with <c>$</c>.
/// Immutable; compiled once, matched over UTF-8 without allocation.
/// </summary>
public sealed class TopicPattern
{
    /// <summary>Most captures of a pattern.</summary>
    public const int MaxCaptures = 8;

    /// <summary>Longest pattern, characters.</summary>
    public const int MaxLength = 1024;

    private const string RestMark = "...";
    private readonly Level[] _levels;
    private readonly string[] _captures;

    /// <summary>Which level takes the rest; their number if none does.</summary>
    private readonly int _rest;

    private TopicPattern(string text, Level[] levels, string[] captures)
    {
        Text = text;
        _levels = levels;
        _captures = captures;
        int rest = Array.FindIndex(levels, level => level.Kind == LevelKind.Rest);
        _rest = rest < 0 ? levels.Length : rest;
    }

    private enum LevelKind
    {
        Literal,
        Capture,
        Rest,
    }

    /// <summary>The pattern as written.</summary>
    public string Text { get; }

    /// <summary>Names of the captures in the order of the pattern.</summary>
    public IReadOnlyList<string> Captures => _captures;

    /// <summary>Compiles a pattern.</summary>
    /// <exception cref="FormatException">It is not one; the message says what is wrong and at which character, counted from 1.</exception>
    public static TopicPattern Parse(string text)
    {
        if (text.Length is 0 or > MaxLength)
        {
            throw Error(text, 0, $"a pattern has 1 to {MaxLength} characters");
        }
        var levels = new List<Level>();
        var captures = new List<string>();
        for (int start = 0; start <= text.Length;)
        {
            int end = text.IndexOf('/', start) is >= 0 and int slash ? slash : text.Length;
            Level level = ParseLevel(text, start, end, captures);
            if (level.Kind == LevelKind.Rest && levels.Exists(before => before.Kind == LevelKind.Rest))
            {
                throw Error(text, start, $"only one capture of a pattern can end in '{RestMark}' and take several levels");
            }
            levels.Add(level);
            start = end + 1;
        }
        return new TopicPattern(text, [.. levels], [.. captures]);
    }

    /// <summary>Number of the capture of that name, −1 if there is none.</summary>
    public int IndexOf(string capture) => Array.IndexOf(_captures, capture);

    /// <summary>Whether the pattern takes <paramref name="topic"/> (UTF-8).</summary>
    /// <param name="captured">Where in the topic each capture stands.</param>
    public bool TryMatch(ReadOnlySpan<byte> topic, out TopicCaptures captured)
    {
        captured = default;
        if (_levels[0].Kind != LevelKind.Literal && topic is [(byte)'$', ..])
        {
            return false;
        }
        int at = 0;
        int capture = 0;
        foreach (Level level in _levels.AsSpan(0, _rest))
        {
            if (at > topic.Length)
            {
                return false;
            }
            int length = topic[at..].IndexOf((byte)'/') is >= 0 and int slash ? slash : topic.Length - at;
            if (!level.Takes(topic.Slice(at, length)))
            {
                return false;
            }
            if (level.Kind != LevelKind.Literal)
            {
                captured[capture++] = at..(at + length);
            }
            at += length + 1;
        }
        // One beyond the end: the last level was not followed by a slash.
        return _rest == _levels.Length ? at == topic.Length + 1 : TryMatchRest(topic, at, capture, ref captured);
    }

    /// <summary>Matches what stands behind the rest from the end of the topic; what is left is the rest.</summary>
    private bool TryMatchRest(ReadOnlySpan<byte> topic, int at, int capture, ref TopicCaptures captured)
    {
        if (at >= topic.Length)
        {
            return false;
        }
        int end = topic.Length;
        int last = _captures.Length;
        for (int i = _levels.Length - 1; i > _rest; i--)
        {
            int slash = topic[at..end].LastIndexOf((byte)'/');
            if (slash < 0 || !_levels[i].Takes(topic[(at + slash + 1)..end]))
            {
                return false;
            }
            if (_levels[i].Kind != LevelKind.Literal)
            {
                captured[--last] = (at + slash + 1)..end;
            }
            end = at + slash;
        }
        captured[capture] = at..end;
        return end > at;
    }

    private static Level ParseLevel(string text, int start, int end, List<string> captures)
    {
        ReadOnlySpan<char> level = text.AsSpan(start..end);
        if (level.IndexOfAny('+', '#') is >= 0 and int wildcard)
        {
            throw Error(
                text, start + wildcard, $"'{level[wildcard]}' is a wildcard of MQTT; write a capture such as {{name}} or {{name...}}");
        }
        if (level.IndexOf('\0') is >= 0 and int zero)
        {
            throw Error(text, start + zero, "a topic can't contain the character U+0000");
        }
        int brace = level.IndexOfAny('{', '}');
        if (brace < 0)
        {
            return new Level(LevelKind.Literal, Encoding.UTF8.GetBytes(level.ToArray()));
        }
        if (level[brace] == '}')
        {
            throw Error(text, start + brace, "this '}' closes nothing");
        }
        if (brace > 0)
        {
            throw Error(text, start + brace, "a capture takes a whole level: it must follow a '/' or begin the pattern");
        }
        int close = level.IndexOf('}');
        if (close < 0)
        {
            throw Error(text, start, "this '{' is not closed within its level");
        }
        if (close != level.Length - 1)
        {
            throw Error(text, start + close + 1, "a capture takes a whole level: a '/' or the end must follow it");
        }
        return ParseCapture(text, start + 1, start + close, captures);
    }

    private static Level ParseCapture(string text, int start, int end, List<string> captures)
    {
        string name = text[start..end];
        bool rest = name.EndsWith(RestMark, StringComparison.Ordinal);
        name = rest ? name[..^RestMark.Length] : name;
        if (name.Length == 0)
        {
            throw Error(text, start, "a capture needs a name");
        }
        for (int i = 0; i < name.Length; i++)
        {
            if (!char.IsAsciiLetterOrDigit(name[i]) && name[i] is not ('_' or '-'))
            {
                throw Error(text, start + i, $"'{name[i]}' can't stand in the name of a capture, which has letters, digits, '_' and '-'");
            }
        }
        if (captures.Contains(name))
        {
            throw Error(text, start, $"there are two captures '{name}'");
        }
        if (captures.Count == MaxCaptures)
        {
            throw Error(text, start, $"a pattern has at most {MaxCaptures} captures");
        }
        captures.Add(name);
        return new Level(rest ? LevelKind.Rest : LevelKind.Capture, []);
    }

    private static FormatException Error(string text, int index, string what) =>
        new($"topic pattern '{text}', character {index + 1}: {what}");

    private readonly record struct Level(LevelKind Kind, byte[] Literal)
    {
        public bool Takes(ReadOnlySpan<byte> level) => Kind == LevelKind.Literal ? level.SequenceEqual(Literal) : !level.IsEmpty;
    }
}

/// <summary>Where in a topic the captures of a pattern stand, in the order of the pattern.</summary>
[InlineArray(TopicPattern.MaxCaptures)]
public struct TopicCaptures
{
    private Range _first;
}
