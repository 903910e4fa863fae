using System.Text.Json;
using System.Text.Json.Serialization;

namespace Tributary.FirmwareSim;

/// <summary>
/// What all devices did, printed at the end as one line of JSON.
/// <para>
/// At QoS 1: readings = acknowledged + refused + dropped + pending. At QoS 0: readings = sent + dropped.
/// One thread at a time.
/// </para>
/// </summary>
internal sealed class Totals
{
    /// <summary>Simulated devices.</summary>
    public int Devices { get; init; }

    /// <summary>Readings that sensors gave.</summary>
    public long Readings { get; set; }

    /// <summary>Readings that were due while the sensor did not answer.</summary>
    public long Silent { get; set; }

    /// <summary>PUBLISH packets sent the first time.</summary>
    public long Sent { get; set; }

    /// <summary>PUBLISH packets sent again after a lost connection.</summary>
    public long Retransmitted { get; set; }

    /// <summary>Messages that the broker acknowledged (QoS 1).</summary>
    public long Acknowledged { get; set; }

    /// <summary>Messages that the broker refused by a reason code (QoS 1, MQTT 5).</summary>
    public long Refused { get; set; }

    /// <summary>Messages given up: the oldest of a full outbox, or QoS 0 without a connection.</summary>
    public long Dropped { get; set; }

    /// <summary>Messages at the end that were not acknowledged.</summary>
    public long Pending { get; set; }

    /// <summary>Connections made.</summary>
    public long Connects { get; set; }

    /// <summary>Tries to connect that failed.</summary>
    public long Failures { get; set; }

    /// <summary>Connections lost.</summary>
    public long Lost { get; set; }

    /// <summary>How long the run took, seconds.</summary>
    public double Seconds { get; set; }

    /// <summary>One line of JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, TotalsJson.Default.Totals);
}

/// <summary>JSON of <see cref="Totals"/>.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Totals))]
internal sealed partial class TotalsJson : JsonSerializerContext;
