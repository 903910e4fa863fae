using System.Net;
using Microsoft.Extensions.Logging;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Clock;
using Tributary.Edge.Ingest;
using Tributary.Edge.Listeners;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Routes;
using Tributary.Edge.Source;
using Tributary.Edge.Uplink;
using Tributary.Edge.Uplink.Security;

namespace Tributary.Edge.Host;

/// <summary>All settings of an agent.</summary>
internal sealed record EdgeOptions
{
    /// <summary>Port of the MQTT listener unless it is set.</summary>
    public const int DefaultMqttPort = 1883;

    /// <summary>Usual port of MQTT over TLS.</summary>
    public const int DefaultMqttsPort = 8883;

    /// <summary>Usual port of MQTT over WebSocket.</summary>
    public const int DefaultWsPort = 8083;

    /// <summary>Usual port of MQTT over WebSocket over TLS.</summary>
    public const int DefaultWssPort = 8084;

    /// <summary>Port of status and metrics unless it is set.</summary>
    public const int DefaultHttpPort = 8081;

    /// <summary>Name of the agent, unique among those that ship to one cloud.</summary>
    public required string Id { get; init; }

    /// <summary>The data directory.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>Where MQTT clients connect, and what they need to.</summary>
    public required ListenerOptions Listeners { get; init; }

    /// <summary>Where status and metrics are served.</summary>
    public required IPEndPoint Http { get; init; }

    /// <summary>The least level that is logged.</summary>
    public required LogLevel LogLevel { get; init; }

    /// <summary>How its lines look.</summary>
    public LogFormat LogFormat { get; init; } = LogFormat.Text;

    /// <summary>The file that says what becomes of messages; null without one.</summary>
    public string? RoutesFile { get; init; }

    /// <summary>What becomes of messages, as of the start.</summary>
    public required RouteTable Routes { get; init; }

    /// <summary>Settings under <c>ingest:</c>.</summary>
    public required IngestOptions Ingest { get; init; }

    /// <summary>Settings under <c>buffer:</c>.</summary>
    public required EdgeBufferOptions Buffer { get; init; }

    /// <summary>Settings under <c>clock:</c>; how long records wait for it is the uplink's.</summary>
    public ClockOptions Clock { get; init; } = new();

    /// <summary>Settings under <c>uplink:</c>.</summary>
    public required UplinkOptions Uplink { get; init; }

    /// <summary>Settings under <c>mqtt:</c>.</summary>
    public required MqttOptions MqttServer { get; init; }

    /// <summary>Settings under <c>source:</c>; null if the agent subscribes nowhere.</summary>
    public SourceOptions? Source { get; init; }

    /// <summary>Reads and checks all settings.</summary>
    /// <exception cref="ArgumentException">One is missing or can't be; the message names it.</exception>
    public static EdgeOptions From(SettingValues values)
    {
        string id = values.Required("id", "--id NAME");
        Settings.Check(id.Length <= 255 && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-'), "id",
            "must have 1 to 255 letters, digits, dots, underscores and hyphens");
        string data = values.Required("data", "--data DIR");
        IngestOptions ingest = Ingesting(values, id);
        EdgeBufferOptions buffer = Buffering(values, ingest.PartitionsPerTopic);
        string? routesFile = values.Text("routes:file");
        RouteTable routes = Routing(routesFile);
        Ingestor.CheckSettings(ingest, routes, buffer);
        SourceOptions? source = SourceSettings.From(values, id);
        return new EdgeOptions
        {
            Id = id,
            DataDirectory = data,
            Listeners = Listening(values, source is not null),
            Http = ListeningToHttp(values),
            LogLevel = values.Word("log:level", LogLevel.Information),
            LogFormat = values.Word("log:format", LogFormat.Text),
            RoutesFile = routesFile,
            Routes = routes,
            Ingest = ingest,
            Buffer = buffer,
            Clock = Timing(values),
            Uplink = Uplinking(values, id),
            MqttServer = Serving(values),
            Source = source,
        };
    }

    private static RouteTable Routing(string? file)
    {
        try
        {
            return file is null ? RouteTable.Default : Edge.Routes.RoutesFile.Read(file);
        }
        catch (RoutesFileException e)
        {
            throw new ArgumentException(e.Message, e);
        }
    }

    private static ListenerOptions Listening(SettingValues values, bool hasSource)
    {
        IPEndPoint? mqtts = values.ListenIfSet("mqtts", DefaultMqttsPort);
        IPEndPoint? wss = values.ListenIfSet("wss", DefaultWssPort);
        TlsOptions? tls = Encrypting(values, mqtts is not null ? "mqtts" : wss is not null ? "wss" : null);
        var otherwise = new ListenerOptions
        {
            Mqtt = hasSource ? values.ListenIfSet("mqtt", DefaultMqttPort) : values.Listen("mqtt", DefaultMqttPort),
        };
        string origins = values.Text("mqtt:allowedOrigins") ?? "";
        return new ListenerOptions
        {
            Mqtt = otherwise.Mqtt,
            Mqtts = mqtts,
            Ws = values.ListenIfSet("ws", DefaultWsPort),
            Wss = wss,
            Tls = tls,
            UsersFile = values.Text("mqtt:usersFile"),
            AllowAnonymous = values.Flag("mqtt:allowAnonymous", otherwise.AllowAnonymous),
            AllowPlaintext = values.Flag("mqtt:allowPlaintext", otherwise.AllowPlaintext),
            AllowedOrigins = origins.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries),
            FileCheckInterval = values.Duration("mqtt:fileCheckInterval", otherwise.FileCheckInterval),
        }.Validate();
    }

    /// <param name="values">The settings.</param>
    /// <param name="listener">The listener that needs certificates, null if none does.</param>
    private static TlsOptions? Encrypting(SettingValues values, string? listener)
    {
        string? certificate = values.Text("tls:certificateFile");
        string? key = values.Text("tls:keyFile");
        var otherwise = new TlsOptions { CertificateFile = certificate ?? "", KeyFile = key ?? "" };
        otherwise = otherwise with
        {
            ClientCaFile = values.Text("tls:clientCaFile"),
            ClientCertificates = values.Word("tls:clientCertificates", otherwise.ClientCertificates),
            CertificateUser = values.Word("tls:certificateUser", otherwise.CertificateUser),
            HandshakeTimeout = values.Duration("tls:handshakeTimeout", otherwise.HandshakeTimeout),
        };
        if (listener is null)
        {
            return null;
        }
        Settings.Check(certificate is not null && key is not null, listener, "needs a certificate: set tls:certificateFile and tls:keyFile to PEM files");
        return otherwise;
    }

    /// <summary>Where status and metrics are served, whatever the other settings are.</summary>
    /// <exception cref="ArgumentException">It can't be; the message names it.</exception>
    public static IPEndPoint ListeningToHttp(SettingValues values)
    {
        IPEndPoint http = values.Listen("http", DefaultHttpPort);
        Settings.Check(
            values.Flag("http:allowPlaintext", false) || IPAddress.IsLoopback(http.Address), "http",
            $"is {http}: everybody who reaches it could read status, metrics and the records that the cloud refused. "
            + "Leave it at a loopback address, or set http:allowPlaintext to true");
        return http;
    }

    private static IngestOptions Ingesting(SettingValues values, string id)
    {
        var otherwise = new IngestOptions { EdgeId = id };
        return new IngestOptions
        {
            EdgeId = id,
            PartitionsPerTopic = values.Int32("ingest:partitionsPerTopic", otherwise.PartitionsPerTopic),
            MaxBatchBytes = values.Size32("ingest:maxBatchBytes", otherwise.MaxBatchBytes),
            MaxRecordBytes = values.Size32("ingest:maxRecordBytes", otherwise.MaxRecordBytes),
            MaxGatheredBytes = values.Size64("ingest:maxGatheredBytes", otherwise.MaxGatheredBytes),
            TopicCacheBytes = values.Size64("ingest:topicCacheBytes", otherwise.TopicCacheBytes),
            OfflineRetry = values.Duration("ingest:offlineRetry", otherwise.OfflineRetry),
        }.Validate();
    }

    private static EdgeBufferOptions Buffering(SettingValues values, int partitionsPerTopic)
    {
        var otherwise = new EdgeBufferOptions();
        otherwise = otherwise with { MaxDiskBytes = values.Size64("buffer:maxDiskBytes", otherwise.MaxDiskBytes) };
        return new EdgeBufferOptions
        {
            PartitionsPerTopic = partitionsPerTopic,
            MaxDiskBytes = otherwise.MaxDiskBytes,
            MinFreeBytes = values.Size64("buffer:minFreeBytes", otherwise.MinFreeBytes),
            Policy = values.Word("buffer:policy", otherwise.Policy),
            Keep = values.Duration("buffer:keep", otherwise.Keep),
            Topics = Topics(values),
            EventsTopic = values.Text("buffer:eventsTopic") ?? otherwise.EventsTopic,
            SegmentBytes = values.Size32("buffer:segmentBytes", otherwise.SegmentBytes),
            MaxTopics = values.Int32("buffer:maxTopics", otherwise.MaxTopics),
            AllowVolatile = values.Flag("buffer:allowVolatile", otherwise.AllowVolatile),
            DeadLetterBytes = values.Size64("buffer:deadLetterBytes", otherwise.DeadLetterBytes),
            MaxUnflushedBytes = values.Size64("buffer:maxUnflushedBytes", otherwise.MaxUnflushedBytes),
            TailCacheBytes = values.Size64("buffer:tailCacheBytes", otherwise.TailCacheBytes),
            CommitWindow = values.Duration("buffer:commitWindow", otherwise.CommitWindow),
            FlushTogetherFrom = values.Int32("buffer:flushTogetherFrom", otherwise.FlushTogetherFrom),
            SpaceCheckInterval = values.Duration("buffer:spaceCheckInterval", otherwise.SpaceCheckInterval),
        }.Validate();
    }

    /// <summary>Topics with settings of their own, under <c>topics:NAME:</c>.</summary>
    private static Dictionary<string, TopicOptions> Topics(SettingValues values)
    {
        var topics = new Dictionary<string, TopicOptions>(StringComparer.Ordinal);
        foreach (string topic in values.Sections("topics"))
        {
            Settings.Check(KafkaTopicName.IsValid(topic), $"topics:{topic}", "is no name that a Kafka topic can have");
            topics.Add(topic, new TopicOptions(
                values.WordIfSet<FullPolicy>($"topics:{topic}:policy"),
                values.Text($"topics:{topic}:maxBytes") is null ? null : values.Size64($"topics:{topic}:maxBytes", 0),
                values.Text($"topics:{topic}:keep") is null ? null : values.Duration($"topics:{topic}:keep", TimeSpan.Zero),
                values.Text($"topics:{topic}:priority") is null ? null : values.Int32($"topics:{topic}:priority", 0)));
        }
        return topics;
    }

    private static ClockOptions Timing(SettingValues values)
    {
        var otherwise = new ClockOptions();
        return new ClockOptions
        {
            Trust = values.Word("clock:trust", otherwise.Trust),
            CheckInterval = values.Duration("clock:checkInterval", otherwise.CheckInterval),
            MaxDrift = values.Int32("clock:maxDrift", otherwise.MaxDrift),
        }.Validate();
    }

    private static UplinkOptions Uplinking(SettingValues values, string id)
    {
        (string host, int port) = values.Remote("cloud", "--cloud HOST:PORT");
        var otherwise = new UplinkOptions { CloudHost = host, CloudPort = port };
        UplinkTlsOptions? tls = SecuritySettings.Tls(values);
        return new UplinkOptions
        {
            CloudHost = host,
            CloudPort = port,
            ClientId = id,
            Tls = tls,
            Sasl = SecuritySettings.Sasl(values, tls is not null),
            Codec = values.Word("uplink:codec", otherwise.Codec),
            CompressionLevel = values.Int32("uplink:compressionLevel", otherwise.CompressionLevel),
            MaxBatchBytes = values.Size32("uplink:maxBatchBytes", otherwise.MaxBatchBytes),
            Cap = Capping(values),
            MaxRoundBytes = values.Size32("uplink:maxRoundBytes", otherwise.MaxRoundBytes),
            ReadBytes = values.Size32("uplink:readBytes", otherwise.ReadBytes),
            PipelineRecords = values.Int32("uplink:pipelineRecords", otherwise.PipelineRecords),
            MaxResponseBytes = values.Size32("uplink:maxResponseBytes", otherwise.MaxResponseBytes),
            ConnectTimeout = values.Duration("uplink:connectTimeout", otherwise.ConnectTimeout),
            RequestTimeout = values.Duration("uplink:requestTimeout", otherwise.RequestTimeout),
            ProgressTimeout = values.Duration("uplink:progressTimeout", otherwise.ProgressTimeout),
            QuietPeriod = values.Duration("uplink:quietPeriod", otherwise.QuietPeriod),
            FirstBackoff = values.Duration("uplink:firstBackoff", otherwise.FirstBackoff),
            MaxBackoff = values.Duration("uplink:maxBackoff", otherwise.MaxBackoff),
            StablePeriod = values.Duration("uplink:stablePeriod", otherwise.StablePeriod),
            CheckpointInterval = values.Duration("uplink:checkpointInterval", otherwise.CheckpointInterval),
            MetadataRefresh = values.Duration("uplink:metadataRefresh", otherwise.MetadataRefresh),
            ClockWait = values.Duration("clock:wait", otherwise.ClockWait),
            OnTopicRecreated = values.Word("uplink:onTopicRecreated", otherwise.OnTopicRecreated),
            OnClusterReplaced = values.Word("uplink:onClusterReplaced", otherwise.OnClusterReplaced),
            OnCheckpointDamaged = values.Word("uplink:onCheckpointDamaged", otherwise.OnCheckpointDamaged),
        }.Validate();
    }

    /// <summary>The cap on the link: one for all times, and a schedule.</summary>
    private static CapSchedule Capping(SettingValues values)
    {
        long most = values.Size64("uplink:maxBytesPerSecond", 0);
        if (most != 0)
        {
            Settings.Range("uplink:maxBytesPerSecond", most, UplinkOptions.LeastBytesPerSecond, UplinkOptions.MostBytesPerSecond);
        }
        string? name = values.Text("uplink:scheduleZone");
        TimeZoneInfo? zone = TimeZoneInfo.Local;
        Settings.Check(
            name is null || TimeZoneInfo.TryFindSystemTimeZoneById(name, out zone), "uplink:scheduleZone",
            $"is '{name}', which is no time zone that this system knows, such as Europe/Berlin or UTC");
        try
        {
            return CapSchedule.Parse(values.List("uplink:schedule", []), zone!, most == 0 ? null : most);
        }
        catch (FormatException e)
        {
            throw new ArgumentException($"the setting 'uplink:schedule' {e.Message}", e);
        }
    }

    private static MqttOptions Serving(SettingValues values)
    {
        var otherwise = new MqttOptions();
        return new MqttOptions
        {
            MaxConnections = values.Int32("mqtt:maxConnections", otherwise.MaxConnections),
            MaxConnectionsPerAddress = values.Int32("mqtt:maxConnectionsPerAddress", otherwise.MaxConnectionsPerAddress),
            ReadBufferBytes = values.Size32("mqtt:readBufferBytes", otherwise.ReadBufferBytes),
            MaxClientBytes = values.Size64("mqtt:maxClientBytes", otherwise.MaxClientBytes),
            MaxPacketBytes = values.Size32("mqtt:maxPacketBytes", otherwise.MaxPacketBytes),
            MaxInFlight = values.Int32("mqtt:maxInFlight", otherwise.MaxInFlight),
            MaxOutboundInFlight = values.Int32("mqtt:maxOutboundInFlight", otherwise.MaxOutboundInFlight),
            MaxOutboundBytes = values.Size32("mqtt:maxOutboundBytes", otherwise.MaxOutboundBytes),
            MaxDeliveryBytes = values.Size64("mqtt:maxDeliveryBytes", otherwise.MaxDeliveryBytes),
            MaxSubscriptionsPerClient = values.Int32("mqtt:maxSubscriptionsPerClient", otherwise.MaxSubscriptionsPerClient),
            MaxSubscriptionBytes = values.Size64("mqtt:maxSubscriptionBytes", otherwise.MaxSubscriptionBytes),
            MaxSessions = values.Int32("mqtt:maxSessions", otherwise.MaxSessions),
            MaxSessionExpiry = values.Duration("mqtt:maxSessionExpiry", otherwise.MaxSessionExpiry),
            MaxQueuedMessages = values.Int32("mqtt:maxQueuedMessages", otherwise.MaxQueuedMessages),
            MaxQueuedBytes = values.Size64("mqtt:maxQueuedBytes", otherwise.MaxQueuedBytes),
            MaxQueueMemoryBytes = values.Size64("mqtt:maxQueueMemoryBytes", otherwise.MaxQueueMemoryBytes),
            MaxJournalBytes = values.Size64("mqtt:maxJournalBytes", otherwise.MaxJournalBytes),
            SnapshotBytes = values.Size64("mqtt:snapshotBytes", otherwise.SnapshotBytes),
            MaxRetained = values.Int32("mqtt:maxRetained", otherwise.MaxRetained),
            MaxRetainedBytes = values.Size64("mqtt:maxRetainedBytes", otherwise.MaxRetainedBytes),
            MaxOutboundTopicAliases = values.Int32("mqtt:maxOutboundTopicAliases", otherwise.MaxOutboundTopicAliases),
            MaxTopicAliases = values.Int32("mqtt:maxTopicAliases", otherwise.MaxTopicAliases),
            SysInterval = values.Duration("mqtt:sysInterval", otherwise.SysInterval),
            MaxTopicBytes = values.Size32("mqtt:maxTopicBytes", otherwise.MaxTopicBytes),
            MaxTopicLevels = values.Int32("mqtt:maxTopicLevels", otherwise.MaxTopicLevels),
            MaxClientIdBytes = values.Size32("mqtt:maxClientIdBytes", otherwise.MaxClientIdBytes),
            ConnectTimeout = values.Duration("mqtt:connectTimeout", otherwise.ConnectTimeout),
            PacketTimeout = values.Duration("mqtt:packetTimeout", otherwise.PacketTimeout),
            MinPacketBytesPerSecond = values.Int32("mqtt:minPacketBytesPerSecond", otherwise.MinPacketBytesPerSecond),
            IdleTimeout = values.Duration("mqtt:idleTimeout", otherwise.IdleTimeout),
            MaxKeepAlive = values.Duration("mqtt:maxKeepAlive", otherwise.MaxKeepAlive),
            WriteTimeout = values.Duration("mqtt:writeTimeout", otherwise.WriteTimeout),
            ShutdownGrace = values.Duration("mqtt:shutdownGrace", otherwise.ShutdownGrace),
        }.Validate();
    }
}
