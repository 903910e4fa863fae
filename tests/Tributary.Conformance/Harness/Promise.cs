namespace Tributary.Conformance.Harness;

/// <summary>One device's side of the promise.</summary>
/// <param name="Device">Its name, the key of its records.</param>
/// <param name="Sent">Numbers from 1 to this may have been sent, none of them twice.</param>
/// <param name="Acknowledged">Numbers that were acknowledged.</param>
internal sealed record Published(string Device, int Sent, IReadOnlySet<int> Acknowledged);

/// <summary>
/// The promise, from the edge's log on: what was acknowledged is in the topic exactly once, what was not at most once, each device's
/// numbers in order, nothing that nobody sent.
/// </summary>
internal static class Promise
{
    private const int MaxNamed = 10;

    /// <summary>What is wrong, null if nothing is.</summary>
    /// <param name="published">What devices did.</param>
    /// <param name="found">Device and number of each record, in the order of offsets within a partition.</param>
    public static string? FindFault(IReadOnlyList<Published> published, IEnumerable<(string? Device, int Number)> found)
    {
        var numbers = found.ToLookup(record => record.Device, record => record.Number);
        var faults = new List<string>();
        foreach (IGrouping<string?, int> stranger in numbers.Where(group => published.All(device => device.Device != group.Key)))
        {
            faults.Add($"{stranger.Count()} records of '{stranger.Key}', which nobody is");
        }
        foreach (Published device in published)
        {
            List<int> got = [.. numbers[device.Device]];
            HashSet<int> distinct = [.. got];
            Add(faults, device, "acknowledged and not there", device.Acknowledged.Where(number => !distinct.Contains(number)));
            Add(faults, device, "there more than once", got.CountBy(number => number).Where(pair => pair.Value > 1).Select(pair => pair.Key));
            Add(faults, device, "never sent", distinct.Where(number => number < 1 || number > device.Sent));
            Add(faults, device, "after a greater one", got.Where((number, i) => i > 0 && number < got[i - 1]));
        }
        return faults.Count == 0 ? null : string.Join('\n', faults);
    }

    private static void Add(List<string> faults, Published device, string what, IEnumerable<int> numbers)
    {
        List<int> all = [.. numbers];
        if (all.Count > 0)
        {
            faults.Add($"{device.Device}: {all.Count} numbers {what}, among them {string.Join(", ", all.Take(MaxNamed))}");
        }
    }
}
