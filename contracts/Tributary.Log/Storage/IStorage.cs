namespace Tributary.Log.Storage;

/// <summary>
/// The file system as the log sees it. Everything that matters for durability goes through here, so that a test can lose,
/// tear or refuse what a real disk would. Paths are absolute or relative to where the implementation is rooted, separated by '/'.
/// Errors are <see cref="IOException"/> (or <see cref="UnauthorizedAccessException"/>), as .NET throws them.
/// </summary>
public interface IStorage
{
    /// <summary>Opens a file for reading and writing. A created file's name is durable only after <see cref="SyncDirectory"/>.</summary>
    /// <exception cref="FileNotFoundException">It does not exist and <paramref name="create"/> is false.</exception>
    IStorageFile Open(string path, bool create);

    /// <summary>Whether a file or directory of that name exists.</summary>
    bool Exists(string path);

    /// <summary>Names (not paths) of the files and directories in <paramref name="directory"/>, in no order.</summary>
    IReadOnlyList<string> List(string directory);

    /// <summary>Creates a directory and its parents. Durable after <see cref="SyncDirectory"/> of each parent.</summary>
    void CreateDirectory(string path);

    /// <summary>Renames a file or directory, replacing a file that has the new name. Durable after <see cref="SyncDirectory"/>.</summary>
    void Rename(string from, string to);

    /// <summary>Removes a file; nothing happens if it is not there.</summary>
    void Delete(string path);

    /// <summary>Removes a directory and what is in it; nothing happens if it is not there.</summary>
    void DeleteDirectory(string path);

    /// <summary>Makes the names in a directory durable (fsync of the directory).</summary>
    void SyncDirectory(string path);

    /// <summary>Bytes that can still be written to the file system that holds <paramref name="path"/>.</summary>
    long FreeBytes(string path);

    /// <summary>Why what is flushed below <paramref name="path"/> may be lost all the same, as a sentence's end; null if it is kept.</summary>
    string? WhyVolatile(string path) => null;

    /// <summary>
    /// A way to make everything on the file system of <paramref name="path"/> durable at once; null where there is none that tells its
    /// errors. It tells of what failed since it was opened, so open it before the first write that it is to cover.
    /// </summary>
    IFileSystemFlush? OpenFileSystem(string path) => null;

    /// <summary>
    /// Takes the lock file <paramref name="path"/>, making it if need be, until what is returned is disposed or the process ends.
    /// </summary>
    /// <returns>Null if somebody else holds it.</returns>
    IDisposable? TryLock(string path);
}

/// <summary>An open file. Reads may run beside writes; writes and flushes come from one thread at a time.</summary>
public interface IStorageFile : IDisposable
{
    /// <summary>Bytes of the file.</summary>
    long Length { get; }

    /// <summary>Reads at <paramref name="position"/> until <paramref name="into"/> is full or the file ends.</summary>
    /// <returns>Bytes read.</returns>
    int Read(long position, Span<byte> into);

    /// <summary>Writes all of <paramref name="bytes"/> at <paramref name="position"/>. Durable after <see cref="Flush"/>.</summary>
    void Write(long position, ReadOnlySpan<byte> bytes);

    /// <summary>Writes the pieces one behind the other at <paramref name="position"/>, in one call where the system can.</summary>
    void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces);

    /// <summary>
    /// Makes what was written (and the length) durable. After a failure nothing written since the last success may be believed:
    /// the kernel has marked the pages clean.
    /// </summary>
    void Flush();

    /// <summary>Sets the length; new bytes read as zero.</summary>
    void SetLength(long length);

    /// <summary>
    /// Reserves blocks up to <paramref name="length"/>, so that later writes can't fail for want of space; new bytes read as zero.
    /// </summary>
    void Allocate(long length);
}

/// <summary>Makes a file system durable as a whole (<c>syncfs</c>). Called by one thread at a time.</summary>
public interface IFileSystemFlush : IDisposable
{
    /// <summary>
    /// Makes durable whatever was written to any file. After a failure nothing written since the last success may be believed, in whichever
    /// file: it isn't told which one it was.
    /// </summary>
    /// <exception cref="IOException">Something was not written, somebody else's file perhaps.</exception>
    void Flush();
}
