using Tributary.Contracts.Telemetry;

namespace Tributary.Edge.Routes;

/// <summary>
/// Routes of conventions that many devices follow, as ROUTES.md lists them. Key is the device; commands, which go to devices and not
/// from them, are dropped from the log, and delivered here as ever.
/// </summary>
internal static class RoutePresets
{
    private const int MaxBaseLength = 256;

    private static readonly PayloadTime SparkplugTime = new(PayloadPath.Parse(""), TimeFormat.SparkplugB);
    private static readonly PayloadTime SenMlTime = new(PayloadPath.Parse(""), TimeFormat.SenMl);

    /// <summary>
    /// Topics of https://www.zigbee2mqtt.io/guide/usage/mqtt_topics_and_messages.html; friendly names may have slashes. With its extension
    /// for Home Assistant it repeats what a button does at <c>…/action</c>.
    /// </summary>
    private static readonly Row[] Zigbee2Mqtt =
    [
        Row.Command("{base}bridge/request/{request...}"),
        new("{base}bridge/{metric...}", "bridge", ("metric", "{metric}")),
        Row.Command("{base}{device...}/set"),
        Row.Command("{base}{device...}/set/{attribute}"),
        Row.Command("{base}{device...}/get"),
        Row.Command("{base}{device...}/get/{attribute}"),
        new("{base}{device...}/availability", "{device}", ("metric", "availability")),
        new("{base}{device...}/action", "{device}", ("metric", "action")),
        new("{base}{device...}", "{device}", ("metric", "state")),
    ];

    /// <summary>
    /// Topics of https://tasmota.github.io/docs/MQTT/ with the FullTopic that is the default, or with the prefix behind the topic. Times in
    /// payloads are local ones, without an offset unless SetOption52 is set: the arrival says more.
    /// </summary>
    private static readonly Row[] Tasmota =
    [
        Row.Command("{base}cmnd/{device...}/{command}"),
        new("{base}tele/{device...}/{metric}", "{device}", ("metric", "{metric}"), ("prefix", "tele")),
        new("{base}stat/{device...}/{metric}", "{device}", ("metric", "{metric}"), ("prefix", "stat")),
        Row.Command("{base}{device}/cmnd/{command}"),
        new("{base}{device}/tele/{metric}", "{device}", ("metric", "{metric}"), ("prefix", "tele")),
        new("{base}{device}/stat/{metric}", "{device}", ("metric", "{metric}"), ("prefix", "stat")),
    ];

    /// <summary>Topics of https://homieiot.github.io, version 5. Broadcasts have any number of levels.</summary>
    private static readonly Row[] Homie5 =
    [
        new("{base}5/$broadcast/{subtopic...}", "$broadcast", ("attribute", "{subtopic}")),
        Row.Command("{base}5/{device}/{node}/{property}/set"),
        new("{base}5/{device}/$log/{level}", "{device}", ("attribute", "$log/{level}")),
        new("{base}5/{device}/$alert/{alert}", "{device}", ("attribute", "$alert/{alert}")),
        new("{base}5/{device}/{node}/{property}", "{device}", ("node", "{node}"), ("property", "{property}")),
        new("{base}5/{device}/{node}/{property}/{attribute}", "{device}", ("node", "{node}"), ("property", "{property}"), ("attribute", "{attribute}")),
        new("{base}5/{device}/{attribute...}", "{device}", ("attribute", "{attribute}")),
    ];

    /// <summary>
    /// Topics of Sparkplug 3.0 (https://sparkplug.eclipse.org), and the STATE of 2.2. NDEATH and the STATE of a host that has gone are wills:
    /// their payload was made when the node or host connected, and a host that comes says that time too, so theirs is that of arrival.
    /// </summary>
    private static readonly Row[] SparkplugB =
    [
        Row.Command("{base}{group}/NCMD/{node}"),
        Row.Command("{base}{group}/DCMD/{node}/{device}"),
        new("{base}STATE/{host}", "{host}", ("type", "STATE")),
        new("STATE/{host}", "{host}", ("type", "STATE")),
        new("{base}{group}/NDEATH/{node}", "{group}/{node}", ("group", "{group}"), ("type", "NDEATH"), ("node", "{node}")),
        new("{base}{group}/{type}/{node}", "{group}/{node}", ("group", "{group}"), ("type", "{type}"), ("node", "{node}"))
        {
            Timestamp = SparkplugTime,
        },
        new(
            "{base}{group}/{type}/{node}/{device}", "{group}/{node}/{device}", ("group", "{group}"), ("type", "{type}"), ("node", "{node}"),
            ("device", "{device}"))
        {
            Timestamp = SparkplugTime,
        },
    ];

    /// <summary>RFC 8428 says nothing of topics. The base name is the device; without one the client is.</summary>
    private static readonly Row[] SenMl =
    [
        new("{base}{channel...}", null, ("channel", "{channel}")) { KeyPath = SenMlPack.BaseName, Timestamp = SenMlTime },
    ];

    private static readonly Dictionary<string, (string Base, Row[] Rows)> All = new()
    {
        ["zigbee2mqtt"] = ("zigbee2mqtt", Zigbee2Mqtt),
        ["tasmota"] = ("", Tasmota),
        ["homie5"] = ("homie", Homie5),
        ["sparkplug_b"] = ("spBv1.0", SparkplugB),
        ["senml"] = ("senml", SenMl),
    };

    /// <summary>Names of the presets.</summary>
    public static IReadOnlyCollection<string> Names => All.Keys;

    /// <summary>What is wrong with the levels that topics begin with, null if nothing is.</summary>
    public static string? FaultOfBase(string text) =>
        text.Length is 0 or > MaxBaseLength ? $"must have 1 to {MaxBaseLength} characters"
        : text.AsSpan().IndexOfAny("+#{}\0") >= 0 ? "is the first levels of topics: no wildcards and no captures"
        : text[0] == '/' || text[^1] == '/' ? "must have no '/' at its beginning and end"
        : null;

    /// <summary>The routes of a preset.</summary>
    /// <param name="preset">One of <see cref="Names"/>.</param>
    /// <param name="name">What counters call them; commands have <c>.commands</c> behind it.</param>
    /// <param name="base">The levels that topics begin with, null for those of the convention.</param>
    /// <param name="topic">Kafka topic.</param>
    /// <param name="userProperties">Whether user properties become headers.</param>
    public static IReadOnlyList<Route> Expand(string preset, string name, string? @base, string topic, bool userProperties)
    {
        (string otherwise, Row[] rows) = All[preset];
        string levels = @base ?? otherwise;
        // What stands beside the base belongs to the convention's own, and to one preset of a file only.
        return
        [
            .. rows.Where(row => row.HasBase || levels == otherwise)
                .Select(row => row.ToRoute(levels.Length == 0 ? "" : levels + "/", name, topic, userProperties)),
        ];
    }

    /// <summary>One route of a preset.</summary>
    /// <param name="Match">The pattern, mostly with <c>{base}</c> before it.</param>
    /// <param name="Key">Template of the key; null for the client.</param>
    /// <param name="Headers">Names and templates.</param>
    private sealed record Row(string Match, string? Key, params (string Name, string Value)[] Headers)
    {
        private const string BaseMark = "{base}";

        public bool HasBase => Match.StartsWith(BaseMark, StringComparison.Ordinal);

        private bool IsCommand { get; init; }

        public PayloadPath? KeyPath { get; init; }

        public PayloadTime? Timestamp { get; init; }

        public static Row Command(string match) => new(match, null) { IsCommand = true };

        public Route ToRoute(string levels, string name, string topic, bool userProperties)
        {
            TopicPattern pattern = TopicPattern.Parse(Match.Replace(BaseMark, levels, StringComparison.Ordinal));
            if (IsCommand)
            {
                return Route.Dropping(pattern, name + ".commands");
            }
            return new Route(
                pattern, RouteTemplate.Parse(topic, pattern), Key is null ? null : RouteTemplate.Parse(Key, pattern),
                [.. Headers.Select(header => KeyValuePair.Create(header.Name, RouteTemplate.Parse(header.Value, pattern)))])
            {
                Name = name,
                KeyPath = KeyPath,
                Timestamp = Timestamp,
                UserProperties = userProperties,
            };
        }
    }
}
