using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Routes;

namespace Tributary.Edge.Host;

/// <summary>
/// <c>tributary-edge route check|test</c>: says whether a routes file is right, and what would become of messages. Neither needs an agent.
/// </summary>
internal static class RouteCommand
{
    private const string ExampleId = "edge";

    private static readonly Option<string> RequiredFile = new("--routes")
    {
        HelpName = "FILE",
        Description = "The routes file.",
        Required = true,
    };

    private static readonly Option<string?> OptionalFile = new("--routes")
    {
        HelpName = "FILE",
        Description = "The routes file; without it the routes that an agent has without one.",
    };

    private static readonly Option<string> Topic = new("--topic") { HelpName = "TOPIC", Description = "The MQTT topic.", Required = true };

    private static readonly Option<string[]> Payload = new("--payload")
    {
        HelpName = "TEXT",
        Description = "A payload. Given several times, these are messages one after the other, for samples and deadbands.",
    };

    private static readonly Option<string?> PayloadFile = new("--payload-file")
    {
        HelpName = "FILE",
        Description = "A file whose bytes are the payload.",
    };

    private static readonly Option<string> Client = new("--client")
    {
        HelpName = "ID",
        Description = "MQTT client identifier.",
        DefaultValueFactory = _ => "client",
    };

    private static readonly Option<bool> Json = new("--json") { Description = "One JSON object in a line for each message." };

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var check = new Command("check", "Says whether a routes file is right; exit code 2 if not.") { RequiredFile };
        check.SetAction((parsed, _) => Run(() => Check(parsed.GetRequiredValue(RequiredFile))));
        var test = new Command("test", "Says what becomes of a message: route, Kafka topic, key, headers, timestamp.")
        {
            OptionalFile, Topic, Payload, PayloadFile, Client, Json,
        };
        test.SetAction((parsed, _) => Run(() => TestAsync(
            parsed.GetValue(OptionalFile), parsed.GetRequiredValue(Topic), parsed.GetValue(Payload) ?? [], parsed.GetValue(PayloadFile),
            parsed.GetValue(Client)!, parsed.GetValue(Json))));
        return new Command("route", "Checks and tries routes.") { check, test };
    }

    private static async Task<int> Run(Func<Task> action)
    {
        try
        {
            await action();
            return EdgeCommand.Done;
        }
        catch (Exception e) when (e is RoutesFileException or ArgumentException)
        {
            return Say(EdgeCommand.WrongUsage, e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Say(EdgeCommand.Failed, e.Message);
        }
    }

    private static int Say(int code, string message)
    {
        Console.Error.WriteLine($"tributary-edge: {message}");
        return code;
    }

    private static Task Check(string path)
    {
        RouteTable routes = RoutesFile.Read(path);
        string topics = string.Join(", ", routes.Topics.Order(StringComparer.Ordinal));
        string captured = routes.Routes.Any(route => route.HasTopicOfCaptures) ? ", and some that captures make" : "";
        Console.Out.WriteLine($"{path}: {routes.Routes.Count} routes to {(topics.Length == 0 ? "no topic" : topics)}{captured}");
        return Task.CompletedTask;
    }

    private static async Task TestAsync(string? file, string topic, string[] payloads, string? payloadFile, string client, bool isJson)
    {
        if (!TopicRules.IsName(Encoding.UTF8.GetBytes(topic)))
        {
            throw new ArgumentException($"--topic '{topic}' must be the name of a topic, not empty and without wildcards");
        }
        if ((payloads.Length == 0) == (payloadFile is null))
        {
            throw new ArgumentException("either --payload or --payload-file must be given");
        }
        RouteTable routes = file is null ? RouteTable.Default : RoutesFile.Read(file);
        byte[][] messages = payloadFile is null ? [.. payloads.Select(Encoding.UTF8.GetBytes)] : [File.ReadAllBytes(payloadFile)];
        await using var probe = new RouteProbe(routes, ExampleId, TimeProvider.System);
        for (int i = 0; i < messages.Length; i++)
        {
            ProbeResult result = probe.Try(client, topic, messages[i]);
            string separator = i > 0 && !isJson ? "\n" : "";
            Console.Out.Write(separator + (isJson ? ToJson(result) : ToText(result)));
        }
    }

    private static string ToText(ProbeResult result)
    {
        var text = new StringBuilder();
        Line("route", result.Route ?? "none");
        Line("outcome", result.Outcome);
        if (result.Record is { } record)
        {
            Line("topic", record.Topic);
            Line("key", record.Key);
            Line("timestamp", $"{Format(record.Timestamp)} ({(record.IsTimeOfPayload ? "of the payload" : "of the arrival")})");
            foreach ((string name, string value) in record.Headers)
            {
                Line("header", $"{name}={value}");
            }
            Line("value", $"the payload, {record.ValueBytes} bytes");
        }
        return text.ToString();

        void Line(string name, string value) => text.Append(CultureInfo.InvariantCulture, $"{name,-10} {value.ReplaceLineEndings(" ")}\n");
    }

    private static string ToJson(ProbeResult result)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("route", result.Route);
            json.WriteString("outcome", result.Outcome);
            if (result.Record is { } record)
            {
                json.WriteString("topic", record.Topic);
                json.WriteString("key", record.Key);
                json.WriteString("timestamp", Format(record.Timestamp));
                json.WriteString("timestampOf", record.IsTimeOfPayload ? "payload" : "arrival");
                json.WriteStartArray("headers");
                foreach ((string name, string value) in record.Headers)
                {
                    json.WriteStartObject();
                    json.WriteString("name", name);
                    json.WriteString("value", value);
                    json.WriteEndObject();
                }
                json.WriteEndArray();
                json.WriteNumber("valueBytes", record.ValueBytes);
            }
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    private static string Format(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
}
