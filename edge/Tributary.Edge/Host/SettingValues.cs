using System.Collections;
using System.Globalization;
using System.Net;
using System.Text.Json;
using System.Text.Unicode;

namespace Tributary.Edge.Host;

/// <summary>
/// The settings as text, by name such as <c>buffer:maxDiskBytes</c>, whatever the case: flags win over the environment, the environment
/// over the file. Which names exist follows from what is asked for; the rest is <see cref="CheckUnknown"/>'s. By hand instead of by
/// configuration binding, for errors that name a setting where the user wrote it. One thread at a time.
/// </summary>
internal sealed class SettingValues
{
    /// <summary>What environment variables begin with; <c>__</c> separates the parts of a name.</summary>
    public const string EnvironmentPrefix = "TRIBUTARY__";

    private const string ListenSuffix = ":listen";
    private const char ListSeparator = '\n';

    /// <summary>Largest settings file, bytes.</summary>
    private const int MaxFileBytes = 1 << 20;

    private readonly Dictionary<string, Value> _values = new(StringComparer.OrdinalIgnoreCase);
    private readonly HashSet<string> _asked = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Names that were asked for: all settings there are, once <see cref="EdgeOptions.From"/> has read them.</summary>
    public IReadOnlyCollection<string> Asked => _asked;

    /// <summary>Adds what the command line says. Null values were not given.</summary>
    public void AddFlags(IEnumerable<(string Name, string Flag, string? Text)> flags)
    {
        foreach ((string name, string flag, string? text) in flags)
        {
            if (text is not null)
            {
                Add(name, new Value(text, $"the flag {flag}", IsStrict: true));
            }
        }
    }

    /// <summary>Adds what the environment says. Empty variables count as not set.</summary>
    public void AddEnvironment(IDictionary environment)
    {
        foreach (DictionaryEntry variable in environment)
        {
            if (variable is { Key: string key, Value: string { Length: > 0 } text }
                && key.StartsWith(EnvironmentPrefix, StringComparison.OrdinalIgnoreCase))
            {
                string name = key[EnvironmentPrefix.Length..].Replace("__", ":", StringComparison.Ordinal);
                // Not strict: the cloud's program has the same prefix and may share the environment.
                Add(name, new Value(text, $"the environment variable {key}", IsStrict: false));
            }
        }
    }

    /// <summary>Adds what the file says: a JSON object, comments allowed.</summary>
    /// <exception cref="ArgumentException">It can't be read, or is no such object.</exception>
    public void AddFile(string path)
    {
        try
        {
            var file = new FileInfo(path);
            Check(file.Exists, $"the file {path} does not exist (flag --config)");
            Check(file.Length <= MaxFileBytes, $"the file {path} has {file.Length} bytes; settings have at most {MaxFileBytes}");
            byte[] bytes = File.ReadAllBytes(path);
            Check(Utf8.IsValid(bytes), $"the file {path} is not UTF-8");
            using var document = JsonDocument.Parse(
                bytes,
                new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            Check(document.RootElement.ValueKind == JsonValueKind.Object, $"the file {path} must hold a JSON object");
            var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
            AddObject(path, "", document.RootElement, seen);
        }
        catch (JsonException e)
        {
            string at = e.LineNumber is { } line ? $", line {line + 1}" : "";
            throw new ArgumentException($"the file {path}{at} is not JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ArgumentException($"the file {path} can't be read: {e.Message}", e);
        }
    }

    /// <summary>Names of environment variables of ours that no setting has.</summary>
    /// <exception cref="ArgumentException">The file has settings that do not exist; all of them are named.</exception>
    public IReadOnlyList<string> CheckUnknown()
    {
        var unknown = _values.Where(value => !_asked.Contains(value.Key)).Select(value => value.Value).ToList();
        List<string> strict = [.. unknown.Where(value => value.IsStrict).Select(value => value.Source).Order(StringComparer.Ordinal)];
        Check(strict.Count == 0, $"{string.Join(", ", strict)}: no such setting");
        return [.. unknown.Select(value => value.Source).Order(StringComparer.Ordinal)];
    }

    /// <summary>The text of a setting, null if it is not set.</summary>
    /// <exception cref="ArgumentException">It is a list.</exception>
    public string? Text(string name)
    {
        _asked.Add(name);
        if (!_values.TryGetValue(name, out Value value))
        {
            return null;
        }
        Check(!value.IsList, $"the setting '{name}' ({value.Source}) is a list; it has one value");
        return value.Text;
    }

    /// <summary>A secret, which may stand in the environment only: flags are seen by all users of a machine, and settings files get around.</summary>
    /// <param name="name">The setting.</param>
    /// <param name="instead">A setting that names a file with it.</param>
    /// <exception cref="ArgumentException">It stands elsewhere.</exception>
    public string? FromEnvironment(string name, string instead)
    {
        string? text = Text(name);
        Check(
            text is null || !_values[name].IsStrict,
            $"the setting '{name}' is a secret: give it as the environment variable {EnvironmentPrefix}{name.ToUpperInvariant().Replace(":", "__", StringComparison.Ordinal)}, or in a file that {instead} names");
        return text;
    }

    /// <summary>
    /// The names of the sections under a section: with <c>topics:a:keep</c> and <c>topics:b:policy</c> there are a and b under topics.
    /// </summary>
    public IReadOnlyList<string> Sections(string section)
    {
        string prefix = section + ":";
        return
        [
            .. _values.Keys.Where(name => name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase) && name.IndexOf(':', prefix.Length) > 0)
                .Select(name => name[prefix.Length..name.IndexOf(':', prefix.Length)])
                .Distinct(StringComparer.OrdinalIgnoreCase).Order(StringComparer.Ordinal),
        ];
    }

    /// <summary>Several values: a list in the file, or text with commas between them.</summary>
    public IReadOnlyList<string> List(string name, IReadOnlyList<string> otherwise)
    {
        _asked.Add(name);
        return !_values.TryGetValue(name, out Value value) ? otherwise
            : value.IsList ? value.Text.Split(ListSeparator, StringSplitOptions.RemoveEmptyEntries)
            : value.Text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
    }

    /// <summary>The text of a setting that has no default.</summary>
    /// <exception cref="ArgumentException">It is not set.</exception>
    public string Required(string name, string flag) => Text(name) ?? throw new ArgumentException(
        $"the setting '{name}' is missing: give {flag}, {EnvironmentPrefix}{name.ToUpperInvariant()} or \"{name}\" in the file of --config");

    /// <summary>A whole number.</summary>
    public int Int32(string name, int otherwise) => Parse(name, otherwise, "a whole number", (string text, out int value) =>
        int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value));

    /// <summary>A number of bytes: a whole number, or one with KiB, MiB or GiB.</summary>
    public int Size32(string name, int otherwise) => checked((int)Size(name, otherwise, int.MaxValue));

    /// <inheritdoc cref="Size32"/>
    public long Size64(string name, long otherwise) => Size(name, otherwise, long.MaxValue);

    /// <summary>True or false.</summary>
    public bool Flag(string name, bool otherwise) => Parse<bool>(name, otherwise, "true or false", bool.TryParse);

    /// <summary>A duration: a number with ms, s, min, h or d, or hours:minutes:seconds.</summary>
    public TimeSpan Duration(string name, TimeSpan otherwise) => Parse<TimeSpan>(
        name, otherwise, "a duration such as 500ms, 30s, 5min, 12h, 7d or 00:00:30", TryParseDuration);

    /// <summary>One of an enumeration's words, with or without the hyphens between their parts.</summary>
    public T Word<T>(string name, T otherwise)
        where T : struct, Enum => Parse(name, otherwise, "one of " + string.Join(", ", Enum.GetNames<T>().Select(Lower)),
            (string text, out T value) =>
                Enum.TryParse(text.Replace("-", "", StringComparison.Ordinal), ignoreCase: true, out value) && Enum.IsDefined(value) && !char.IsAsciiDigit(text[0]));

    /// <inheritdoc cref="Word"/>
    /// <returns>Null if it is not set.</returns>
    public T? WordIfSet<T>(string name)
        where T : struct, Enum => Text(name) is null ? null : Word<T>(name, default);

    /// <summary>HOST:PORT of somebody else, with a name or an address; <c>[…]</c> around IPv6 addresses.</summary>
    public (string Host, int Port) Remote(string name, string flag)
    {
        string text = Required(name, flag);
        return TrySplit(text, out string host, out int port) && port > 0
            ? (host, port)
            : throw Bad(name, text, "HOST:PORT with a port from 1 to 65535, such as cloud.example:9092");
    }

    /// <summary>
    /// ADDRESS:PORT of ours: an address, localhost, or * for all IPv4 addresses; port 0 stands for a free one. It has the name of its
    /// section: <c>"mqtt": "127.0.0.1:1883"</c> is short for <c>"mqtt": { "listen": "127.0.0.1:1883" }</c>.
    /// </summary>
    public IPEndPoint Listen(string section, int otherwise) =>
        ListenIfSet(section, otherwise) ?? new IPEndPoint(IPAddress.Loopback, otherwise);

    /// <summary>As <see cref="Listen"/>, and null if it is not set.</summary>
    /// <param name="section">Name of the setting.</param>
    /// <param name="example">A port for examples.</param>
    public IPEndPoint? ListenIfSet(string section, int example)
    {
        if (Text(section) is not { } text)
        {
            return null;
        }
        IPAddress? address = null;
        if (TrySplit(text, out string host, out int port))
        {
            address = host switch
            {
                "*" => IPAddress.Any,
                "localhost" => IPAddress.Loopback,
                _ => IPAddress.TryParse(host, out IPAddress? parsed) ? parsed : null,
            };
        }
        return address is not null
            ? new IPEndPoint(address, port)
            : throw Bad(section, text, $"ADDRESS:PORT with an address of this machine, localhost or *, such as 127.0.0.1:{example}");
    }

    private static string Lower(string word) => char.ToLowerInvariant(word[0]) + word[1..];

    private static void Check(bool holds, string message)
    {
        if (!holds)
        {
            throw new ArgumentException(message);
        }
    }

    private static bool TrySplit(string text, out string host, out int port)
    {
        int colon = text.LastIndexOf(':');
        host = colon > 0 ? text[..colon] : "";
        port = -1;
        if (host is ['[', .. string inner, ']'])
        {
            host = inner;
        }
        else if (host.Contains(':'))
        {
            return false;
        }
        return host.Length > 0 && !host.Any(char.IsWhiteSpace)
            && int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port)
            && port <= IPEndPoint.MaxPort;
    }

    /// <summary>Reads a duration as settings write them.</summary>
    internal static bool TryParseDuration(string text, out TimeSpan value)
    {
        ReadOnlySpan<(string Suffix, double Milliseconds)> units =
            [("ms", 1), ("min", 60_000), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        foreach ((string suffix, double milliseconds) in units)
        {
            if (text.EndsWith(suffix, StringComparison.OrdinalIgnoreCase)
                && decimal.TryParse(text.AsSpan(0, text.Length - suffix.Length).TrimEnd(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number)
                && number <= 100_000_000)
            {
                value = TimeSpan.FromMilliseconds((double)number * milliseconds);
                return true;
            }
        }
        value = default;
        return text.Contains(':') && TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out value);
    }

    private long Size(string name, long otherwise, long most) => Parse(
        name, otherwise, $"a whole number of bytes, or one with KiB, MiB or GiB, up to {most}", (string text, out long value) =>
        {
            int shift = text switch
            {
                _ when text.EndsWith("KiB", StringComparison.OrdinalIgnoreCase) => 10,
                _ when text.EndsWith("MiB", StringComparison.OrdinalIgnoreCase) => 20,
                _ when text.EndsWith("GiB", StringComparison.OrdinalIgnoreCase) => 30,
                _ => 0,
            };
            ReadOnlySpan<char> digits = shift == 0 ? text : text.AsSpan(0, text.Length - 3).TrimEnd();
            bool isNumber = long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number <= most >> shift;
            value = number << shift;
            return isNumber;
        });

    private T Parse<T>(string name, T otherwise, string rule, TryParse<T> parse)
    {
        if (Text(name) is not { } text)
        {
            return otherwise;
        }
        return parse(text.Trim(), out T value) ? value : throw Bad(name, text, rule);
    }

    private ArgumentException Bad(string name, string text, string rule) =>
        new($"the setting '{name}' ({_values[name].Source}) is '{text}'; it must be {rule}");

    private void AddObject(string path, string prefix, JsonElement element, HashSet<string> seen)
    {
        foreach (JsonProperty property in element.EnumerateObject())
        {
            string name = prefix + property.Name;
            Check(seen.Add(name), $"the file {path} has the setting '{name}' twice");
            switch (property.Value.ValueKind)
            {
                case JsonValueKind.Object:
                    AddObject(path, name + ":", property.Value, seen);
                    break;
                case JsonValueKind.Array:
                    Add(name, new Value(Join(path, name, property.Value), $"'{name}' in {path}", IsStrict: true, IsList: true));
                    break;
                case JsonValueKind.Null:
                    break;
                default:
                    Add(name, new Value(property.Value.ToString(), $"'{name}' in {path}", IsStrict: true));
                    break;
            }
        }
    }

    private static string Join(string path, string name, JsonElement list)
    {
        var texts = new List<string>();
        foreach (JsonElement element in list.EnumerateArray())
        {
            Check(
                element.ValueKind is JsonValueKind.String or JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False,
                $"the setting '{name}' in {path} is a list of something else than texts");
            string text = element.ToString();
            Check(!text.Contains(ListSeparator), $"the setting '{name}' in {path} has a line break");
            texts.Add(text);
        }
        return string.Join(ListSeparator, texts);
    }

    /// <summary>What was added first wins.</summary>
    private void Add(string name, Value value) =>
        _values.TryAdd(name.EndsWith(ListenSuffix, StringComparison.OrdinalIgnoreCase) ? name[..^ListenSuffix.Length] : name, value);

    private delegate bool TryParse<T>(string text, out T value);

    /// <param name="Text">As it was written.</param>
    /// <param name="Source">Where, in words.</param>
    /// <param name="IsStrict">Whether it is an error if no setting has that name.</param>
    /// <param name="IsList">Whether it is several texts, with <see cref="ListSeparator"/> between them.</param>
    private readonly record struct Value(string Text, string Source, bool IsStrict, bool IsList = false);
}
