using System.Buffers;
using System.Text;

namespace Tributary.Contracts.Telemetry;

/// <summary>
/// A text with captures of a pattern in it: <c>{site}-{device}</c>. <c>{{</c> and <c>}}</c> stand for the braces themselves. Immutable.
/// </summary>
public sealed class RouteTemplate
{
    /// <summary>Longest template, characters.</summary>
    public const int MaxLength = 1024;

    private readonly Part[] _parts;

    private RouteTemplate(string text, Part[] parts)
    {
        Text = text;
        _parts = parts;
    }

    /// <summary>The template as written.</summary>
    public string Text { get; }

    /// <summary>Whether it is the same for all topics.</summary>
    public bool IsConstant => Array.TrueForAll(_parts, part => part.Capture < 0);

    /// <summary>Compiles a template.</summary>
    /// <param name="text">The template.</param>
    /// <param name="pattern">The pattern whose captures may stand in it.</param>
    /// <exception cref="FormatException">It is none, or names a capture that the pattern does not have.</exception>
    public static RouteTemplate Parse(string text, TopicPattern pattern)
    {
        if (text.Length is 0 or > MaxLength)
        {
            throw new FormatException($"it must have 1 to {MaxLength} characters");
        }
        var parts = new List<Part>();
        var literal = new StringBuilder();
        for (int at = 0; at < text.Length; at++)
        {
            char c = text[at];
            if (c is not ('{' or '}'))
            {
                literal.Append(c);
                continue;
            }
            if (at + 1 < text.Length && text[at + 1] == c)
            {
                literal.Append(c);
                at++;
                continue;
            }
            int close = text.IndexOf('}', at);
            if (c == '}' || close < 0)
            {
                throw new FormatException(
                    $"'{text}', character {at + 1}: this '{c}' {(c == '}' ? "closes nothing" : "is not closed")}; write '{c}{c}' for the character itself");
            }
            AddLiteral(parts, literal);
            parts.Add(new Part([], Find(text[(at + 1)..close], pattern)));
            at = close;
        }
        AddLiteral(parts, literal);
        return new RouteTemplate(text, [.. parts]);
    }

    /// <summary>The text for a topic that the pattern took, UTF-8.</summary>
    public byte[] Render(ReadOnlySpan<byte> mqttTopic, in TopicCaptures captured)
    {
        if (_parts is [{ Capture: >= 0 } only])
        {
            return mqttTopic[captured[only.Capture]].ToArray();
        }
        var text = new ArrayBufferWriter<byte>(64);
        foreach (Part part in _parts)
        {
            text.Write(part.Capture < 0 ? part.Literal : mqttTopic[captured[part.Capture]]);
        }
        return text.WrittenSpan.ToArray();
    }

    private static int Find(string capture, TopicPattern pattern) => pattern.IndexOf(capture) is >= 0 and int index
        ? index
        : throw new FormatException(
            pattern.Captures.Count == 0
                ? $"there is no capture '{capture}': the pattern '{pattern.Text}' captures nothing"
                : $"there is no capture '{capture}': the pattern '{pattern.Text}' has {string.Join(", ", pattern.Captures.Select(name => $"'{name}'"))}");

    private static void AddLiteral(List<Part> parts, StringBuilder literal)
    {
        if (literal.Length > 0)
        {
            parts.Add(new Part(Encoding.UTF8.GetBytes(literal.ToString()), -1));
            literal.Clear();
        }
    }

    /// <param name="Literal">What stands there, if no capture does.</param>
    /// <param name="Capture">Number of the capture, −1 for none.</param>
    private readonly record struct Part(byte[] Literal, int Capture);
}
