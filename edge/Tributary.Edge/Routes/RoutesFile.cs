using System.Text.Json;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Host;

namespace Tributary.Edge.Routes;

/// <summary>
/// The routes file: JSON, comments and trailing commas allowed.
/// <code>
/// {
///   "routes": [
///     { "preset": "zigbee2mqtt", "topic": "telemetry" },
///     { "match": "plant/{line}/{device}/{metric...}", "topic": "plant", "key": "{device}", "headers": { "line": "{line}" } }
///   ],
///   "unrouted": "keep"
/// }
/// </code>
/// It is taken whole or not at all; what is wrong is told with its line. ROUTES.md describes the members.
/// </summary>
internal static class RoutesFile
{
    /// <summary>Largest file, bytes.</summary>
    public const int MaxBytes = 1 << 20;

    private static readonly JsonReaderOptions Reading = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    /// <summary>Reads a file.</summary>
    /// <exception cref="RoutesFileException">It can't be read or says what can't be.</exception>
    public static RouteTable Read(string path)
    {
        byte[] bytes;
        try
        {
            var file = new FileInfo(path);
            if (file.Exists && file.Length > MaxBytes)
            {
                throw new RoutesFileException($"the routes file {path} has {file.Length} bytes; it may have {MaxBytes}");
            }
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new RoutesFileException($"the routes file {path} can't be read: {e.Message}", e);
        }
        return Parse(bytes, path);
    }

    /// <summary>Reads the bytes of a file.</summary>
    /// <param name="bytes">The bytes.</param>
    /// <param name="path">What errors call it.</param>
    /// <exception cref="RoutesFileException">They say what can't be.</exception>
    public static RouteTable Parse(ReadOnlySpan<byte> bytes, string path)
    {
        if (bytes.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]))
        {
            bytes = bytes[3..];
        }
        var reader = new Utf8JsonReader(bytes, Reading);
        try
        {
            return ReadRoot(ref reader);
        }
        catch (JsonException e)
        {
            throw new RoutesFileException($"the routes file {path}, line {(e.LineNumber ?? 0) + 1} is not JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is FormatException or InvalidOperationException)
        {
            // InvalidOperationException: text that is not UTF-8.
            long at = e is RouteFault fault ? fault.At : reader.TokenStartIndex;
            int line = bytes[..(int)at].Count((byte)'\n') + 1;
            throw new RoutesFileException($"the routes file {path}, line {line}: {e.Message}", e);
        }
    }

    private static RouteTable ReadRoot(ref Utf8JsonReader reader)
    {
        var builder = new RouteTableBuilder();
        bool? dropsUnrouted = null;
        reader.Read();
        StrictJson.Expect(reader, JsonTokenType.StartObject, "the file must hold a JSON object");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (StrictJson.NextMember(ref reader, seen) is { } name)
        {
            switch (name)
            {
                case "routes":
                    StrictJson.Expect(reader, JsonTokenType.StartArray, "'routes' must be a list");
                    while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                    {
                        builder.Add(RouteEntryReader.Read(ref reader));
                    }
                    break;
                case "unrouted":
                    dropsUnrouted = reader.TokenType != JsonTokenType.String ? null
                        : reader.ValueTextEquals("drop") ? true
                        : reader.ValueTextEquals("keep") ? false : null;
                    if (dropsUnrouted is null)
                    {
                        throw new FormatException("'unrouted' must be \"keep\" or \"drop\"");
                    }
                    break;
                default:
                    throw new FormatException($"'{name}' is unknown: there are 'routes' and 'unrouted'");
            }
        }
        reader.Read(); // anything behind the object is an error
        if (!seen.Contains("routes"))
        {
            throw new RouteFault(0, "'routes' is missing: a list, which may be empty");
        }
        return new RouteTable(builder.Routes, dropsUnrouted ?? false);
    }
}

/// <summary>A routes file can't be read or says what can't be; the message names file, line and reason.</summary>
internal sealed class RoutesFileException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>What is wrong in a routes file, and where.</summary>
/// <param name="at">Byte of the file.</param>
/// <param name="message">What, with the name of the member.</param>
internal sealed class RouteFault(long at, string message) : FormatException(message)
{
    /// <summary>Byte of the file.</summary>
    public long At { get; } = at;
}
