using System.Globalization;

namespace Tributary.Kafka.Generator;

/// <summary>Reads one line <c>Name: type VERSIONS tag N ignorable = default</c> and checks that C# and the protocol allow it.</summary>
internal sealed class FieldParser(
    LineTokens tokens, ApiSchema api, MessageSchema message, IReadOnlyCollection<StructSchema> owners, StructSchema owner, string docs)
{
    private static readonly Dictionary<string, FieldKind> Kinds = new(StringComparer.Ordinal)
    {
        ["bool"] = FieldKind.Bool,
        ["int8"] = FieldKind.Int8,
        ["int16"] = FieldKind.Int16,
        ["uint16"] = FieldKind.UInt16,
        ["int32"] = FieldKind.Int32,
        ["uint32"] = FieldKind.UInt32,
        ["int64"] = FieldKind.Int64,
        ["float64"] = FieldKind.Float64,
        ["error"] = FieldKind.Error,
        ["uuid"] = FieldKind.Uuid,
        ["string"] = FieldKind.String,
        ["bytes"] = FieldKind.Bytes,
        ["records"] = FieldKind.Records,
    };

    private static readonly HashSet<string> Reserved = new(StringComparer.Ordinal)
    {
        "Api", "ApiKey", "Name", "MinVersion", "MaxVersion", "FirstFlexibleVersion", "Read", "Write",
        "Equals", "GetHashCode", "GetType", "ToString", "MemberwiseClone", "Finalize", "ReferenceEquals",
    };

    /// <summary>The types that need no fields of their own.</summary>
    public static string TypeNames => string.Join(", ", Kinds.Keys);

    /// <summary>Reads the line.</summary>
    /// <param name="isNewStruct">Whether its type is a structure whose fields follow.</param>
    /// <exception cref="SchemaException">It has a mistake.</exception>
    public FieldSchema Parse(out bool isNewStruct)
    {
        Token name = tokens.Next("the field's name");
        Token type = tokens.Next("the field's type");
        FieldSchema field = ParseType(type, ParseName(name), out VersionRange? nullable, out isNewStruct);
        (field, Token? defaultToken) = ParseModifiers(field with { Docs = docs, Versions = new VersionRange(0, VersionRange.Open) });
        VersionRange versions = field.Versions.Intersect(api.Versions);
        if (versions.IsEmpty)
        {
            throw name.Mistake($"{field.Name} is in versions {field.Versions}, and the API has only {api.Versions}");
        }
        field = field with { Versions = versions };
        if (nullable is { } range)
        {
            VersionRange within = range.Intersect(versions);
            field = within.IsEmpty
                ? throw type.Mistake($"{field.Name} is never null in versions {versions}")
                : field with { Nullable = within };
        }
        Check(field, name, type);
        return defaultToken is { } given ? field with { Default = ParseDefault(field, given) } : field;
    }

    private string ParseName(Token token)
    {
        if (!token.Text.EndsWith(":", StringComparison.Ordinal))
        {
            throw token.Mistake("a field is written 'Name: type'");
        }
        string name = new Token(token.Text.Substring(0, token.Text.Length - 1), token.Line, token.Column).Identifier();
        if (owner.Fields.Any(other => other.Name == name))
        {
            throw token.Mistake($"{owner.Name} has a field {name} already");
        }
        if (name == owner.Name || (owner == message.Root ? Reserved.Contains(name) : name is "Read" or "Write"))
        {
            throw token.Mistake($"C# does not allow a field called {name} here");
        }
        return name;
    }

    private FieldSchema ParseType(Token token, string name, out VersionRange? nullable, out bool isNewStruct)
    {
        string text = token.Text;
        nullable = null;
        int mark = text.LastIndexOf('?');
        if (mark >= 0)
        {
            string range = text.Substring(mark + 1);
            nullable = range.Length == 0
                ? new VersionRange(0, VersionRange.Open)
                : new Token(range, token.Line, token.Column + mark + 1).Range();
            text = text.Substring(0, mark);
        }
        bool isArray = text.StartsWith("[", StringComparison.Ordinal) && text.EndsWith("]", StringComparison.Ordinal);
        if (isArray)
        {
            text = text.Substring(1, text.Length - 2);
        }
        var field = new FieldSchema { Name = name, IsArray = isArray };
        isNewStruct = false;
        if (Kinds.TryGetValue(text, out FieldKind kind))
        {
            return field with { Kind = kind };
        }
        if (text.Length == 0 || text[0] is < 'A' or > 'Z')
        {
            throw token.Mistake($"'{text}' is no type; types are {TypeNames}, structures, and arrays in brackets");
        }
        return field with { Kind = FieldKind.Struct, Struct = FindStruct(token, text, out isNewStruct) };
    }

    private StructSchema FindStruct(Token token, string text, out bool isNew)
    {
        string name = new Token(text, token.Line, token.Column).Identifier();
        isNew = false;
        StructSchema? known = message.Structs.FirstOrDefault(other => other.Name == name);
        if (known is not null)
        {
            return owners.Contains(known) ? throw token.Mistake($"{name} can't be within itself") : known;
        }
        if (name == message.Name || Reserved.Contains(name) || message.Root.Fields.Any(other => other.Name == name))
        {
            throw token.Mistake($"C# does not allow a structure called {name} here; choose another name, it isn't sent");
        }
        isNew = true;
        var created = new StructSchema(name, token);
        message.Structs.Add(created);
        return created;
    }

    private (FieldSchema Field, Token? Default) ParseModifiers(FieldSchema field)
    {
        while (tokens.TryNext(out Token token))
        {
            if (token.Text == "=")
            {
                Token value = tokens.Next("the default");
                tokens.ExpectEnd();
                return (field, value);
            }
            if (token.Text == "tag")
            {
                field = field with { Tag = (uint)tokens.Next("the tag").Number(0, int.MaxValue) };
            }
            else if (token.Text == "ignorable")
            {
                field = field with { IsIgnorable = true };
            }
            else
            {
                field = field with { Versions = token.Range() };
            }
        }
        return (field, null);
    }

    private void Check(FieldSchema field, Token name, Token type)
    {
        bool canBeNull = field.IsArray || field.Kind >= FieldKind.String;
        if (field.Nullable is not null && !canBeNull)
        {
            throw type.Mistake("only strings, bytes, records, structures and arrays can be null");
        }
        if (owner == message.Root && field.Kind == FieldKind.Struct && field.Struct!.Name == field.Name)
        {
            throw type.Mistake(
                $"C# does not allow the structure {field.Name} beside the field {field.Name}; choose another name, it isn't sent");
        }
        if (owner == message.Root && message.Structs.Any(other => other.Name == field.Name))
        {
            throw name.Mistake($"C# does not allow the field {field.Name} beside the structure {field.Name}");
        }
        if (field is { IsArray: true, Kind: FieldKind.Bytes or FieldKind.Records })
        {
            throw type.Mistake("arrays of bytes are not supported");
        }
        bool mustBeThere = field is { Kind: FieldKind.Struct, IsArray: false, IsOptionalStruct: false, IsIgnorable: false };
        if (mustBeThere && !field.Versions.Covers(api.Versions))
        {
            throw type.Mistake("a structure that is missing in some versions must be nullable or ignorable");
        }
        if (field.Tag is { } tag)
        {
            CheckTag(field, tag, name, type);
        }
    }

    private void CheckTag(FieldSchema field, uint tag, Token name, Token type)
    {
        if (field.Versions.Low < api.FirstFlexible)
        {
            throw name.Mistake(
                $"{field.Name} is tagged in version {field.Versions.Low}, and flexible versions begin with {api.FirstFlexible}");
        }
        if (field.Kind == FieldKind.Records || (field.Nullable is not null && field.Kind == FieldKind.Struct && !field.IsArray))
        {
            throw type.Mistake("records and nullable structures can't be tagged");
        }
        if (owner.Fields.Any(other => other.Tag == tag))
        {
            throw name.Mistake($"{owner.Name} has a field with tag {tag} already");
        }
    }

    private static string ParseDefault(FieldSchema field, Token token)
    {
        string text = token.Text;
        if (text == "null")
        {
            return field.Nullable is not null && field.Kind != FieldKind.Records
                ? "null"
                : throw token.Mistake($"{field.Name} can't be null");
        }
        if (field.IsArray)
        {
            throw token.Mistake("the default of an array is empty or null");
        }
        switch (field.Kind)
        {
            case FieldKind.Bool when text is "true" or "false":
                return text;
            case FieldKind.String when text.Length >= 2 && text[0] == '"' && text[text.Length - 1] == '"' && text.IndexOf('\\') < 0:
                return text;
            case FieldKind.Float64 when double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number):
                return number.ToString("R", CultureInfo.InvariantCulture) + "D";
            case FieldKind.Int8:
                return ParseInteger(token, sbyte.MinValue, sbyte.MaxValue);
            case FieldKind.Int16:
                return ParseInteger(token, short.MinValue, short.MaxValue);
            case FieldKind.UInt16:
                return ParseInteger(token, 0, ushort.MaxValue);
            case FieldKind.Int32:
                return ParseInteger(token, int.MinValue, int.MaxValue);
            case FieldKind.UInt32:
                return ParseInteger(token, 0, uint.MaxValue);
            case FieldKind.Int64:
                return ParseInteger(token, long.MinValue, long.MaxValue);
            default:
                throw token.Mistake($"'{text}' is no default for {field.Name}");
        }
    }

    private static string ParseInteger(Token token, long min, long max)
    {
        bool isHex = token.Text.StartsWith("0x", StringComparison.Ordinal);
        bool parsed = isHex
            ? long.TryParse(token.Text.Substring(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out long value)
            : long.TryParse(token.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);
        return parsed && value >= min && value <= max
            ? value.ToString(CultureInfo.InvariantCulture)
            : throw token.Mistake($"'{token.Text}' is no number from {min} to {max}");
    }
}
