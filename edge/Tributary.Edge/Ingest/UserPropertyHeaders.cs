using System.Buffers.Binary;
using System.Text;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Clock;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;

namespace Tributary.Edge.Ingest;

/// <summary>
/// MQTT 5 user properties as headers of a record, <c>traceparent</c> (W3C Trace Context) among them. They are chosen by clients, so their
/// number and size are bounded, and none can have the name of a header that the agent makes: what a header says would be in doubt.
/// </summary>
internal static class UserPropertyHeaders
{
    /// <summary>User properties of a message that become headers, at most.</summary>
    public const int MaxCount = 32;

    /// <summary>Bytes of these as headers, at most.</summary>
    public const int MaxBytes = 4096;

    private static readonly byte[][] Reserved =
        [.. new[] { Route.TopicHeader, Route.EdgeHeader, ReceiptHeader.Name, RecordTime.MarkHeader, RecordTime.BoundHeader }.Select(Encoding.UTF8.GetBytes)];

    /// <summary>Whether there may be any, at little cost.</summary>
    public static bool MayBeIn(ReadOnlySpan<byte> properties) => properties.Contains((byte)PropertyId.UserProperty);

    /// <summary>Encodes them as headers of a record.</summary>
    /// <param name="properties">Properties of a PUBLISH that were checked.</param>
    /// <param name="names">Names of headers that the route makes, UTF-8.</param>
    /// <param name="into">At least <see cref="MaxBytes"/>.</param>
    /// <param name="count">Number of headers.</param>
    /// <param name="leftOut">Number of user properties that are none.</param>
    /// <returns>Bytes written.</returns>
    public static int Encode(ReadOnlySpan<byte> properties, byte[][] names, Span<byte> into, out int count, out int leftOut)
    {
        (count, leftOut) = (0, 0);
        int at = 0;
        var reader = new PropertyReader(properties, PropertySet.Publish);
        while (reader.Next())
        {
            if (reader.Id != PropertyId.UserProperty)
            {
                continue;
            }
            int length = BinaryPrimitives.ReadUInt16BigEndian(reader.Bytes);
            ReadOnlySpan<byte> name = reader.Bytes.Slice(2, length);
            ReadOnlySpan<byte> value = reader.Bytes[(length + 4)..];
            int size = Varint.SizeOf(name.Length) + name.Length + Varint.SizeOf(value.Length) + value.Length;
            if (count == MaxCount || at + size > MaxBytes || IsOneOf(name, Reserved) || IsOneOf(name, names))
            {
                leftOut++;
                continue;
            }
            at += Write(name, into[at..]);
            at += Write(value, into[at..]);
            count++;
        }
        return at;
    }

    private static int Write(ReadOnlySpan<byte> text, Span<byte> into)
    {
        int at = Varint.Write(into, text.Length);
        text.CopyTo(into[at..]);
        return at + text.Length;
    }

    private static bool IsOneOf(ReadOnlySpan<byte> name, byte[][] names)
    {
        foreach (byte[] taken in names)
        {
            if (name.SequenceEqual(taken))
            {
                return true;
            }
        }
        return false;
    }
}
