using System.Globalization;
using System.Text;

namespace Tributary.Conformance.Harness;

/// <summary>Numbered payloads that are found again in whatever they went through uncompressed.</summary>
internal static class Marker
{
    private const int Digits = 6;

    private static ReadOnlySpan<byte> Begin => "<message "u8;

    /// <summary>The payload of a number.</summary>
    public static byte[] Of(int number) => Encoding.ASCII.GetBytes($"<message {number:D6}>");

    /// <summary>The numbers whose payloads are whole in some bytes.</summary>
    public static List<int> In(ReadOnlySpan<byte> bytes)
    {
        var found = new List<int>();
        for (int at; (at = bytes.IndexOf(Begin)) >= 0; bytes = bytes[(at + Begin.Length)..])
        {
            ReadOnlySpan<byte> rest = bytes[(at + Begin.Length)..];
            if (rest.Length > Digits && rest[Digits] == '>' && int.TryParse(rest[..Digits], CultureInfo.InvariantCulture, out int number))
            {
                found.Add(number);
            }
        }
        return found;
    }
}
