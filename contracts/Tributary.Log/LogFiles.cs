using System.Globalization;

namespace Tributary.Log;

/// <summary>Names of the files in a partition's directory. What is not listed here belongs to somebody else and is left alone.</summary>
internal static class LogFiles
{
    /// <summary>Start offset, recovery point, closed segments and holes: <see cref="Log.Manifest"/>.</summary>
    public const string Manifest = "manifest";

    /// <summary>Directory of bytes that were taken out of the log: <see cref="Log.Quarantine"/>.</summary>
    public const string Quarantine = "quarantine";

    private const string IndexPrefix = "index-";
    private const string ProducersPrefix = "producers-";
    private const string SparePrefix = "spare-";
    private const string CompactedPrefix = "compacted-";
    private const string CompactedIndexPrefix = "compacted-index-";
    private const string CompactedAwayPrefix = "compacted-away-";
    private const int Digits = 20;

    /// <summary>A segment is named by its first offset.</summary>
    public static string Segment(long baseOffset) => Number(baseOffset);

    public static string Index(long baseOffset) => IndexPrefix + Number(baseOffset);

    public static string Producers(long offset) => ProducersPrefix + Number(offset);

    public static string Spare(long number) => SparePrefix + Number(number);

    /// <summary>What takes the place of the segment of that offset, and of some behind it, once it is finished.</summary>
    public static string Compacted(long baseOffset) => CompactedPrefix + Number(baseOffset);

    public static string CompactedIndex(long baseOffset) => CompactedIndexPrefix + Number(baseOffset);

    /// <summary>A segment that was replaced, until it is deleted.</summary>
    public static string CompactedAway(long baseOffset) => CompactedAwayPrefix + Number(baseOffset);

    /// <summary>Whether it was made by compaction, and is of no use unless the manifest names it.</summary>
    public static bool IsCompacted(string name) => name.StartsWith(CompactedPrefix, StringComparison.Ordinal);

    public static bool IsCompactedAway(string name) => TryParse(name, CompactedAwayPrefix, out _);

    public static bool IsSegment(string name, out long baseOffset) => TryParse(name, "", out baseOffset);

    public static bool IsIndex(string name, out long baseOffset) => TryParse(name, IndexPrefix, out baseOffset);

    public static bool IsProducers(string name, out long offset) => TryParse(name, ProducersPrefix, out offset);

    public static bool IsSpare(string name, out long number) => TryParse(name, SparePrefix, out number);

    private static string Number(long number) => number.ToString("D20", CultureInfo.InvariantCulture);

    private static bool TryParse(string name, string prefix, out long number)
    {
        number = -1;
        return name.Length == prefix.Length + Digits
            && name.StartsWith(prefix, StringComparison.Ordinal)
            && long.TryParse(name.AsSpan(prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }
}
