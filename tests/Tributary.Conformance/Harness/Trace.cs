using System.Globalization;
using System.Text.RegularExpressions;

namespace Tributary.Conformance.Harness;

/// <summary>A system call on an open file or socket.</summary>
/// <param name="Name">Name of the call.</param>
/// <param name="Target">What the descriptor is open on, as strace tells it.</param>
/// <param name="Data">The bytes that were passed.</param>
/// <param name="Enter">Number of the line at which it began; lines are in the order of time.</param>
/// <param name="Exit">Number of the line at which it returned.</param>
/// <param name="Result">What it returned.</param>
internal sealed record SystemCall(string Name, string Target, byte[] Data, int Enter, int Exit, long Result);

/// <summary>
/// What a process did, seen from outside by strace: the one way to see that an answer leaves after the flush that covers it has returned.
/// A killed process keeps its page cache, so killing proves nothing about flushes.
/// </summary>
internal sealed partial class Trace
{
    private static readonly HashSet<string> Writes = ["write", "writev", "pwrite64", "pwritev", "pwritev2"];
    private static readonly HashSet<string> Sends = ["write", "writev", "sendto", "sendmsg"];
    private static readonly HashSet<string> Receives = ["read", "recvfrom", "recvmsg"];
    private static readonly HashSet<string> Flushes = ["fsync", "fdatasync", "syncfs"];

    private Trace(IReadOnlyList<SystemCall> calls) => Calls = calls;

    /// <summary>The command that a program is run under: it stays a child of its caller, and strace ends with it.</summary>
    /// <param name="file">Where it writes what it sees.</param>
    /// <param name="flushes">False makes a program whose flush is disabled of it: calls return success and the kernel never hears of them.</param>
    public static string[] Command(string file, bool flushes = true) =>
    [
        "strace", "-D", "-f", "-qq", "-y", "-xx", "-s", "65536", "-e", "signal=none",
        "-e", "trace=" + string.Join(',', Writes.Union(Sends).Union(Receives).Union(Flushes)), "-o", file,
        .. flushes ? Array.Empty<string>() : ["-e", "inject=" + string.Join(',', Flushes) + ":retval=0"],
    ];

    /// <summary>Calls in the order in which they returned.</summary>
    public IReadOnlyList<SystemCall> Calls { get; }

    /// <summary>Calls that sent something over a socket.</summary>
    public IEnumerable<SystemCall> Sent => Calls.Where(call => Sends.Contains(call.Name) && IsSocket(call.Target) && call.Result > 0);

    /// <summary>Calls that received something over a socket.</summary>
    public IEnumerable<SystemCall> Received => Calls.Where(call => Receives.Contains(call.Name) && IsSocket(call.Target) && call.Result > 0);

    /// <summary>Calls that wrote something to a file.</summary>
    public IEnumerable<SystemCall> Written => Calls.Where(call => Writes.Contains(call.Name) && !IsSocket(call.Target) && call.Result > 0);

    /// <summary>Reads strace's file.</summary>
    public static Trace Parse(IEnumerable<string> lines)
    {
        var calls = new List<SystemCall>();
        var begun = new Dictionary<string, (int Line, string Name, string Target, string Text)>();
        int number = 0;
        foreach (string line in lines)
        {
            number++;
            if (Resumed().Match(line) is { Success: true } resumed && begun.Remove(resumed.Groups["thread"].Value, out var first))
            {
                Add(calls, first.Name, first.Target, first.Text + resumed.Groups["rest"].Value, first.Line, number);
            }
            else if (Begun().Match(line) is { Success: true } call)
            {
                (string name, string target, string text) = (call.Groups["name"].Value, call.Groups["target"].Value, call.Groups["rest"].Value);
                if (text.EndsWith("<unfinished ...>", StringComparison.Ordinal))
                {
                    begun[call.Groups["thread"].Value] = (number, name, target, text);
                }
                else
                {
                    Add(calls, name, target, text, number, number);
                }
            }
        }
        return new Trace(calls);
    }

    /// <summary>Which of the answers left before a flush that covers the write of their marker had returned.</summary>
    /// <param name="answers">The markers of what was answered, and the lines at which the answers left.</param>
    public IReadOnlyList<int> FindEarly(IEnumerable<(int Marker, int Line)> answers)
    {
        var writes = Written.SelectMany(write => Marker.In(write.Data).Select(marker => (marker, write))).ToLookup(pair => pair.marker, pair => pair.write);
        SystemCall[] flushes = [.. Calls.Where(call => Flushes.Contains(call.Name) && call.Result == 0)];
        return [.. answers.Where(answer => !writes[answer.Marker].Any(write => IsDurableBefore(flushes, write, answer.Line))).Select(answer => answer.Marker)];
    }

    private static bool IsDurableBefore(SystemCall[] flushes, SystemCall write, int line) => write.Exit < line && flushes.Any(flush =>
        flush.Enter > write.Exit && flush.Exit < line && (flush.Target == write.Target || flush.Name == "syncfs"));

    private static void Add(List<SystemCall> calls, string name, string target, string text, int enter, int exit)
    {
        Match result = Result().Match(text);
        // A call that strace answers for the kernel has done nothing, and what is only peeked at is received again.
        bool isDone = !text.EndsWith("(INJECTED)", StringComparison.Ordinal) && !text.Contains("MSG_PEEK", StringComparison.Ordinal);
        if (result.Success && isDone)
        {
            byte[] data = [.. Quoted().Matches(text).SelectMany(match => Convert.FromHexString(match.Groups["hex"].Value.Replace("\\x", "", StringComparison.Ordinal)))];
            calls.Add(new SystemCall(name, target, data, enter, exit, long.Parse(result.Groups["value"].Value, CultureInfo.InvariantCulture)));
        }
    }

    /// <summary>strace prints what descriptors are open on in hexadecimal, too.</summary>
    private static bool IsSocket(string target) =>
        target.StartsWith(@"\x73\x6f\x63\x6b\x65\x74\x3a", StringComparison.Ordinal) || target.StartsWith("socket:", StringComparison.Ordinal);

    [GeneratedRegex(@"^(?<thread>\d+) +(?<name>\w+)\(\d+<(?<target>[^>]*)>(?<rest>.*)$")]
    private static partial Regex Begun();

    [GeneratedRegex(@"^(?<thread>\d+) +<\.\.\. \w+ resumed>(?<rest>.*)$")]
    private static partial Regex Resumed();

    [GeneratedRegex(@"\) += (?<value>-?\d+)[^=]*$")]
    private static partial Regex Result();

    [GeneratedRegex("\"(?<hex>(?:\\\\x[0-9a-f]{2})*)\"")]
    private static partial Regex Quoted();
}
