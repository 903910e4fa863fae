using System.Globalization;

namespace Tributary.Kafka.Generator;

/// <summary>A word of a line.</summary>
internal readonly struct Token(string text, int line, int column)
{
    public string Text { get; } = text;

    public int Line { get; } = line;

    public int Column { get; } = column;

    public SchemaException Mistake(string message) => new(Line, Column, Math.Max(Text.Length, 1), message);

    /// <summary>The token as a number.</summary>
    public long Number(long min, long max) =>
        long.TryParse(Text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) && value >= min && value <= max
            ? value
            : throw Mistake($"'{Text}' is no number from {min} to {max}");

    /// <summary>The token as the name of a property or type.</summary>
    public string Identifier()
    {
        bool isName = Text.Length > 0 && Text[0] is >= 'A' and <= 'Z'
            && Text.All(c => c is (>= 'A' and <= 'Z') or (>= 'a' and <= 'z') or (>= '0' and <= '9'));
        return isName ? Text : throw Mistake($"'{Text}' is no name: names are of letters and digits and begin with a capital");
    }

    /// <summary>The token as <c>N</c>, <c>N-M</c> or <c>N+</c>.</summary>
    public VersionRange Range() =>
        TryRange(out VersionRange range) ? range : throw Mistake($"'{Text}' is no range of versions: N, N-M or N+");

    /// <summary>Whether the token is a range of versions.</summary>
    public bool TryRange(out VersionRange range)
    {
        range = default;
        string low = Text;
        string? high = null;
        int dash = Text.IndexOf('-');
        bool open = Text.EndsWith("+", StringComparison.Ordinal);
        if (open)
        {
            low = Text.Substring(0, Text.Length - 1);
        }
        else if (dash > 0)
        {
            low = Text.Substring(0, dash);
            high = Text.Substring(dash + 1);
        }
        if (!TryVersion(low, out int first))
        {
            return false;
        }
        int last = open ? VersionRange.Open : first;
        if (high is not null && !TryVersion(high, out last))
        {
            return false;
        }
        range = new VersionRange(first, last);
        return !range.IsEmpty;
    }

    private static bool TryVersion(string text, out int version) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out version) && version < VersionRange.Open;
}

/// <summary>The words of one line, without its comment.</summary>
internal sealed class LineTokens
{
    private readonly List<Token> _tokens = [];
    private readonly Token _end;
    private int _next;

    public LineTokens(string line, int number)
    {
        int at = 0;
        while (at < line.Length)
        {
            if (line[at] == ' ')
            {
                at++;
                continue;
            }
            if (string.CompareOrdinal(line, at, "//", 0, 2) == 0)
            {
                break;
            }
            int start = at;
            at = EndOf(line, at);
            _tokens.Add(new Token(line.Substring(start, at - start), number, start));
        }
        _end = new Token("", number, line.Length);
    }

    /// <summary>The next word, if there is one.</summary>
    public bool TryNext(out Token token)
    {
        token = _next < _tokens.Count ? _tokens[_next] : _end;
        if (_next == _tokens.Count)
        {
            return false;
        }
        _next++;
        return true;
    }

    /// <summary>The next word.</summary>
    public Token Next(string what) => TryNext(out Token token) ? token : throw token.Mistake($"{what} is missing");

    public void ExpectEnd()
    {
        if (TryNext(out Token token))
        {
            throw token.Mistake($"'{token.Text}' is too much");
        }
    }

    public SchemaException Mistake(Token token, string message) => token.Mistake(message);

    private static int EndOf(string line, int at)
    {
        if (line[at] == '"')
        {
            int close = line.IndexOf('"', at + 1);
            return close < 0 ? line.Length : close + 1;
        }
        while (at < line.Length && line[at] != ' ')
        {
            at++;
        }
        return at;
    }
}
