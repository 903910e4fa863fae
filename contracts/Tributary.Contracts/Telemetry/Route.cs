using System.Text;
using Tributary.Contracts.Records;

namespace Tributary.Contracts.Telemetry;

/// <summary>
/// Maps MQTT topics to a Kafka topic: key and headers come from the captures of the pattern. Immutable.
/// Headers stand in this order: <c>mqtt.topic</c>, those of the route, <c>edge</c>.
/// </summary>
public sealed class Route
{
    /// <summary>Header with the MQTT topic as the device sent it.</summary>
    public const string TopicHeader = "mqtt.topic";

    /// <summary>Header with the name of the edge agent.</summary>
    public const string EdgeHeader = "edge";

    private readonly int _key;
    private readonly int[] _headerCaptures;
    private readonly string[] _headerNames;

    /// <param name="pattern">MQTT topics that the route takes.</param>
    /// <param name="topic">Kafka topic that their messages go to.</param>
    /// <param name="key">Capture that becomes the record's key.</param>
    /// <param name="headers">Names of headers and the captures that become their values.</param>
    /// <exception cref="FormatException">The pattern has no such capture, or the Kafka topic no valid name.</exception>
    public Route(TopicPattern pattern, string topic, string key, params IReadOnlyList<KeyValuePair<string, string>> headers)
    {
        KafkaTopicName.Check(topic);
        Pattern = pattern;
        Topic = topic;
        _key = Find(key, "key");
        _headerNames = [.. headers.Select(header => header.Key)];
        _headerCaptures = [.. headers.Select(header => Find(header.Value, $"header '{header.Key}'"))];
    }

    /// <summary>MQTT topics that the route takes.</summary>
    public TopicPattern Pattern { get; }

    /// <summary>Kafka topic that their messages go to.</summary>
    public string Topic { get; }

    /// <summary>The key of messages of a topic that the pattern took.</summary>
    public ReadOnlySpan<byte> Key(ReadOnlySpan<byte> mqttTopic, in TopicCaptures captured) => mqttTopic[captured[_key]];

    /// <summary>The headers of messages of a topic that the pattern took.</summary>
    public EncodedHeaders Headers(ReadOnlySpan<byte> mqttTopic, in TopicCaptures captured, string edge)
    {
        var headers = new List<KeyValuePair<string, byte[]?>>(_headerNames.Length + 2) { new(TopicHeader, mqttTopic.ToArray()) };
        for (int i = 0; i < _headerNames.Length; i++)
        {
            headers.Add(new(_headerNames[i], mqttTopic[captured[_headerCaptures[i]]].ToArray()));
        }
        headers.Add(new(EdgeHeader, Encoding.UTF8.GetBytes(edge)));
        return new EncodedHeaders(headers);
    }

    private int Find(string capture, string use) => Pattern.IndexOf(capture) is >= 0 and int index
        ? index
        : throw new FormatException(
            $"the {use} of the route '{Pattern.Text}' asks for a capture '{capture}' that the pattern does not have");
}
