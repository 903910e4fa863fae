using System.Buffers.Text;
using System.Text;

namespace Tributary.Contracts.Telemetry;

/// <summary>
/// Where in a JSON payload a value stands: <c>state.values[0].ts</c>; empty for the payload itself. Reading allocates nothing, throws
/// nothing whatever the bytes are, and looks no further than the value; of members with the same name the first one counts. Immutable.
/// </summary>
public sealed class PayloadPath
{
    /// <summary>Longest path, characters.</summary>
    public const int MaxLength = 256;

    /// <summary>Most members and indexes of a path.</summary>
    public const int MaxSteps = 16;

    private readonly Step[] _steps;

    private PayloadPath(string text, Step[] steps)
    {
        Text = text;
        _steps = steps;
    }

    /// <summary>The path as written.</summary>
    public string Text { get; }

    /// <summary>Compiles a path.</summary>
    /// <exception cref="FormatException">It is none; the message says why and at which character, counted from 1.</exception>
    public static PayloadPath Parse(string text)
    {
        if (text.Length > MaxLength)
        {
            throw new FormatException($"the path has more than {MaxLength} characters");
        }
        var steps = new List<Step>();
        for (int at = 0; at < text.Length;)
        {
            if (steps.Count == MaxSteps)
            {
                throw new FormatException($"the path '{text}' has more than {MaxSteps} members and indexes");
            }
            steps.Add(text[at] == '[' ? ParseIndex(text, ref at) : ParseMember(text, ref at, steps.Count == 0));
        }
        return new PayloadPath(text, [.. steps]);
    }

    /// <summary>Finds the value.</summary>
    /// <param name="payload">JSON, or anything else.</param>
    /// <param name="value">The value as it stands there; texts with their quotes.</param>
    public bool TryFind(ReadOnlySpan<byte> payload, out ReadOnlySpan<byte> value)
    {
        value = default;
        var scan = new JsonScan(payload);
        foreach (Step step in _steps)
        {
            if (!(step.Name is { } name ? scan.EnterMember(name) : scan.EnterElement(step.Index)))
            {
                return false;
            }
        }
        return scan.TryValue(out value);
    }

    /// <summary>Finds a number, or a text that is one. It is finite.</summary>
    public bool TryNumber(ReadOnlySpan<byte> payload, out double number)
    {
        number = 0;
        return TryFind(payload, out ReadOnlySpan<byte> value) && TryNumberOf(value, out number);
    }

    /// <summary>Whether a value that was found is a finite number, or a text that is one.</summary>
    public static bool TryNumberOf(ReadOnlySpan<byte> value, out double number)
    {
        value = value is [(byte)'"', .., (byte)'"'] ? value[1..^1] : value;
        return Utf8Parser.TryParse(value, out number, out int read) && read == value.Length && double.IsFinite(number);
    }

    private static Step ParseIndex(string text, ref int at)
    {
        int close = text.IndexOf(']', at);
        if (close < 0 || !ushort.TryParse(text.AsSpan(at + 1, close - at - 1), System.Globalization.NumberStyles.None, null, out ushort index))
        {
            throw new FormatException($"the path '{text}', character {at + 1}: an index is a number from 0 to {ushort.MaxValue} in brackets");
        }
        at = close + 1;
        return new Step(null, index);
    }

    private static Step ParseMember(string text, ref int at, bool isFirst)
    {
        if (!isFirst && text[at] != '.')
        {
            throw new FormatException($"the path '{text}', character {at + 1}: a '.' or '[' must stand here");
        }
        int start = isFirst ? at : at + 1;
        int length = text.AsSpan(start).IndexOfAny(".[]") is >= 0 and int found ? found : text.Length - start;
        if (length == 0 || (start + length < text.Length && text[start + length] == ']'))
        {
            throw new FormatException($"the path '{text}', character {start + length + 1}: the name of a member must stand here");
        }
        at = start + length;
        return new Step(Encoding.UTF8.GetBytes(text[start..at]), -1);
    }

    private readonly record struct Step(byte[]? Name, int Index);
}

/// <summary>
/// Walks through JSON as far as needed to find one value. It checks no more than that: what is no JSON is not found, or its piece that looks
/// like a value is.
/// </summary>
internal ref struct JsonScan(ReadOnlySpan<byte> json)
{
    private readonly ReadOnlySpan<byte> _json = json;
    private int _at;

    /// <summary>Goes to the value of an object's member.</summary>
    public bool EnterMember(ReadOnlySpan<byte> name)
    {
        if (!TryTake((byte)'{'))
        {
            return false;
        }
        do
        {
            SkipSpace();
            int start = _at + 1;
            if (!IsAt((byte)'"') || !SkipString())
            {
                return false;
            }
            bool isIt = _json[start..(_at - 1)].SequenceEqual(name);
            if (!TryTake((byte)':'))
            {
                return false;
            }
            if (isIt)
            {
                return true;
            }
        }
        while (SkipValue() && TryTake((byte)','));
        return false;
    }

    /// <summary>Goes to an element of an array.</summary>
    public bool EnterElement(int index)
    {
        if (!TryTake((byte)'['))
        {
            return false;
        }
        for (; index > 0; index--)
        {
            if (!SkipValue() || !TryTake((byte)','))
            {
                return false;
            }
        }
        SkipSpace();
        return !IsAt((byte)']');
    }

    /// <summary>The value that stands here.</summary>
    public bool TryValue(out ReadOnlySpan<byte> value)
    {
        SkipSpace();
        int start = _at;
        bool isThere = SkipValue();
        value = isThere ? _json[start.._at] : default;
        return isThere;
    }

    private bool SkipValue()
    {
        SkipSpace();
        if (_at == _json.Length)
        {
            return false;
        }
        if (_json[_at] == '"')
        {
            return SkipString();
        }
        if (_json[_at] is (byte)'{' or (byte)'[')
        {
            return SkipNested();
        }
        ReadOnlySpan<byte> rest = _json[_at..];
        int length = rest.IndexOfAny(",]} \t\r\n"u8) is >= 0 and int found ? found : rest.Length;
        _at += length;
        return length > 0;
    }

    private bool SkipNested()
    {
        int depth = 0;
        do
        {
            int next = _json[_at..].IndexOfAny("\"{}[]"u8);
            if (next < 0)
            {
                return false;
            }
            _at += next;
            if (_json[_at] == '"')
            {
                if (!SkipString())
                {
                    return false;
                }
                continue;
            }
            depth += _json[_at] is (byte)'{' or (byte)'[' ? 1 : -1;
            _at++;
        }
        while (depth > 0);
        return true;
    }

    private bool SkipString()
    {
        _at++;
        while (_at < _json.Length)
        {
            int next = _json[_at..].IndexOfAny((byte)'"', (byte)'\\');
            if (next < 0)
            {
                return false;
            }
            _at += next + 1;
            if (_json[_at - 1] == '"')
            {
                return true;
            }
            _at++; // what is escaped
        }
        return false;
    }

    private bool TryTake(byte what)
    {
        SkipSpace();
        bool isThere = IsAt(what);
        _at += isThere ? 1 : 0;
        return isThere;
    }

    private readonly bool IsAt(byte what) => _at < _json.Length && _json[_at] == what;

    private void SkipSpace()
    {
        while (_at < _json.Length && _json[_at] is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n')
        {
            _at++;
        }
    }
}
