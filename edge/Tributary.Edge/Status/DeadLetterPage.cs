using System.Text;
using Tributary.Edge.Buffer;

namespace Tributary.Edge.Status;

/// <summary>What <c>/dead-letters?from=NUMBER</c> tells: records that the cloud refused for good, some at a time.</summary>
/// <param name="First">Number of the first one that is still held.</param>
/// <param name="Next">Number that the next one will get.</param>
/// <param name="Records">Those from the number asked for on, as many as fit. The next page begins after the last.</param>
internal sealed record DeadLetterPage(long First, long Next, IReadOnlyList<DeadLetterEntry> Records)
{
    /// <summary>Bytes of records on one page; one record may exceed it.</summary>
    private const int PageBytes = 1 << 20;

    /// <summary>Reads a page.</summary>
    /// <exception cref="IOException">They can't be read now.</exception>
    public static DeadLetterPage Of(DeadLetters letters, long from) => new(
        letters.First, letters.Next,
        [
            .. letters.Read(from, PageBytes).Select(letter => new DeadLetterEntry(
                letter.Number, letter.Topic, letter.Partition, letter.Offset, letter.Reason, letter.Time,
                Encoding.UTF8.GetString(letter.Key),
                [.. letter.Headers.Select(header => new DeadLetterHeader(header.Key, Encoding.UTF8.GetString(header.Value)))], letter.Value)),
        ]);
}

/// <summary>A record that the cloud refused for good.</summary>
/// <param name="Number">Its number among the dead letters.</param>
/// <param name="Topic">Kafka topic that it was for.</param>
/// <param name="Partition">Local partition that it was in.</param>
/// <param name="Offset">Its local offset.</param>
/// <param name="Reason">Why it was refused.</param>
/// <param name="Time">Its timestamp.</param>
/// <param name="Key">Its key.</param>
/// <param name="Headers">Its headers.</param>
/// <param name="Value">Its value, in Base64.</param>
internal sealed record DeadLetterEntry(
    long Number, string Topic, int Partition, long Offset, string Reason, DateTimeOffset Time, string Key,
    IReadOnlyList<DeadLetterHeader> Headers, byte[] Value);

/// <summary>A header of such a record.</summary>
internal sealed record DeadLetterHeader(string Name, string Value);
