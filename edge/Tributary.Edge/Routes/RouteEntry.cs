using System.Text.Json;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Host;

namespace Tributary.Edge.Routes;

/// <summary>An entry of a routes file as it is written: what each member says by itself is right, not yet what they say together.</summary>
/// <param name="at">Byte of the file where it begins.</param>
internal sealed class RouteEntry(long at)
{
    /// <summary>Byte of the file where it begins.</summary>
    public long At { get; } = at;

    /// <summary>Where the value of each member begins that it has.</summary>
    public Dictionary<string, long> Members { get; } = [];

    public string? Name { get; set; }

    public string? Match { get; set; }

    public string? Topic { get; set; }

    public string? Key { get; set; }

    public PayloadPath? KeyPath { get; set; }

    public List<(string Name, string Value, long At)> Headers { get; } = [];

    public PayloadTime? Timestamp { get; set; }

    public bool UserProperties { get; set; } = true;

    public bool Drop { get; set; }

    public MessageFilter? Filter { get; set; }

    public string? Preset { get; set; }

    public string? Base { get; set; }
}

/// <summary>Reads the entries of a routes file.</summary>
internal static class RouteEntryReader
{
    /// <summary>Longest name of a route or header, characters.</summary>
    public const int MaxNameLength = 128;

    private const int MostEvery = 1_000_000_000;
    private static readonly TimeSpan LeastPeriod = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan MostPeriod = TimeSpan.FromDays(30);

    private static readonly string[] Known =
        ["name", "match", "topic", "key", "headers", "timestamp", "userProperties", "drop", "sample", "deadband", "preset", "base"];

    /// <summary>The words for formats of times.</summary>
    private static readonly Dictionary<string, TimeFormat> Formats = new()
    {
        ["unix"] = TimeFormat.Unix,
        ["unix_ms"] = TimeFormat.UnixMs,
        ["unix_us"] = TimeFormat.UnixUs,
        ["unix_ns"] = TimeFormat.UnixNs,
        ["iso8601"] = TimeFormat.Iso8601,
        ["senml"] = TimeFormat.SenMl,
        ["sparkplug_b"] = TimeFormat.SparkplugB,
    };

    /// <summary>Reads the entry at whose beginning the reader is.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static RouteEntry Read(ref Utf8JsonReader reader)
    {
        StrictJson.Expect(reader, JsonTokenType.StartObject, "each of 'routes' must be an object");
        var entry = new RouteEntry(reader.TokenStartIndex);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (StrictJson.NextMember(ref reader, seen) is { } name)
        {
            entry.Members[name] = reader.TokenStartIndex;
            ReadMember(ref reader, entry, name);
        }
        return entry;
    }

    private static void ReadMember(ref Utf8JsonReader reader, RouteEntry entry, string name)
    {
        switch (name)
        {
            case "name":
                entry.Name = Label(Text(reader, name), name);
                break;
            case "match":
                entry.Match = Text(reader, name);
                break;
            case "topic":
                entry.Topic = Text(reader, name);
                break;
            case "key":
                ReadKey(ref reader, entry);
                break;
            case "headers":
                ReadHeaders(ref reader, entry);
                break;
            case "timestamp":
                entry.Timestamp = ReadTimestamp(ref reader);
                break;
            case "userProperties":
                entry.UserProperties = Flag(reader, name);
                break;
            case "drop":
                entry.Drop = Flag(reader, name);
                break;
            case "sample":
                RejectSecondFilter(entry, "deadband");
                entry.Filter = ReadSample(ref reader);
                break;
            case "deadband":
                RejectSecondFilter(entry, "sample");
                entry.Filter = ReadDeadband(ref reader);
                break;
            case "preset":
                entry.Preset = Text(reader, name);
                break;
            case "base":
                entry.Base = Text(reader, name);
                break;
            default:
                throw Unknown(name, "a route", Known);
        }
    }

    private static void RejectSecondFilter(RouteEntry entry, string other)
    {
        if (entry.Members.ContainsKey(other))
        {
            throw new FormatException(
                "'sample' and 'deadband' can't stand in one route: what is sampled away may be the change that the deadband is there for");
        }
    }

    private static void ReadKey(ref Utf8JsonReader reader, RouteEntry entry)
    {
        if (reader.TokenType == JsonTokenType.String)
        {
            entry.Key = reader.GetString()!;
            return;
        }
        StrictJson.Expect(reader, JsonTokenType.StartObject, "'key' must be a text, or an object with 'path'");
        long at = reader.TokenStartIndex;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (StrictJson.NextMember(ref reader, seen) is { } name)
        {
            entry.KeyPath = name == "path" ? PathOf(reader, "key") : throw Unknown(name, "'key'", ["path"]);
        }
        Require(entry.KeyPath is not null, at, "'path' of 'key' is missing");
    }

    private static void ReadHeaders(ref Utf8JsonReader reader, RouteEntry entry)
    {
        StrictJson.Expect(reader, JsonTokenType.StartObject, "'headers' must be an object with a text for each header");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (StrictJson.NextMember(ref reader, seen) is { } name)
        {
            if (seen.Count > Route.MaxHeaders)
            {
                throw new FormatException($"'headers' has more than {Route.MaxHeaders} headers");
            }
            entry.Headers.Add((Label(name, "headers"), Text(reader, name), reader.TokenStartIndex));
        }
    }

    private static PayloadTime ReadTimestamp(ref Utf8JsonReader reader)
    {
        StrictJson.Expect(reader, JsonTokenType.StartObject, "'timestamp' must be an object with 'path' and 'format'");
        long at = reader.TokenStartIndex;
        PayloadPath? path = null;
        TimeFormat? format = null;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (StrictJson.NextMember(ref reader, seen) is { } name)
        {
            switch (name)
            {
                case "path":
                    path = PathOf(reader, "timestamp");
                    break;
                case "format":
                    string word = Text(reader, name);
                    format = Formats.TryGetValue(word, out TimeFormat known)
                        ? known
                        : throw new FormatException($"'format' of 'timestamp' is '{word}'; it must be one of {string.Join(", ", Formats.Keys)}");
                    break;
                default:
                    throw Unknown(name, "'timestamp'", ["path", "format"]);
            }
        }
        Require(format is not null, at, "'format' of 'timestamp' is missing");
        bool hasOwnPlace = PayloadTime.HasOwnPlace(format!.Value);
        Require(path is not null || hasOwnPlace, at, "'path' of 'timestamp' is missing; \"\" stands for the whole payload");
        Require(path is null || !hasOwnPlace, at, "'path' of 'timestamp' can't be given with this 'format', which has its own place for the time");
        return new PayloadTime(path ?? PayloadPath.Parse(""), format.Value);
    }

    private static MessageFilter ReadSample(ref Utf8JsonReader reader)
    {
        StrictJson.Expect(reader, JsonTokenType.StartObject, "'sample' must be an object with 'every' or 'period'");
        long at = reader.TokenStartIndex;
        MessageFilter? filter = null;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (StrictJson.NextMember(ref reader, seen) is { } name)
        {
            filter = name switch
            {
                "every" => reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out int every) && every is >= 2 and <= MostEvery
                    ? new MessageFilter.Every(every)
                    : throw new FormatException($"'every' of 'sample' must be a whole number from 2 to {MostEvery}"),
                "period" => new MessageFilter.AtMostEvery(Duration(reader, "'period' of 'sample'")),
                _ => throw Unknown(name, "'sample'", ["every", "period"]),
            };
        }
        Require(seen.Count == 1, at, "'sample' must have either 'every' or 'period'");
        return filter!;
    }

    private static MessageFilter.Deadband ReadDeadband(ref Utf8JsonReader reader)
    {
        StrictJson.Expect(reader, JsonTokenType.StartObject, "'deadband' must be an object with 'path' and 'change' or 'percent'");
        long at = reader.TokenStartIndex;
        PayloadPath? path = null;
        double? change = null, percent = null;
        TimeSpan? atLeastEvery = null;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (StrictJson.NextMember(ref reader, seen) is { } name)
        {
            switch (name)
            {
                case "path":
                    path = PathOf(reader, "deadband");
                    break;
                case "change":
                    change = Number(reader, "'change' of 'deadband'");
                    break;
                case "percent":
                    percent = Number(reader, "'percent' of 'deadband'");
                    break;
                case "atLeastEvery":
                    atLeastEvery = Duration(reader, "'atLeastEvery' of 'deadband'");
                    break;
                default:
                    throw Unknown(name, "'deadband'", ["path", "change", "percent", "atLeastEvery"]);
            }
        }
        Require(path is not null, at, "'path' of 'deadband' is missing; \"\" stands for the whole payload");
        Require(change is null != percent is null, at, "'deadband' must have either 'change' or 'percent'");
        return new MessageFilter.Deadband(path!, change ?? 0, percent, atLeastEvery);
    }

    private static string Text(in Utf8JsonReader reader, string name)
    {
        StrictJson.Expect(reader, JsonTokenType.String, $"'{name}' must be a text");
        return reader.GetString()!;
    }

    private static bool Flag(in Utf8JsonReader reader, string name) => reader.TokenType is JsonTokenType.True or JsonTokenType.False
        ? reader.GetBoolean()
        : throw new FormatException($"'{name}' must be true or false");

    private static string Label(string text, string member) => text.Length is > 0 and <= MaxNameLength && !text.Any(char.IsControl)
        ? text
        : throw new FormatException($"'{member}': a name must have 1 to {MaxNameLength} characters and no control characters");

    private static PayloadPath PathOf(in Utf8JsonReader reader, string of)
    {
        StrictJson.Expect(reader, JsonTokenType.String, $"'path' of '{of}' must be a text");
        try
        {
            return PayloadPath.Parse(reader.GetString()!);
        }
        catch (FormatException e)
        {
            throw new FormatException($"'path' of '{of}': {e.Message}", e);
        }
    }

    private static double Number(in Utf8JsonReader reader, string what) =>
        reader.TokenType == JsonTokenType.Number && reader.TryGetDouble(out double number) && double.IsFinite(number) && number >= 0
            ? number
            : throw new FormatException($"{what} must be a number from 0");

    private static TimeSpan Duration(in Utf8JsonReader reader, string what) =>
        reader.TokenType == JsonTokenType.String && SettingValues.TryParseDuration(reader.GetString()!, out TimeSpan duration)
            && duration >= LeastPeriod && duration <= MostPeriod
            ? duration
            : throw new FormatException($"{what} must be a duration such as \"500ms\", \"30s\" or \"5min\", from 1 ms to 30 d");

    private static FormatException Unknown(string name, string of, string[] known) =>
        new($"'{name}' of {of} is unknown: there are {string.Join(", ", known.Select(member => $"'{member}'"))}");

    private static void Require(bool holds, long at, string rule)
    {
        if (!holds)
        {
            throw new RouteFault(at, rule);
        }
    }
}
