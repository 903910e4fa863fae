using System.Text;

namespace Tributary.Kafka.Generator;

/// <summary>
/// Reads a schema file; <c>Kafka/Messages/README.md</c> explains the language. Ends at the first mistake with a
/// <see cref="SchemaException"/>.
/// </summary>
internal sealed class SchemaParser
{
    private const int IndentSize = 2;
    private readonly string[] _lines;
    private readonly ApiSchema _api = new();
    private readonly StringBuilder _docs = new();
    private readonly List<(StructSchema Struct, bool IsNew)> _open = [];
    private MessageSchema? _message;
    private bool _hasVersions;
    private int _number;

    private SchemaParser(string text) => _lines = text.Split('\n');

    /// <summary>Reads a schema.</summary>
    /// <param name="text">The file's content.</param>
    /// <param name="fileName">The file's name without its extension, which must be the API's.</param>
    /// <exception cref="SchemaException">It has a mistake.</exception>
    public static ApiSchema Parse(string text, string fileName)
    {
        var parser = new SchemaParser(text);
        for (parser._number = 0; parser._number < parser._lines.Length; parser._number++)
        {
            parser.ParseLine(parser._lines[parser._number].TrimEnd('\r', ' '));
        }
        parser._number = 0;
        parser.CheckWhole(fileName);
        return parser._api;
    }

    private void ParseLine(string line)
    {
        string content = line.TrimStart(' ');
        int indent = line.Length - content.Length;
        if (content.StartsWith("///", StringComparison.Ordinal))
        {
            _docs.Append(_docs.Length > 0 ? "\n" : "").Append(content.Substring(3).Trim());
            return;
        }
        if (content.Length == 0 || content.StartsWith("//", StringComparison.Ordinal))
        {
            return;
        }
        if (content.IndexOf('\t') >= 0)
        {
            throw Mistake(line, content, "tabs are not used in schemas");
        }
        if (indent % IndentSize != 0)
        {
            throw Mistake(line, content, $"a level is indented by {IndentSize} spaces");
        }
        if (indent == 0)
        {
            ParseDirective(new LineTokens(line, _number));
        }
        else
        {
            ParseField(line, indent / IndentSize);
        }
        _docs.Clear();
    }

    private void ParseDirective(LineTokens tokens)
    {
        Token word = tokens.Next("a directive");
        if (_api.Name.Length == 0 && word.Text != "api")
        {
            throw tokens.Mistake(word, "a schema begins with 'api KEY NAME'");
        }
        switch (word.Text)
        {
            case "api" when _api.Name.Length == 0:
                _api.Key = (short)tokens.Next("the API's key").Number(0, short.MaxValue);
                _api.Name = tokens.Next("the API's name").Identifier();
                break;
            case "versions" when _message is null:
                Token range = tokens.Next("the versions");
                _api.Versions = range.Range() is { High: not VersionRange.Open } closed
                    ? closed
                    : throw tokens.Mistake(range, "the versions of an API end somewhere");
                _hasVersions = true;
                break;
            case "flexible" when _message is null:
                Token first = tokens.Next("the first flexible version");
                _api.FirstFlexible = first.Range() is { High: VersionRange.Open } open
                    ? open.Low
                    : throw tokens.Mistake(first, "flexible versions are written N+");
                break;
            case "request" when _api.Request is null:
                _api.Request = Begin(tokens, word, "Request");
                break;
            case "response" when _api.Response is null:
                _api.Response = Begin(tokens, word, "Response");
                break;
            default:
                throw tokens.Mistake(word, $"'{word.Text}' is not understood here");
        }
        tokens.ExpectEnd();
    }

    private MessageSchema Begin(LineTokens tokens, Token word, string suffix)
    {
        if (!_hasVersions)
        {
            throw tokens.Mistake(word, "the API's versions must be known before its messages");
        }
        _message = new MessageSchema(_api.Name + suffix, _docs.ToString());
        _open.Clear();
        _open.Add((_message.Root, true));
        return _message;
    }

    private void ParseField(string line, int level)
    {
        var tokens = new LineTokens(line, _number);
        if (_message is null || level > _open.Count)
        {
            throw Mistake(line, line.TrimStart(' '), "the field belongs to no structure: it is indented too far, or no message has begun");
        }
        _open.RemoveRange(level, _open.Count - level);
        (StructSchema owner, bool isNew) = _open[level - 1];
        if (!isNew)
        {
            throw Mistake(line, line.TrimStart(' '), $"the fields of {owner.Name} are given where it is first used");
        }
        var parser = new FieldParser(tokens, _api, _message, [.. _open.Select(open => open.Struct)], owner, _docs.ToString());
        FieldSchema field = parser.Parse(out bool isNewStruct);
        owner.Fields.Add(field);
        if (field.Struct is not null)
        {
            _open.Add((field.Struct, isNewStruct));
        }
    }

    private void CheckWhole(string fileName)
    {
        if (_api.Name.Length == 0 || _api.Request is null || _api.Response is null)
        {
            throw new SchemaException(0, 0, _lines[0].Length, "a schema has an api, its versions, a request and a response");
        }
        if (_api.Name != fileName)
        {
            throw new SchemaException(0, 0, _lines[0].Length, $"the schema of {_api.Name} belongs into {_api.Name}.kafka");
        }
        foreach (StructSchema empty in _api.Request.Structs.Concat(_api.Response.Structs).Where(type => type.Fields.Count == 0))
        {
            throw empty.Origin.Mistake($"the structure {empty.Name} has no fields; types without fields are {FieldParser.TypeNames}");
        }
    }

    private SchemaException Mistake(string line, string content, string message) =>
        new(_number, line.Length - content.Length, content.Length, message);
}
