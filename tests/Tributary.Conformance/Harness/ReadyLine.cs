using System.Net;

namespace Tributary.Conformance.Harness;

/// <summary>A line <c>READY name=HOST:PORT …</c>.</summary>
internal sealed class ReadyLine
{
    private readonly Dictionary<string, string> _values;

    private ReadyLine(Dictionary<string, string> values) => _values = values;

    /// <summary>Reads one.</summary>
    public static ReadyLine Parse(string line)
    {
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words is ["READY", .. string[] pairs]
            ? new ReadyLine(pairs.Select(pair => pair.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]))
            : throw new FormatException($"no READY line: {line}");
    }

    /// <summary>An address that it names.</summary>
    public IPEndPoint this[string name] => IPEndPoint.Parse(_values[name]);
}
