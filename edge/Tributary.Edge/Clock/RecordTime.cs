using System.Buffers.Text;
using System.Text;
using Tributary.Contracts.Records;

namespace Tributary.Edge.Clock;

/// <summary>How the time of a record is known.</summary>
internal enum TimeMark
{
    /// <summary>It is by a clock that was trusted then, or by the message itself.</summary>
    None,

    /// <summary>It was counted from the boot, whose time was learned in that boot.</summary>
    Corrected,

    /// <summary>The boot never learned the time: it follows from the boots before and after it.</summary>
    Estimated,

    /// <summary>It is what the clock said, and may be anything.</summary>
    Untrusted,
}

/// <summary>A record's time as it is sent.</summary>
/// <param name="Timestamp">Unix milliseconds.</param>
/// <param name="Mark">How it is known.</param>
/// <param name="BoundMs">The record's true time is at most so many milliseconds before or after it; unless it is untrusted.</param>
internal readonly record struct RecordTime(long Timestamp, TimeMark Mark, long BoundMs)
{
    /// <summary>Header that says how the time is known: <c>corrected</c>, <c>estimated</c>, <c>untrusted</c>. Others have none.</summary>
    public const string MarkHeader = "edge.time";

    /// <summary>Header with the bound, a decimal number of milliseconds.</summary>
    public const string BoundHeader = "edge.time.bound.ms";

    private static readonly byte[][] Marks =
        [.. Enum.GetNames<TimeMark>().Select(name => new EncodedHeaders([new(MarkHeader, Encoding.UTF8.GetBytes(name.ToLowerInvariant()))]).Bytes.ToArray())];

    private static readonly byte[] BoundName = new EncodedHeaders([new(BoundHeader, null)]).Bytes[..^1].ToArray();

    /// <summary>Bytes of the headers, at most.</summary>
    public static int MaxHeaderBytes { get; } = Marks.Max(mark => mark.Length) + BoundName.Length + 1 + 20;

    /// <summary>Writes the headers that tell of it, as they stand in a record.</summary>
    /// <param name="into">At least <see cref="MaxHeaderBytes"/>.</param>
    /// <param name="count">Number of headers.</param>
    /// <returns>Bytes written.</returns>
    public int WriteHeaders(Span<byte> into, out int count)
    {
        count = 0;
        if (Mark == TimeMark.None)
        {
            return 0;
        }
        byte[] mark = Marks[(int)Mark];
        mark.CopyTo(into);
        int at = mark.Length;
        count = 1;
        if (Mark != TimeMark.Untrusted)
        {
            BoundName.CopyTo(into[at..]);
            at += BoundName.Length;
            Utf8Formatter.TryFormat(BoundMs, into[(at + 1)..], out int digits);
            Varint.Write(into[at..], digits); // one byte, as it is less than 64
            at += 1 + digits;
            count = 2;
        }
        return at;
    }
}
