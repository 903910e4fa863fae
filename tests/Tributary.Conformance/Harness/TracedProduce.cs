using System.Buffers.Binary;

namespace Tributary.Conformance.Harness;

/// <summary>Finds Produce requests and their answers in a trace of a broker: several may be on their way in a connection.</summary>
internal static class TracedProduce
{
    private const int MaxFrame = 64 << 20;
    private const short ProduceKey = 0;

    /// <summary>The markers that were produced, each with the line at which the answer to its request left.</summary>
    public static List<(int Marker, int Line)> Answers(Trace trace)
    {
        var answers = new List<(int, int)>();
        var sent = trace.Sent.ToLookup(call => call.Target);
        foreach (IGrouping<string, SystemCall> connection in trace.Received.GroupBy(call => call.Target))
        {
            var lines = new Dictionary<int, int>();
            foreach ((byte[] frame, int line) in Frames(sent[connection.Key]))
            {
                lines.TryAdd(BinaryPrimitives.ReadInt32BigEndian(frame), line);
            }
            foreach ((byte[] frame, _) in Frames(connection))
            {
                if (frame.Length > 8 && BinaryPrimitives.ReadInt16BigEndian(frame) == ProduceKey
                    && lines.TryGetValue(BinaryPrimitives.ReadInt32BigEndian(frame.AsSpan(4)), out int line))
                {
                    answers.AddRange(Marker.In(frame).Select(marker => (marker, line)));
                }
            }
        }
        return answers;
    }

    /// <summary>Length-prefixed frames, each with the line at which its first byte was passed.</summary>
    private static IEnumerable<(byte[] Frame, int Line)> Frames(IEnumerable<SystemCall> calls)
    {
        byte[] rest = [];
        int line = 0;
        foreach (SystemCall call in calls)
        {
            line = rest.Length == 0 ? call.Enter : line;
            rest = [.. rest, .. call.Data];
            while (rest.Length >= 4 && BinaryPrimitives.ReadInt32BigEndian(rest) is var size && rest.Length >= size + 4L)
            {
                if (size is < 4 or > MaxFrame)
                {
                    yield break; // another protocol
                }
                yield return (rest[4..(size + 4)], line);
                rest = rest[(size + 4)..];
                line = call.Enter;
            }
        }
    }
}
