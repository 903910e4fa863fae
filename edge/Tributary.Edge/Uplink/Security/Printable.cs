namespace Tributary.Edge.Uplink.Security;

/// <summary>What somebody else said, made fit for a log: bounded, on one line.</summary>
internal static class Printable
{
    /// <summary>The text without control characters, cut to a length.</summary>
    public static string Of(string text, int maxChars)
    {
        string cut = text.Length > maxChars ? text[..maxChars] + "…" : text;
        return string.Create(cut.Length, cut, static (to, from) =>
        {
            for (int i = 0; i < to.Length; i++)
            {
                to[i] = char.IsControl(from[i]) || char.IsSurrogate(from[i]) ? '?' : from[i];
            }
        });
    }
}
