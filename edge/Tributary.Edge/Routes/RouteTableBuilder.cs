using Tributary.Contracts.Telemetry;
using Tributary.Edge.Clock;
using Tributary.Edge.Mqtt.Sessions;

namespace Tributary.Edge.Routes;

/// <summary>Makes routes of the entries of a file, and checks what they say together.</summary>
internal sealed class RouteTableBuilder
{
    private const string ClientKey = "{client}";
    private static readonly string[] NotWithDrop = ["topic", "key", "headers", "timestamp", "sample", "deadband", "userProperties"];
    private static readonly string[] NotWithPreset = ["match", "key", "headers", "timestamp", "sample", "deadband", "drop"];
    private static readonly string[] ReservedHeaders =
        [Route.TopicHeader, Route.EdgeHeader, ReceiptHeader.Name, RecordTime.MarkHeader, RecordTime.BoundHeader];
    private readonly List<Route> _routes = [];
    private readonly HashSet<string> _names = new(StringComparer.Ordinal) { RouteTable.UnroutedTopic };
    private readonly Dictionary<string, string> _patterns = new(StringComparer.Ordinal);

    /// <summary>The routes of all entries, in their order.</summary>
    public IReadOnlyList<Route> Routes => _routes;

    /// <summary>Adds what an entry says.</summary>
    /// <exception cref="RouteFault">It can't be.</exception>
    public void Add(RouteEntry entry)
    {
        IReadOnlyList<Route> routes = entry.Preset is null ? [Build(entry)] : Expand(entry);
        string name = entry.Name ?? entry.Preset ?? entry.Match!;
        if (!_names.Add(name) && (entry.Name ?? entry.Preset) is not null)
        {
            throw Fault(
                entry, entry.Name is null ? "preset" : "name",
                name == RouteTable.UnroutedTopic
                    ? $"'name' can't be '{name}', which stands for what no route takes" : $"there are two routes of the name '{name}'; give 'name'");
        }
        foreach (Route route in routes)
        {
            if (!_patterns.TryAdd(route.Pattern.Text, name))
            {
                throw Fault(
                    entry, entry.Preset is null ? "match" : "preset",
                    $"'{route.Pattern.Text}' is also matched by the route '{_patterns[route.Pattern.Text]}' before it, which takes all the messages");
            }
            if (_routes.Count == RouteTable.MaxRoutes)
            {
                throw new RouteFault(entry.At, $"there are more than {RouteTable.MaxRoutes} routes");
            }
            _routes.Add(route);
        }
    }

    private static Route Build(RouteEntry entry)
    {
        if (entry.Match is null)
        {
            throw new RouteFault(entry.At, "a route needs 'match' or 'preset'");
        }
        if (entry.Members.TryGetValue("base", out long at))
        {
            throw new RouteFault(at, "'base' belongs to a 'preset'");
        }
        TopicPattern pattern = Try(entry, "match", () => TopicPattern.Parse(entry.Match));
        if (entry.Drop)
        {
            Reject(entry, NotWithDrop, "'drop': the messages go nowhere");
            return Route.Dropping(pattern, entry.Name ?? entry.Match);
        }
        if (entry.Topic is not { } topic)
        {
            throw new RouteFault(entry.At, "a route needs 'topic', or 'drop'");
        }
        return Try(entry, "topic", () => new Route(pattern, RouteTemplate.Parse(topic, pattern), KeyOf(entry, pattern), HeadersOf(entry, pattern))
        {
            Name = entry.Name ?? entry.Match,
            KeyPath = entry.KeyPath,
            Timestamp = entry.Timestamp,
            Filter = entry.Filter,
            UserProperties = entry.UserProperties,
        });
    }

    private static RouteTemplate? KeyOf(RouteEntry entry, TopicPattern pattern)
    {
        if (entry.Key is { } key && !(key == ClientKey && pattern.IndexOf("client") < 0))
        {
            return Try(entry, "key", () => RouteTemplate.Parse(key, pattern));
        }
        return entry.Key is null && pattern.IndexOf(Route.DeviceCapture) >= 0 ? RouteTemplate.Parse($"{{{Route.DeviceCapture}}}", pattern) : null;
    }

    private static List<KeyValuePair<string, RouteTemplate>> HeadersOf(RouteEntry entry, TopicPattern pattern)
    {
        var headers = new List<KeyValuePair<string, RouteTemplate>>();
        foreach ((string name, string value, long at) in entry.Headers)
        {
            if (ReservedHeaders.Contains(name))
            {
                throw new RouteFault(at, $"'headers': '{name}' is a header of the agent's own");
            }
            try
            {
                headers.Add(new(name, RouteTemplate.Parse(value, pattern)));
            }
            catch (FormatException e)
            {
                throw new RouteFault(at, $"'headers', '{name}': {e.Message}");
            }
        }
        return headers;
    }

    private static IReadOnlyList<Route> Expand(RouteEntry entry)
    {
        Reject(entry, NotWithPreset, "'preset', which brings its own; write its routes out by hand instead");
        if (!RoutePresets.Names.Contains(entry.Preset!))
        {
            throw Fault(entry, "preset", $"'preset' is '{entry.Preset}'; there are {string.Join(", ", RoutePresets.Names)}");
        }
        if (entry.Base is { } text && RoutePresets.FaultOfBase(text) is { } fault)
        {
            throw Fault(entry, "base", $"'base' {fault}");
        }
        string topic = entry.Topic ?? RouteTable.TelemetryTopic;
        if (KafkaTopicName.Fault(topic) is { } wrong)
        {
            throw Fault(entry, "topic", $"'topic' is '{topic}', which can't be the name of a Kafka topic: {wrong}");
        }
        return RoutePresets.Expand(entry.Preset!, entry.Name ?? entry.Preset!, entry.Base, topic, entry.UserProperties);
    }

    private static void Reject(RouteEntry entry, string[] members, string beside)
    {
        if (members.FirstOrDefault(entry.Members.ContainsKey) is { } member)
        {
            throw Fault(entry, member, $"'{member}' can't stand beside {beside}");
        }
    }

    private static T Try<T>(RouteEntry entry, string member, Func<T> make)
    {
        try
        {
            return make();
        }
        catch (FormatException e) when (e is not RouteFault)
        {
            throw Fault(entry, member, $"'{member}': {e.Message}");
        }
    }

    private static RouteFault Fault(RouteEntry entry, string member, string message) =>
        new(entry.Members.GetValueOrDefault(member, entry.At), message);
}
