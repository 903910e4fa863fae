using Tributary.Edge.Buffer;
using Tributary.Edge.Host;
using Tributary.Edge.Status;
using Tributary.Log.Storage;

namespace Tributary.Edge.Doctor;

/// <summary>
/// The data directory: whose it is, who has it open, whether it can be written, where it lies and what room there is. Nothing in it is
/// written, and its lock is not taken: an agent may run in it, or be about to start.
/// </summary>
/// <param name="findings">Where it is said.</param>
/// <param name="data">The directory.</param>
/// <param name="id">Name of the agent by the settings; null if they have none.</param>
/// <param name="options">The settings; null if they are not right.</param>
/// <param name="agent">What the agent says that runs; null if none answers.</param>
internal sealed class DataCheck(Findings findings, string data, string? id, EdgeOptions? options, EdgeStatus? agent)
{
    private const string Check = "data directory";

    /// <summary>File systems that a power cut can damage as a whole.</summary>
    private static readonly string[] WithoutJournal = ["vfat", "msdos", "exfat", "ext2"];

    /// <summary>File systems of other machines.</summary>
    private static readonly string[] Remote = ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"];

    private readonly string _path = Path.GetFullPath(data);
    private readonly EdgeBufferOptions _buffer = options?.Buffer ?? new EdgeBufferOptions();

    /// <summary>Looks.</summary>
    public void Run()
    {
        try
        {
            if (Directory.Exists(_path))
            {
                LookAtOwner();
                LookAtUse();
                LookAtContent();
            }
            string at = Existing(_path);
            if (at != _path)
            {
                findings.Ok(Check, $"{_path} does not exist yet; the first start makes it");
            }
            if (!SystemCalls.MayWrite(at))
            {
                findings.Fail(Check, $"{at} can't be written by this user", "run as the user that owns it, or give it to this one");
            }
            LookAtFileSystem(at);
            LookAtSpace(at);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            findings.Fail(Check, $"{_path} can't be looked at: {e.Message}", "run this as the agent's user");
        }
    }

    /// <summary>The directory, or the nearest one above it that is there.</summary>
    private static string Existing(string path)
    {
        while (!Directory.Exists(path))
        {
            path = Path.GetDirectoryName(path) ?? "/";
        }
        return path;
    }

    private void LookAtOwner()
    {
        string? owner = AgentIdentity.OwnerOf(_path);
        if (owner is null)
        {
            findings.Ok(Check, $"{_path} is nobody's yet");
        }
        else if (id is not null && owner != id)
        {
            findings.Fail(
                Check, $"{_path} belongs to the agent '{owner}', not to '{id}'", $"give --id {owner}, or another directory");
        }
        else
        {
            findings.Ok(Check, $"{_path} belongs to the agent '{owner}'");
        }
    }

    private void LookAtUse()
    {
        const string Lock = "lock";
        if (SystemCalls.FindHolder($"{_path}/{Lock}") is not { } holder)
        {
            if (agent is not null)
            {
                findings.Warn(
                    Check, $"nobody is seen to have {_path} open, and an agent runs", "it may have another data directory, or be in a container that can't be seen from here");
            }
        }
        else if (agent is null)
        {
            findings.Warn(
                Check, $"process {holder} has {_path} open, and no agent answers at the address of the setting 'http'",
                "give the settings that it runs with; if it hangs, look at its log before you end it");
        }
        else
        {
            findings.Ok(Check, $"process {holder} has it open");
        }
    }

    private void LookAtContent()
    {
        int quarantined = 0;
        foreach (string directory in Directory.EnumerateDirectories(_path))
        {
            string quarantine = Path.Combine(directory, "quarantine");
            quarantined += Directory.Exists(quarantine) ? Directory.GetFiles(quarantine).Length : 0;
        }
        if (quarantined > 0)
        {
            findings.Warn(
                Check, $"{Words.Count(quarantined, "file")} with damaged bytes in quarantine: the disk, or its power, has not kept what was written",
                "look at the disk (dmesg, smartctl); remove them when nobody needs them any more");
        }
    }

    private void LookAtFileSystem(string at)
    {
        const string System = "file system";
        if (FileStorage.MountOf(at) is not { } mount)
        {
            findings.Skip(System, "this system does not tell what is mounted");
            return;
        }
        string where = $"{mount.Type} on {mount.Source}, mounted at {mount.Path}";
        if (mount.Options.Contains("ro"))
        {
            findings.Fail(System, $"{where}, can only be read", "mount it for writing; a disk with errors is mounted so by the kernel: look at dmesg");
        }
        else if (new FileStorage().WhyVolatile(at) is { } why)
        {
            string found = $"the data directory {why}: what is acknowledged would not outlive a power cut";
            if (_buffer.AllowVolatile)
            {
                findings.Warn(System, found, "buffer:allowVolatile takes it all the same");
            }
            else
            {
                findings.Fail(System, found, "choose another directory, or set buffer:allowVolatile");
            }
        }
        else if (WithoutJournal.Contains(mount.Type))
        {
            findings.Warn(System, $"{where}, has no journal: a power cut can damage it as a whole", "use ext4 or f2fs");
        }
        else if (Remote.Contains(mount.Type))
        {
            findings.Warn(System, $"{where}, lies on another machine: no message is acknowledged while that one is away", "use a disk of this machine");
        }
        else
        {
            findings.Ok(System, where);
        }
    }

    private void LookAtSpace(string at)
    {
        const string Space = "disk space";
        long free = new FileStorage().FreeBytes(at);
        long used = Directory.Exists(_path) ? BytesBelow(_path) : 0;
        string has = $"{Words.Bytes(free)} free, the data directory takes {Words.Bytes(used)} of {Words.Bytes(_buffer.MaxDiskBytes)} (buffer:maxDiskBytes)";
        if (free < _buffer.MinFreeBytes)
        {
            findings.Fail(
                Space, $"{has}; {Words.Bytes(_buffer.MinFreeBytes)} must stay free (buffer:minFreeBytes), so messages are refused or dropped",
                "make room on the disk, or lower buffer:minFreeBytes");
        }
        else if (used >= _buffer.MaxDiskBytes - (2L * _buffer.SegmentBytes))
        {
            findings.Fail(
                Space, $"{has}: the quota is used up, so messages are refused or dropped (buffer:policy)", "get the cloud back, or raise buffer:maxDiskBytes");
        }
        else if (free - _buffer.MinFreeBytes < _buffer.MaxDiskBytes - used)
        {
            findings.Warn(
                Space, $"{has}; the disk is full before the quota is ({Words.Bytes(_buffer.MinFreeBytes)} stay free)", "make room, or lower buffer:maxDiskBytes");
        }
        else
        {
            findings.Ok(Space, has);
        }
    }

    private static long BytesBelow(string directory)
    {
        long bytes = 0;
        foreach (FileInfo file in new DirectoryInfo(directory).EnumerateFiles("*", SearchOption.AllDirectories))
        {
            try
            {
                bytes += file.Length;
            }
            catch (FileNotFoundException)
            {
                // A running agent has removed it.
            }
        }
        return bytes;
    }
}
