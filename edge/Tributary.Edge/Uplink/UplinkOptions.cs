using Tributary.Contracts.Records;
using Tributary.Edge.Uplink.Security;

namespace Tributary.Edge.Uplink;

/// <summary>What to do when something that exactly once rests on was replaced.</summary>
internal enum OnReplaced
{
    /// <summary>Stop and say so, until the setting is changed.</summary>
    Stop,

    /// <summary>Take a new producer id and send what is not acknowledged yet to what is there now.</summary>
    Follow,
}

/// <summary>What to do when a checkpoint file is damaged.</summary>
internal enum OnDamaged
{
    /// <summary>Stop and say so, until the setting is changed or the file is restored.</summary>
    Stop,

    /// <summary>Take a new producer id and send everything again that is held: nothing is lost, some may come twice.</summary>
    Resend,
}

/// <summary>Settings of the uplink.</summary>
internal sealed record UplinkOptions
{
    /// <summary>Requests in flight for one target; Kafka remembers the last five batches of a producer.</summary>
    public const int MaxRoundsInFlight = 5;

    /// <summary>Cloud partitions of a topic beyond which the uplink stops: each takes memory here.</summary>
    public const int MaxTargets = 10_000;

    /// <summary>Refused records above the acknowledged offset beyond which the uplink stops.</summary>
    public const int MaxRefusedHeld = 65_536;

    /// <summary>Bytes of acknowledged records after which the checkpoint is saved at <see cref="BusyCheckpointInterval"/>: space is given back soon.</summary>
    public const long CheckpointBytes = 1 << 20;

    /// <summary>Time between two saves of the checkpoint while much is acknowledged.</summary>
    public static readonly TimeSpan BusyCheckpointInterval = TimeSpan.FromSeconds(1);

    /// <summary>Least cap: less could not carry a round in the time that a request has.</summary>
    public const long LeastBytesPerSecond = 1_000;

    /// <summary>Greatest cap.</summary>
    public const long MostBytesPerSecond = 1L << 40;

    private static readonly TimeSpan LeastTimeout = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan MostTimeout = TimeSpan.FromHours(1);

    /// <summary>The cloud's Kafka endpoint: host name or address.</summary>
    public required string CloudHost { get; init; }

    /// <summary>Its port.</summary>
    public required int CloudPort { get; init; }

    /// <summary>Client id in the requests: the edge's name.</summary>
    public string ClientId { get; init; } = "tributary-edge";

    /// <summary>How connections are encrypted; null: not at all.</summary>
    public UplinkTlsOptions? Tls { get; init; }

    /// <summary>How the agent says who it is, besides a certificate; null: not at all.</summary>
    public UplinkSaslOptions? Sasl { get; init; }

    /// <summary>Codec of the batches sent.</summary>
    public CompressionCodec Codec { get; init; } = CompressionCodec.Zstd;

    /// <summary>Level of the codec, 0 for its default.</summary>
    public int CompressionLevel { get; init; }

    /// <summary>Most bytes of a batch before compression (one record may exceed it).</summary>
    public int MaxBatchBytes { get; init; } = 1_000_000;

    /// <summary>Most bytes of local log read for one round.</summary>
    public int MaxRoundBytes { get; init; } = 4 << 20;

    /// <summary>Most bytes of produce requests sent each second, by time of the day.</summary>
    public CapSchedule Cap { get; init; } = CapSchedule.Always(null);

    /// <summary>Bytes read from the local log at once.</summary>
    public int ReadBytes { get; init; } = 1 << 20;

    /// <summary>While a round is in flight, the next one waits for its answer, for this many records, or for as many as fill it.</summary>
    public int PipelineRecords { get; init; } = 512;

    /// <summary>Largest response frame that is accepted, bytes.</summary>
    public int MaxResponseBytes { get; init; } = 16 << 20;

    /// <summary>Time for a connection to be made.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Time for one request to be answered; also what the cloud is given to commit a batch.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time without an acknowledgement, while batches are in flight, after which the connection is given up.</summary>
    public TimeSpan ProgressTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Time after a lost link (or the start) in which a request of before may still be carried out. A new numbering of records never
    /// begins within it.
    /// </summary>
    public TimeSpan QuietPeriod { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Bound of the first wait after a failure.</summary>
    public TimeSpan FirstBackoff { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Greatest bound of a wait after a failure.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Time without failure after which waits begin small again.</summary>
    public TimeSpan StablePeriod { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Time between two saves of the checkpoint while nothing but the acknowledged offset changes, and that by less than
    /// <see cref="CheckpointBytes"/>.
    /// </summary>
    public TimeSpan CheckpointInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time between two looks at the topic's partition count.</summary>
    public TimeSpan MetadataRefresh { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>When the topic was deleted and made again.</summary>
    public OnReplaced OnTopicRecreated { get; init; } = OnReplaced.Stop;

    /// <summary>When another cluster answers.</summary>
    public OnReplaced OnClusterReplaced { get; init; } = OnReplaced.Stop;

    /// <summary>When a checkpoint file is damaged.</summary>
    public OnDamaged OnCheckpointDamaged { get; init; } = OnDamaged.Stop;

    /// <summary>
    /// How long records whose time is not known wait for it while the cloud is there. Then they are sent with what the clock said, and say so.
    /// </summary>
    public TimeSpan ClockWait { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Checks that the settings make sense.</summary>
    /// <exception cref="ArgumentException">One does not; the message names it.</exception>
    public UplinkOptions Validate()
    {
        Settings.Check(CloudHost.Length > 0, "cloud", "must name a host");
        Settings.Check(CloudPort is > 0 and <= 65535, "cloud", "must name a port from 1 to 65535");
        Settings.Check(ClientId.Length is > 0 and <= 255, "id", "must have 1 to 255 characters");
        (int least, int most) = Codec == CompressionCodec.None ? (0, 0) : Compression.Levels(Codec);
        Settings.Range("uplink:compressionLevel", CompressionLevel, least, most);
        Settings.Range("uplink:maxBatchBytes", MaxBatchBytes, 1 << 10, 64 << 20);
        Settings.Range("uplink:maxRoundBytes", MaxRoundBytes, MaxBatchBytes, 256 << 20);
        Settings.Range("uplink:readBytes", ReadBytes, 4 << 10, 64 << 20);
        Settings.Range("uplink:pipelineRecords", PipelineRecords, 1, int.MaxValue);
        Settings.Range("uplink:maxResponseBytes", MaxResponseBytes, 4 << 10, 256 << 20);
        Settings.Range("uplink:connectTimeout", ConnectTimeout, LeastTimeout, MostTimeout);
        Settings.Range("uplink:requestTimeout", RequestTimeout, LeastTimeout, MostTimeout);
        Settings.Range("uplink:progressTimeout", ProgressTimeout, LeastTimeout, MostTimeout);
        Settings.Range("uplink:quietPeriod", QuietPeriod, TimeSpan.Zero, MostTimeout);
        Settings.Range("uplink:maxBackoff", MaxBackoff, TimeSpan.FromMilliseconds(1), MostTimeout);
        Settings.Range("uplink:firstBackoff", FirstBackoff, TimeSpan.FromMilliseconds(1), MaxBackoff);
        Settings.Range("clock:wait", ClockWait, TimeSpan.Zero, TimeSpan.FromDays(30));
        Settings.Range("uplink:stablePeriod", StablePeriod, TimeSpan.Zero, MostTimeout);
        Settings.Range("uplink:checkpointInterval", CheckpointInterval, TimeSpan.Zero, MostTimeout);
        Settings.Range("uplink:metadataRefresh", MetadataRefresh, TimeSpan.FromMilliseconds(1), TimeSpan.FromDays(1));
        return this;
    }
}
