using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Log.Storage;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>A storage on which snapshots of sessions say what a bug would.</summary>
internal sealed class PlantedSnapshots(IStorage inner, PlantedBug bug) : IStorage
{
    public IStorageFile Open(string path, bool create) => inner.Open(path, create);

    public bool Exists(string path) => inner.Exists(path);

    public IReadOnlyList<string> List(string directory) => inner.List(directory);

    public void CreateDirectory(string path) => inner.CreateDirectory(path);

    public void Rename(string from, string to)
    {
        inner.Rename(from, to);
        if (Path.GetFileName(to) == SessionSnapshot.FileName)
        {
            var file = new SessionSnapshot(inner, Path.GetDirectoryName(to)!);
            if (file.Load(out ReadOnlyMemory<byte> content, out _) == SnapshotStatus.Ok)
            {
                file.Save(Rewrite(content.Span));
            }
        }
    }

    public void Delete(string path) => inner.Delete(path);

    public void DeleteDirectory(string path) => inner.DeleteDirectory(path);

    public void SyncDirectory(string path) => inner.SyncDirectory(path);

    public long FreeBytes(string path) => inner.FreeBytes(path);

    public IDisposable? TryLock(string path) => inner.TryLock(path);

    private ReadOnlySpan<byte> Rewrite(ReadOnlySpan<byte> snapshot)
    {
        var from = new EntryReader(snapshot);
        EntryWriter rest = new EntryWriter().Begin();
        long offset = from.Number();
        rest.Number(from.Number());
        for (long left = Copy(ref from, rest); left > 0; left--)
        {
            rest.Text(from.Text()).Number(from.Number()).Number(from.Number());
        }
        while (CopyFlag(ref from, rest))
        {
            rest.Byte(from.Byte()).Number(from.Number()).Bytes(from.Bytes()).Bytes(from.Bytes()).Bytes(from.Bytes());
        }
        while (CopyFlag(ref from, rest))
        {
            CopySession(ref from, rest);
        }
        long end = Copy(ref from, rest);
        return new EntryWriter().Begin().Number(bug == PlantedBug.ReadsOnFromTheEnd ? end : offset).Raw(rest.Written).Written;
    }

    private void CopySession(ref EntryReader from, EntryWriter to)
    {
        to.Number(from.Number());
        long reflectsUpTo = from.Number();
        to.Number(bug == PlantedBug.MarksNoPieces ? 0 : reflectsUpTo).Text(from.Text()).User(from.User()).Number(from.Number())
            .Number(from.Number());
        CopyFlag(ref from, to);
        to.Number(from.Number()).Number(from.Number());
        if (CopyFlag(ref from, to))
        {
            to.Number(from.Number()).Byte(from.Byte());
            CopyFlag(ref from, to);
            to.Bytes(from.Bytes()).Bytes(from.Bytes()).Bytes(from.Bytes());
        }
        for (long left = Copy(ref from, to); left > 0; left--)
        {
            to.Bytes(from.Bytes()).Byte(from.Byte()).Number(from.Number());
        }
        for (long left = Copy(ref from, to); left > 0; left--)
        {
            to.Number(from.Number()).Number(from.Number());
            CopyFlag(ref from, to);
            to.Number(from.Number());
        }
        while (CopyFlag(ref from, to))
        {
            to.Number(from.Number()).Number(from.Number()).Number(from.Number()).Byte(from.Byte()).Byte(from.Byte());
            CopyFlag(ref from, to);
            if (CopyFlag(ref from, to))
            {
                to.Bytes(from.Bytes());
            }
            (uint identifier, uint[]? more) = from.Identifiers();
            to.Identifiers(identifier, more);
        }
    }

    private static long Copy(ref EntryReader from, EntryWriter to)
    {
        long number = from.Number();
        to.Number(number);
        return number;
    }

    private static bool CopyFlag(ref EntryReader from, EntryWriter to)
    {
        bool flag = from.Flag();
        to.Flag(flag);
        return flag;
    }
}
