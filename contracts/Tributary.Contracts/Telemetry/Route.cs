using System.Text;
using Tributary.Contracts.Records;

namespace Tributary.Contracts.Telemetry;

/// <summary>
/// Says what becomes of the messages of some MQTT topics: Kafka topic, key and headers come from the captures of the pattern, the
/// timestamp and what is left out perhaps from the payload. Immutable.
/// Headers stand in this order: <c>mqtt.topic</c>, those of the route, <c>edge</c>.
/// </summary>
public sealed class Route
{
    /// <summary>Header with the MQTT topic as the device sent it.</summary>
    public const string TopicHeader = "mqtt.topic";

    /// <summary>Header with the name of the edge agent.</summary>
    public const string EdgeHeader = "edge";

    /// <summary>The capture that is the key unless another one is named.</summary>
    public const string DeviceCapture = "device";

    /// <summary>Most headers of a route's own.</summary>
    public const int MaxHeaders = 16;

    private readonly RouteTemplate? _topic;
    private readonly RouteTemplate? _key;
    private readonly KeyValuePair<string, RouteTemplate>[] _headers;

    /// <param name="pattern">MQTT topics that the route takes.</param>
    /// <param name="topic">Kafka topic that their messages go to; null if they go nowhere.</param>
    /// <param name="key">The record's key; null for the client's id.</param>
    /// <param name="headers">Names of headers and their values.</param>
    /// <exception cref="FormatException">The Kafka topic has no valid name.</exception>
    public Route(TopicPattern pattern, RouteTemplate? topic, RouteTemplate? key, IReadOnlyList<KeyValuePair<string, RouteTemplate>> headers)
    {
        Pattern = pattern;
        Name = pattern.Text;
        _topic = topic;
        _key = key;
        _headers = [.. headers];
        if (topic is { IsConstant: true })
        {
            Topic = Encoding.UTF8.GetString(topic.Render([], default));
            KafkaTopicName.Check(Topic);
        }
    }

    /// <summary>The same with captures as key and headers.</summary>
    /// <exception cref="FormatException">The pattern has no such capture, or the Kafka topic no valid name.</exception>
    public Route(TopicPattern pattern, string topic, string key, params IReadOnlyList<KeyValuePair<string, string>> headers)
        : this(
            pattern, Template(topic, pattern, "topic", isCapture: false), Template(key, pattern, "key"),
            [.. headers.Select(header => KeyValuePair.Create(header.Key, Template(header.Value, pattern, $"header '{header.Key}'")))])
    {
    }

    /// <summary>A route whose messages go to no Kafka topic.</summary>
    public static Route Dropping(TopicPattern pattern, string name) => new(pattern, topic: (RouteTemplate?)null, null, []) { Name = name };

    /// <summary>What counters and logs call it: the pattern, unless it has a name.</summary>
    public string Name { get; init; }

    /// <summary>MQTT topics that the route takes.</summary>
    public TopicPattern Pattern { get; }

    /// <summary>Kafka topic that their messages go to; null if it depends on captures, or they go nowhere.</summary>
    public string? Topic { get; }

    /// <summary>Whether the messages go to no Kafka topic.</summary>
    public bool IsDropped => _topic is null;

    /// <summary>Whether the Kafka topic depends on captures.</summary>
    public bool HasTopicOfCaptures => _topic is { IsConstant: false };

    /// <summary>Where in the payload the key stands; null if it comes from the topic or the client. What isn't there, does.</summary>
    public PayloadPath? KeyPath { get; init; }

    /// <summary>Where in the payload the time stands; null for the time of arrival.</summary>
    public PayloadTime? Timestamp { get; init; }

    /// <summary>Which messages go on; null for all.</summary>
    public MessageFilter? Filter { get; init; }

    /// <summary>Whether user properties of MQTT 5 become headers.</summary>
    public bool UserProperties { get; init; } = true;

    /// <summary>Names of the headers that the route makes.</summary>
    public IEnumerable<string> HeaderNames => _headers.Select(header => header.Key);

    /// <summary>The Kafka topic of messages of a topic that the pattern took; null if they go nowhere.</summary>
    public string? TopicOf(ReadOnlySpan<byte> mqttTopic, in TopicCaptures captured) =>
        Topic ?? (_topic is null ? null : KafkaTopicName.Sanitize(_topic.Render(mqttTopic, captured)));

    /// <summary>The key of messages of a topic that the pattern took; null for the client's id.</summary>
    public byte[]? Key(ReadOnlySpan<byte> mqttTopic, in TopicCaptures captured) => _key?.Render(mqttTopic, captured);

    /// <summary>The headers of messages of a topic that the pattern took.</summary>
    public EncodedHeaders Headers(ReadOnlySpan<byte> mqttTopic, in TopicCaptures captured, string edge)
    {
        var headers = new List<KeyValuePair<string, byte[]?>>(_headers.Length + 2) { new(TopicHeader, mqttTopic.ToArray()) };
        foreach ((string name, RouteTemplate value) in _headers)
        {
            headers.Add(new(name, value.Render(mqttTopic, captured)));
        }
        headers.Add(new(EdgeHeader, Encoding.UTF8.GetBytes(edge)));
        return new EncodedHeaders(headers);
    }

    private static RouteTemplate Template(string text, TopicPattern pattern, string use, bool isCapture = true)
    {
        try
        {
            return RouteTemplate.Parse(isCapture ? $"{{{text}}}" : text, pattern);
        }
        catch (FormatException e)
        {
            throw new FormatException($"the {use} of the route '{pattern.Text}': {e.Message}", e);
        }
    }
}
