using System.Text;
using Tributary.Log.Storage;

namespace Tributary.Edge.Host;

/// <summary>
/// The file <c>agent.id</c> in the data directory: the name of the agent that the directory belongs to, as a line of text. Written
/// before the first message is taken in, under a temporary name, flushed and renamed, so that a crash leaves none or a whole one. A
/// directory is one agent's for ever: its records carry the name, and the cloud knows its producers.
/// </summary>
internal static class AgentIdentity
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "agent.id";

    private const int MaxBytes = 1024;

    /// <summary>Writes the name down at the first start and compares it at each later one. The directory's lock must be held.</summary>
    /// <exception cref="IOException">The directory belongs to another agent, or the file can't be read or written.</exception>
    public static void Claim(IStorage storage, string directory, string id)
    {
        string path = $"{directory}/{FileName}";
        if (Read(storage, path) is { } owner)
        {
            if (owner != id)
            {
                throw new IOException(
                    $"the data directory {directory} belongs to the agent '{owner}', not to '{id}': give --id {owner}, or another directory");
            }
            return;
        }
        string temporary = path + ".tmp";
        using (IStorageFile file = storage.Open(temporary, create: true))
        {
            file.SetLength(0);
            file.Write(0, Encoding.UTF8.GetBytes(id + "\n"));
            file.Flush();
        }
        storage.Rename(temporary, path);
        storage.SyncDirectory(directory);
    }

    /// <summary>The agent that a directory belongs to, null if nobody's. Neither writes nor needs the directory's lock.</summary>
    /// <exception cref="IOException">The file can't be read, or is damaged.</exception>
    /// <exception cref="UnauthorizedAccessException">This user may not read it.</exception>
    public static string? OwnerOf(string directory)
    {
        string path = $"{directory}/{FileName}";
        if (!File.Exists(path))
        {
            return null;
        }
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        byte[] bytes = new byte[Math.Min(file.Length, MaxBytes)];
        return Parse(path, bytes.AsSpan(0, file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false)));
    }

    private static string Parse(string path, ReadOnlySpan<byte> bytes) =>
        Encoding.UTF8.GetString(bytes) is [.. { Length: > 0 } owner, '\n'] && !owner.Contains('\n')
            ? owner
            : throw new IOException(
                $"the file {path} is damaged: it must hold the name of the agent that the directory belongs to, and a line end");

    private static string? Read(IStorage storage, string path)
    {
        try
        {
            using IStorageFile file = storage.Open(path, create: false);
            byte[] bytes = new byte[Math.Min(file.Length, MaxBytes)];
            return Parse(path, bytes.AsSpan(0, file.Read(0, bytes)));
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }
}
