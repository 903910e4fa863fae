using System.Buffers.Text;
using System.Text.Json;

namespace Tributary.Contracts.Telemetry;

/// <summary>How a time is written in a payload.</summary>
public enum TimeFormat
{
    /// <summary>Seconds since 1970 UTC, with or without a fraction.</summary>
    Unix,

    /// <summary>Milliseconds since 1970 UTC.</summary>
    UnixMs,

    /// <summary>Microseconds since 1970 UTC.</summary>
    UnixUs,

    /// <summary>Nanoseconds since 1970 UTC.</summary>
    UnixNs,

    /// <summary>ISO 8601, such as <c>2026-05-04T03:02:01.250Z</c>; UTC where no offset is given.</summary>
    Iso8601,

    /// <summary>The base time and time of the first record of a SenML pack in JSON (RFC 8428).</summary>
    SenMl,

    /// <summary>The timestamp of a Sparkplug B payload: field 1 of its protobuf, milliseconds since 1970.</summary>
    SparkplugB,
}

/// <summary>
/// Takes the time of a message from its payload. A time that is not there, can't be read or can't be is none: then the time of arrival
/// counts. Reading allocates nothing and throws nothing. Immutable.
/// </summary>
/// <param name="path">Where it stands; not looked at for SenML and Sparkplug, which have their own place.</param>
/// <param name="format">How it is written.</param>
public sealed class PayloadTime(PayloadPath path, TimeFormat format)
{
    /// <summary>
    /// How far a time may be ahead of its arrival. Kafka's brokers refuse records that are an hour ahead of their clock
    /// (<c>message.timestamp.after.max.ms</c>).
    /// </summary>
    public static readonly TimeSpan MaxAhead = TimeSpan.FromMinutes(30);

    /// <summary>Before this no message was sent: a device's clock that was never set says so. 2000-01-01, Unix milliseconds.</summary>
    public const long Earliest = 946_684_800_000;

    /// <summary>A clock of ours that says an earlier time was not set either, and is no bound. 2025-01-01, Unix milliseconds.</summary>
    private const long Sane = 1_735_689_600_000;

    /// <summary>The bound then. 2100-01-01, Unix milliseconds.</summary>
    private const long Latest = 4_102_444_800_000;

    /// <summary>How it is written.</summary>
    public TimeFormat Format => format;

    /// <summary>Where it stands.</summary>
    public PayloadPath Path => path;

    /// <summary>Whether a format has its place in the payload by itself.</summary>
    public static bool HasOwnPlace(TimeFormat format) => format is TimeFormat.SenMl or TimeFormat.SparkplugB;

    /// <summary>Reads the time.</summary>
    /// <param name="payload">The payload.</param>
    /// <param name="arrival">When it arrived, Unix milliseconds.</param>
    /// <param name="timestamp">Unix milliseconds.</param>
    /// <returns>False if the time of arrival has to do.</returns>
    public bool TryRead(ReadOnlySpan<byte> payload, long arrival, out long timestamp) =>
        TryReadAny(payload, arrival, out timestamp)
        && timestamp >= Earliest && timestamp <= (arrival >= Sane ? arrival + (long)MaxAhead.TotalMilliseconds : Latest);

    private bool TryReadAny(ReadOnlySpan<byte> payload, long arrival, out long timestamp)
    {
        switch (format)
        {
            case TimeFormat.SparkplugB:
                return SparkplugPayload.TryReadTimestamp(payload, out timestamp);
            case TimeFormat.SenMl:
                return SenMlPack.TryReadTimestamp(payload, arrival, out timestamp);
        }
        timestamp = 0;
        if (!path.TryFind(payload, out ReadOnlySpan<byte> value))
        {
            return false;
        }
        return format switch
        {
            TimeFormat.Unix => TryScale(value, 1000, out timestamp),
            TimeFormat.UnixMs => TryScale(value, 1, out timestamp),
            TimeFormat.UnixUs => TryScale(value, 1e-3, out timestamp),
            TimeFormat.UnixNs => TryScale(value, 1e-6, out timestamp),
            _ => TryReadIso(value, out timestamp),
        };
    }

    /// <summary>
    /// What a double loses, in milliseconds: 1.001 s are 1,000.9999… ms, and nanoseconds of today are told apart in steps of 256.
    /// </summary>
    private const double Slack = 5e-4;

    private static bool TryScale(ReadOnlySpan<byte> value, double milliseconds, out long timestamp)
    {
        timestamp = 0;
        return PayloadPath.TryNumberOf(value, out double number) && TryRound(number * milliseconds, out timestamp);
    }

    internal static bool TryRound(double milliseconds, out long timestamp)
    {
        bool fits = Math.Abs(milliseconds) < 1e15;
        timestamp = fits ? (long)Math.Floor(milliseconds + Slack) : 0;
        return fits;
    }

    private static bool TryReadIso(ReadOnlySpan<byte> value, out long timestamp)
    {
        timestamp = 0;
        // What is escaped or not ASCII is no time, and the reader below would throw at some of it.
        if (value is not [(byte)'"', .. { Length: <= 40 } text, (byte)'"'] || text.ContainsAnyExceptInRange((byte)' ', (byte)'~')
            || text.Contains((byte)'\\'))
        {
            return false;
        }
        var reader = new Utf8JsonReader(value);
        if (!reader.Read() || !reader.TryGetDateTime(out DateTime local))
        {
            return false;
        }
        if (local.Kind != DateTimeKind.Unspecified)
        {
            bool isTime = reader.TryGetDateTimeOffset(out DateTimeOffset at);
            timestamp = at.ToUnixTimeMilliseconds();
            return isTime;
        }
        timestamp = new DateTimeOffset(local, TimeSpan.Zero).ToUnixTimeMilliseconds();
        return true;
    }
}

/// <summary>SenML in JSON (RFC 8428), as far as routes need it: the base values of a pack stand in its first record.</summary>
public static class SenMlPack
{
    /// <summary>Where the base name stands, which identifies the device.</summary>
    public static readonly PayloadPath BaseName = PayloadPath.Parse("[0].bn");

    /// <summary>Smaller times are relative to now (RFC 8428, 4.5.3).</summary>
    private const double LeastAbsolute = 1 << 28;

    private static readonly PayloadPath BaseTime = PayloadPath.Parse("[0].bt");
    private static readonly PayloadPath Time = PayloadPath.Parse("[0].t");

    /// <summary>The time of the first record: its base time and time together, relative to the arrival if it is small.</summary>
    internal static bool TryReadTimestamp(ReadOnlySpan<byte> payload, long arrival, out long timestamp)
    {
        timestamp = 0;
        bool hasBase = BaseTime.TryFind(payload, out ReadOnlySpan<byte> baseText);
        bool hasTime = Time.TryFind(payload, out ReadOnlySpan<byte> timeText);
        double baseTime = 0, time = 0;
        if (!(hasBase || hasTime) || (hasBase && !IsNumber(baseText, out baseTime)) || (hasTime && !IsNumber(timeText, out time)))
        {
            return false;
        }
        double seconds = baseTime + time;
        return PayloadTime.TryRound((seconds * 1000) + (seconds < LeastAbsolute ? arrival : 0), out timestamp);
    }

    private static bool IsNumber(ReadOnlySpan<byte> text, out double number) => PayloadPath.TryNumberOf(text, out number) && text[0] != '"';
}

/// <summary>A payload of Sparkplug B, as far as routes need it. The rest of it isn't touched.</summary>
public static class SparkplugPayload
{
    /// <summary>Fields that may stand before the timestamp, which writers of protobuf put first.</summary>
    private const int MaxFields = 64;

    private const int TimestampField = 1;
    private const int MaxVarintBytes = 10;

    /// <summary>Reads field 1 of the protobuf message (uint64, milliseconds since 1970).</summary>
    internal static bool TryReadTimestamp(ReadOnlySpan<byte> payload, out long timestamp)
    {
        timestamp = 0;
        for (int field = 0; field < MaxFields; field++)
        {
            if (!TryReadVarint(ref payload, out ulong tag))
            {
                return false;
            }
            if (tag == TimestampField << 3)
            {
                bool isThere = TryReadVarint(ref payload, out ulong value) && value <= long.MaxValue;
                timestamp = isThere ? (long)value : 0;
                return isThere;
            }
            if (!TrySkip(ref payload, (int)(tag & 7)))
            {
                return false;
            }
        }
        return false;
    }

    private static bool TrySkip(ref ReadOnlySpan<byte> payload, int wireType)
    {
        ulong length = 0;
        bool isKnown = wireType switch
        {
            0 => TryReadVarint(ref payload, out _),
            1 => true,
            2 => TryReadVarint(ref payload, out length),
            5 => true,
            _ => false,
        };
        length = wireType switch { 1 => sizeof(ulong), 5 => sizeof(uint), _ => length };
        if (!isKnown || length > (ulong)payload.Length)
        {
            return false;
        }
        payload = payload[(int)length..];
        return true;
    }

    private static bool TryReadVarint(ref ReadOnlySpan<byte> payload, out ulong value)
    {
        value = 0;
        for (int i = 0; i < Math.Min(payload.Length, MaxVarintBytes); i++)
        {
            value |= (ulong)(payload[i] & 0x7F) << (7 * i);
            if (payload[i] < 0x80)
            {
                payload = payload[(i + 1)..];
                return true;
            }
        }
        return false;
    }
}
