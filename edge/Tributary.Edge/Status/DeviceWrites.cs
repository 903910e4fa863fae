using System.Globalization;
using Tributary.Log.Storage;

namespace Tributary.Edge.Status;

/// <summary>What was written to the flash, or other disk, below the data directory since the start. Bytes.</summary>
/// <param name="Device">Name of the device, such as <c>mmcblk0p2</c>; null if there is none that counts.</param>
/// <param name="DeviceBytes">
/// What the device was told to write: the agent's files, the file system's own journal and tables, and whatever other programs write to the
/// same device. Null if it does not count.
/// </param>
/// <param name="AgentBytes">
/// What the agent gave the kernel to write: its part of the former without the file system's own, of all devices. Null if that is not told.
/// </param>
/// <param name="PayloadBytes">Payloads of the messages taken.</param>
/// <param name="Amplification">Device bytes for each byte of payload; null before the first one.</param>
/// <param name="Reason">Why the device's bytes are not known; null if they are.</param>
internal sealed record WearStatus(
    string? Device, long? DeviceBytes, long? AgentBytes, long PayloadBytes, double? Amplification, string? Reason);

/// <summary>
/// Counts sectors that the block device of a directory was told to write (<c>/sys/dev/block/…/stat</c>, Linux'
/// Documentation/block/stat.rst; else <c>/proc/diskstats</c>). Process counters leave out what the file system writes for itself, which on
/// small commits is most of it. Callable from any thread.
/// </summary>
internal sealed class DeviceWrites
{
    /// <summary>Sectors are counted in this unit, whatever the device's own is.</summary>
    private const int SectorBytes = 512;

    /// <summary>Field of sectors written in <c>stat</c>.</summary>
    private const int StatSectors = 6;

    /// <summary>The same in a line of <c>/proc/diskstats</c>: number, number and name stand before.</summary>
    private const int TableSectors = 9;

    private const string Table = "/proc/diskstats";
    private const string ProcessCounters = "/proc/self/io";
    private const string WrittenByProcess = "write_bytes:";
    private readonly Func<string, string?> _read;
    private readonly string? _number;
    private readonly string? _name;
    private readonly string? _reason;
    private readonly long _deviceAtStart;
    private readonly long? _agentAtStart;

    /// <param name="mount">The file system that holds the directory; null if it is not known.</param>
    /// <param name="read">Reads a file of the system; null if it is not there.</param>
    public DeviceWrites(MountPoint? mount, Func<string, string?> read)
    {
        _read = read;
        (_number, _name, _reason) = Find(mount);
        if (_reason is null)
        {
            _deviceAtStart = Device() ?? 0;
        }
        _agentAtStart = Agent();
    }

    /// <summary>Of a directory that is there.</summary>
    public static DeviceWrites Of(string directory)
    {
        try
        {
            return new DeviceWrites(FileStorage.MountOf(directory), ReadIfThere);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new DeviceWrites(null, ReadIfThere);
        }
    }

    /// <summary>What was written since this was made.</summary>
    /// <param name="payloadBytes">Bytes of payloads stored in the same time.</param>
    public WearStatus Since(long payloadBytes)
    {
        long? device = _reason is null ? Device() - _deviceAtStart : null;
        return new WearStatus(
            _name, device, Agent() - _agentAtStart, payloadBytes,
            device is { } bytes && payloadBytes > 0 ? Math.Round((double)bytes / payloadBytes, 2) : null,
            _reason ?? (device is null ? $"the device {_name} can't be asked any more" : null));
    }

    private static string? ReadIfThere(string path)
    {
        try
        {
            return File.Exists(path) ? File.ReadAllText(path) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private (string? Number, string? Name, string? Reason) Find(MountPoint? mount)
    {
        if (mount is null)
        {
            return (null, null, "this system does not tell which device the data directory is on");
        }
        string number = mount.Device;
        if (number.StartsWith("0:", StringComparison.Ordinal))
        {
            // Btrfs has a number of its own above its device.
            if (NumberOf(mount.Source) is not { } below)
            {
                return (null, null, $"the data directory is on a file system of type {mount.Type}, which has no block device of its own");
            }
            number = below;
        }
        return Sectors(number) is null
            ? (null, null, $"the device {mount.Source} ({number}) of the data directory has no counters")
            : (number, NameOf(number) ?? mount.Source, null);
    }

    private string? NumberOf(string source) => source.StartsWith("/dev/", StringComparison.Ordinal) && !source[5..].Contains('/')
        ? _read($"/sys/class/block/{source[5..]}/dev")?.Trim()
        : null;

    private string? NameOf(string number) => Line(number)?[2];

    private long? Device() => Sectors(_number!) * SectorBytes;

    private long? Sectors(string number) =>
        _read($"/sys/dev/block/{number}/stat") is { } stat ? Number(Fields(stat), StatSectors) : Number(Line(number) ?? [], TableSectors);

    private string[]? Line(string number) => _read(Table)?.Split('\n').Select(Fields)
        .FirstOrDefault(fields => fields.Length > TableSectors && $"{fields[0]}:{fields[1]}" == number);

    private long? Agent() => _read(ProcessCounters)?.Split('\n').FirstOrDefault(line => line.StartsWith(WrittenByProcess, StringComparison.Ordinal)) is { } line
        ? Number([line[WrittenByProcess.Length..].Trim()], 0)
        : null;

    private static string[] Fields(string line) => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    private static long? Number(string[] fields, int index) =>
        fields.Length > index && long.TryParse(fields[index], NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : null;
}
