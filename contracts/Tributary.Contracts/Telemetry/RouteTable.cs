using System.Text;
using Tributary.Contracts.Records;

namespace Tributary.Contracts.Telemetry;

/// <summary>
/// Routes in the order in which they are asked; the first one that takes a topic has it. What none takes goes to
/// <see cref="UnroutedTopic"/>, so nothing is dropped for want of a route, unless that is wanted. Immutable.
/// </summary>
/// <param name="routes">The routes.</param>
/// <param name="dropsUnrouted">Whether what no route takes goes nowhere.</param>
public sealed class RouteTable(IReadOnlyList<Route> routes, bool dropsUnrouted = false)
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

    /// <summary>The routes.</summary>
    public IReadOnlyList<Route> Routes => _routes;

    /// <summary>Whether what no route takes goes nowhere.</summary>
    public bool DropsUnrouted => dropsUnrouted;

    /// <summary>The Kafka topics that messages can go to, apart from those that captures make.</summary>
    public IReadOnlySet<string> Topics
    {
        get
        {
            IEnumerable<string> topics = _routes.Where(route => route.Topic is not null).Select(route => route.Topic!);
            bool hasUnrouted = !dropsUnrouted || Array.Exists(_routes, route => route.HasTopicOfCaptures);
            return (hasUnrouted ? topics.Append(UnroutedTopic) : topics).ToHashSet(StringComparer.Ordinal);
        }
    }

    /// <summary>Where messages of an MQTT topic (UTF-8) go.</summary>
    /// <param name="mqttTopic">The topic as the device sent it.</param>
    /// <param name="edge">Name of this agent.</param>
    public RoutedTopic Resolve(ReadOnlySpan<byte> mqttTopic, string edge)
    {
        foreach (Route route in _routes)
        {
            if (route.Pattern.TryMatch(mqttTopic, out TopicCaptures captured))
            {
                return new RoutedTopic(
                    route.TopicOf(mqttTopic, captured), route.Key(mqttTopic, captured), route.Headers(mqttTopic, captured, edge), route);
            }
        }
        return dropsUnrouted ? new RoutedTopic(null, null, EncodedHeaders.None, null) : Unrouted(mqttTopic, edge);
    }

    /// <summary>Where messages go that no route takes.</summary>
    public static RoutedTopic Unrouted(ReadOnlySpan<byte> mqttTopic, string edge) => new(
        UnroutedTopic, null,
        new EncodedHeaders([new(Route.TopicHeader, mqttTopic.ToArray()), new(Route.EdgeHeader, Encoding.UTF8.GetBytes(edge))]), null);
}

/// <summary>Where the messages of one MQTT topic go.</summary>
/// <param name="Topic">Kafka topic; null: nowhere.</param>
/// <param name="Key">Key of the records; null: the id of the client that publishes.</param>
/// <param name="Headers">Headers of the records.</param>
/// <param name="Route">The route that took the topic, null if none did.</param>
public sealed record RoutedTopic(string? Topic, byte[]? Key, EncodedHeaders Headers, Route? Route);
