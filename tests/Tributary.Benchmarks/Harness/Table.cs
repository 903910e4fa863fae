using System.Globalization;

namespace Tributary.Benchmarks.Harness;

/// <summary>Figures in columns.</summary>
internal sealed class Table(params string[] columns)
{
    private readonly List<string[]> _rows = [columns];

    public void Add(params string[] cells) => _rows.Add(cells);

    /// <summary>Writes the table to standard output.</summary>
    public void Print()
    {
        int[] widths = [.. Enumerable.Range(0, _rows[0].Length).Select(column => _rows.Max(row => row[column].Length))];
        foreach (string[] row in _rows)
        {
            Console.WriteLine(
                string.Join("  ", row.Select((cell, column) => column == 0 ? cell.PadRight(widths[0]) : cell.PadLeft(widths[column]))));
        }
        Console.WriteLine();
    }
}

/// <summary>Figures as text.</summary>
internal static class Show
{
    public static string Rate(double perSecond) => perSecond.ToString(perSecond < 100 ? "0.0" : "#,0", CultureInfo.InvariantCulture);

    public static string Ratio(double ours, double peer) => peer > 0 ? (ours / peer).ToString("0.00", CultureInfo.InvariantCulture) : "–";

    public static double Median(IEnumerable<double> values) => values.Order().ElementAt(values.Count() / 2);

    public static string Micros(TimeSpan time) => time.TotalMicroseconds.ToString("#,0", CultureInfo.InvariantCulture);

    public static string Mebibytes(double bytes) => (bytes / (1 << 20)).ToString("0.0", CultureInfo.InvariantCulture);

    /// <summary>Bytes for each of a number of things, – if the bytes are not known.</summary>
    public static string Per(long bytes, long things) =>
        bytes < 0 || things == 0 ? "–" : ((double)bytes / things).ToString("#,0", CultureInfo.InvariantCulture);
}
