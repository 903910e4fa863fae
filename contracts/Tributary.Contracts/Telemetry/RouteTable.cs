using System.Text;
using Tributary.Contracts.Records;

namespace Tributary.Contracts.Telemetry;

/// <summary>
/// Routes in the order in which they are asked; the first one that takes a topic has it. What none takes goes to
/// <see cref="UnroutedTopic"/>, so nothing is dropped for want of a route. Immutable.
/// </summary>
public sealed class RouteTable(IReadOnlyList<Route> routes)
{
    /// <summary>Kafka topic of messages that no route takes; their key is the client's id.</summary>
    public const string UnroutedTopic = "unrouted";

    /// <summary>Kafka topic of the default route.</summary>
    public const string TelemetryTopic = "telemetry";

    /// <summary>Most routes of a table.</summary>
    public const int MaxRoutes = 256;

    /// <summary><c>devices/{device}/{metric...}</c> → <c>telemetry</c>, key = device, header <c>metric</c>.</summary>
    public static readonly RouteTable Default = new(
    [
        new Route(TopicPattern.Parse("devices/{device}/{metric...}"), TelemetryTopic, "device",
            new KeyValuePair<string, string>("metric", "metric")),
    ]);

    private readonly Route[] _routes = routes.Count <= MaxRoutes
        ? [.. routes]
        : throw new FormatException($"there are {routes.Count} routes; at most {MaxRoutes} are possible");

    /// <summary>The Kafka topics that messages can go to.</summary>
    public IReadOnlySet<string> Topics => _routes.Select(route => route.Topic).Append(UnroutedTopic).ToHashSet(StringComparer.Ordinal);

    /// <summary>Where messages of an MQTT topic (UTF-8) go.</summary>
    /// <param name="mqttTopic">The topic as the device sent it.</param>
    /// <param name="edge">Name of this agent.</param>
    public RoutedTopic Resolve(ReadOnlySpan<byte> mqttTopic, string edge)
    {
        foreach (Route route in _routes)
        {
            if (route.Pattern.TryMatch(mqttTopic, out TopicCaptures captured))
            {
                return new RoutedTopic(route.Topic, route.Key(mqttTopic, captured).ToArray(), route.Headers(mqttTopic, captured, edge));
            }
        }
        return new RoutedTopic(UnroutedTopic, null, new EncodedHeaders(
        [
            new(Route.TopicHeader, mqttTopic.ToArray()),
            new(Route.EdgeHeader, Encoding.UTF8.GetBytes(edge)),
        ]));
    }
}

/// <summary>Where the messages of one MQTT topic go.</summary>
/// <param name="Topic">Kafka topic.</param>
/// <param name="Key">Key of the records; null: the id of the client that publishes.</param>
/// <param name="Headers">Headers of the records.</param>
public sealed record RoutedTopic(string Topic, byte[]? Key, EncodedHeaders Headers);
