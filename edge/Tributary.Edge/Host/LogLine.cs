using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Tributary.Edge.Host;

/// <summary>A message of the log. Its line holds no line break, whatever is in it.</summary>
/// <param name="At">When.</param>
/// <param name="Level">How bad.</param>
/// <param name="Event">Id and name of the message; id 0 for none.</param>
/// <param name="Category">Part of the program.</param>
/// <param name="Message">The message.</param>
/// <param name="Exception">Why; null for none.</param>
/// <param name="Values">Its values by name, and its template; null for none.</param>
internal readonly record struct LogLine(
    DateTimeOffset At, LogLevel Level, EventId Event, string Category, string Message, Exception? Exception = null,
    IReadOnlyList<KeyValuePair<string, object?>>? Values = null)
{
    /// <summary>What the source generator of messages calls their template.</summary>
    private const string Template = "{OriginalFormat}";

    private static readonly JsonWriterOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>A line for people.</summary>
    public string ToText()
    {
        string text = Exception is null ? Message : $"{Message}: {Exception}";
        string oneLine = text.ReplaceLineEndings(" | ");
        return Event.Id == 0 ? $"{Time} {Word} {Category}: {oneLine}\n" : $"{Time} {Word} {Category} {Event.Id}: {oneLine}\n";
    }

    /// <summary>A line for programs: <c>time</c>, <c>level</c>, <c>category</c>, <c>event</c>, <c>name</c>, <c>message</c>, <c>values</c>, <c>exception</c>.</summary>
    public string ToJson()
    {
        var bytes = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(bytes, Writing))
        {
            json.WriteStartObject();
            json.WriteString("time", Time);
            json.WriteString("level", Level.ToString().ToLowerInvariant());
            json.WriteString("category", Category);
            if (Event.Id != 0)
            {
                json.WriteNumber("event", Event.Id);
                json.WriteString("name", Event.Name);
            }
            json.WriteString("message", Message);
            WriteValues(json);
            if (Exception is not null)
            {
                json.WriteString("exception", Exception.ToString());
            }
            json.WriteEndObject();
        }
        bytes.Write("\n"u8);
        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    private string Time => At.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);

    private string Word => Level switch
    {
        LogLevel.Trace => "trace",
        LogLevel.Debug => "debug",
        LogLevel.Information => "info",
        LogLevel.Warning => "warn",
        LogLevel.Error => "error",
        _ => "fatal",
    };

    private void WriteValues(Utf8JsonWriter json)
    {
        if (Values is null || !Values.Any(value => value.Key != Template))
        {
            return;
        }
        json.WriteStartObject("values");
        foreach ((string name, object? value) in Values)
        {
            if (name != Template)
            {
                json.WritePropertyName(JsonNamingPolicy.CamelCase.ConvertName(name));
                Write(json, value);
            }
        }
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, object? value)
    {
        switch (value)
        {
            case null:
                json.WriteNullValue();
                break;
            case bool truth:
                json.WriteBooleanValue(truth);
                break;
            case byte or short or ushort or int or uint or long:
                json.WriteNumberValue(Convert.ToInt64(value, CultureInfo.InvariantCulture));
                break;
            case double number when double.IsFinite(number):
                json.WriteNumberValue(number);
                break;
            case IFormattable formattable:
                json.WriteStringValue(formattable.ToString(null, CultureInfo.InvariantCulture));
                break;
            default:
                json.WriteStringValue(value.ToString());
                break;
        }
    }
}
