namespace Tributary.Log.Storage;

/// <summary>
/// A file system in memory that knows what would survive a power cut: file bytes as of their last flush, names as of their
/// directory's last sync. <see cref="Crash()"/> gives a storage with exactly that, <see cref="Crash(Func{bool}, Func{int, int})"/> one with
/// some of the rest too. Callable from any thread (one lock).
/// </summary>
public sealed partial class MemoryStorage : IStorage
{
    private readonly Lock _lock = new();
    private readonly DirectoryNode _root;
    private readonly HashSet<string> _locks = [];
    private bool _crashed;

    /// <summary>An empty file system.</summary>
    public MemoryStorage() => _root = new DirectoryNode();

    private MemoryStorage(DirectoryNode root) => _root = root;

    /// <summary>
    /// Cuts the power: everything that was not flushed, and every name that was not synced, is lost. This storage refuses all
    /// further calls; the one returned holds what is left.
    /// </summary>
    public MemoryStorage Crash() => Crash(static () => false);

    /// <summary>
    /// Cuts the power after the kernel has written some of what was never flushed, in any order: what was written within a page of 4 KiB,
    /// a change of a file's length, a name that was made, removed or changed survives if <paramref name="survives"/> says so when it is
    /// asked.
    /// </summary>
    /// <param name="survives">Asked once for each of them.</param>
    /// <param name="tear">Of so many bytes of a page that survive, how many got there; null: all.</param>
    public MemoryStorage Crash(Func<bool> survives, Func<int, int>? tear = null)
    {
        lock (_lock)
        {
            _crashed = true;
            return new MemoryStorage(_root.Durable(survives, tear ?? (static size => size)));
        }
    }

    /// <summary>
    /// Ends the process and not the power: this storage refuses all further calls; the one returned sees everything, and what was not
    /// durable is not durable yet.
    /// </summary>
    public MemoryStorage Kill()
    {
        lock (_lock)
        {
            _crashed = true;
            return new MemoryStorage(_root);
        }
    }

    /// <summary>
    /// What a failed flush does: the pages of the file count as clean from now on, so that no later flush writes them, and only those that
    /// <paramref name="survives"/> accepts have reached the disk.
    /// </summary>
    public void FailFlush(string path, Func<bool> survives)
    {
        lock (_lock)
        {
            ThrowIfCrashed();
            (Find(path) as FileNode ?? throw new FileNotFoundException($"'{path}' does not exist", path)).MarkClean(survives);
        }
    }

    /// <summary>What a failed flush of the file system does, to all of its files.</summary>
    public void FailFlush(Func<bool> survives)
    {
        lock (_lock)
        {
            ThrowIfCrashed();
            ForEachNode(_root, node => (node as FileNode)?.MarkClean(survives));
        }
    }

    /// <inheritdoc/>
    public IFileSystemFlush OpenFileSystem(string path) => new FileSystem(this);

    /// <inheritdoc/>
    public IStorageFile Open(string path, bool create)
    {
        lock (_lock)
        {
            (DirectoryNode parent, string name) = Parent(path);
            if (!parent.Children.TryGetValue(name, out Node? node))
            {
                if (!create)
                {
                    throw new FileNotFoundException($"'{path}' does not exist", path);
                }
                node = new FileNode();
                parent.Change(null, name, node);
            }
            return node is FileNode file ? new MemoryFile(this, file) : throw new UnauthorizedAccessException($"'{path}' is a directory");
        }
    }

    /// <inheritdoc/>
    public bool Exists(string path)
    {
        lock (_lock)
        {
            ThrowIfCrashed();
            return Find(path) is not null;
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> List(string directory)
    {
        lock (_lock)
        {
            return [.. FindDirectory(directory).Children.Keys];
        }
    }

    /// <inheritdoc/>
    public void CreateDirectory(string path)
    {
        lock (_lock)
        {
            ThrowIfCrashed();
            DirectoryNode at = _root;
            foreach (string part in Split(path))
            {
                if (!at.Children.TryGetValue(part, out Node? next))
                {
                    next = new DirectoryNode();
                    at.Change(null, part, next);
                }
                at = next as DirectoryNode ?? throw new IOException($"'{part}' of '{path}' is a file");
            }
        }
    }

    /// <inheritdoc/>
    public void Rename(string from, string to)
    {
        lock (_lock)
        {
            (DirectoryNode source, string sourceName) = Parent(from);
            (DirectoryNode target, string targetName) = Parent(to);
            if (!source.Children.TryGetValue(sourceName, out Node? node))
            {
                throw new FileNotFoundException($"'{from}' does not exist", from);
            }
            if (target.Children.TryGetValue(targetName, out Node? there) && (there is DirectoryNode || node is DirectoryNode))
            {
                throw new IOException($"'{to}' exists");
            }
            if (source == target)
            {
                source.Change(sourceName, targetName, node);
            }
            else
            {
                target.Change(null, targetName, node);
                source.Change(sourceName, null, node);
            }
        }
    }

    /// <inheritdoc/>
    public void Delete(string path)
    {
        lock (_lock)
        {
            (DirectoryNode parent, string name) = Parent(path);
            if (parent.Children.TryGetValue(name, out Node? node) && node is DirectoryNode)
            {
                throw new UnauthorizedAccessException($"'{path}' is a directory");
            }
            parent.Remove(name);
        }
    }

    /// <inheritdoc/>
    public void DeleteDirectory(string path)
    {
        lock (_lock)
        {
            (DirectoryNode parent, string name) = Parent(path);
            parent.Remove(name);
        }
    }

    /// <inheritdoc/>
    public void SyncDirectory(string path)
    {
        lock (_lock)
        {
            FindDirectory(path).Sync();
        }
    }

    /// <inheritdoc/>
    public long FreeBytes(string path) => long.MaxValue;

    /// <inheritdoc/>
    public IDisposable? TryLock(string path)
    {
        lock (_lock)
        {
            ThrowIfCrashed();
            return _locks.Add(path) ? new HeldLock(this, path) : null;
        }
    }

    private static string[] Split(string path) => path.Split('/', StringSplitOptions.RemoveEmptyEntries);

    private void ThrowIfCrashed()
    {
        if (_crashed)
        {
            throw new IOException("the storage has crashed");
        }
    }

    private Node? Find(string path)
    {
        Node at = _root;
        foreach (string part in Split(path))
        {
            if (at is not DirectoryNode directory || !directory.Children.TryGetValue(part, out Node? next))
            {
                return null;
            }
            at = next;
        }
        return at;
    }

    private DirectoryNode FindDirectory(string path)
    {
        ThrowIfCrashed();
        return Find(path) as DirectoryNode ?? throw new DirectoryNotFoundException($"directory '{path}' does not exist");
    }

    private (DirectoryNode Parent, string Name) Parent(string path)
    {
        int slash = path.TrimEnd('/').LastIndexOf('/');
        return (FindDirectory(slash < 0 ? "" : path[..slash]), path.TrimEnd('/')[(slash + 1)..]);
    }

    private sealed class MemoryFile(MemoryStorage storage, FileNode node) : IStorageFile
    {
        public long Length
        {
            get
            {
                lock (storage._lock)
                {
                    return node.Length;
                }
            }
        }

        public int Read(long position, Span<byte> into)
        {
            lock (storage._lock)
            {
                storage.ThrowIfCrashed();
                int count = (int)Math.Clamp(node.Length - position, 0, into.Length);
                node.Bytes.AsSpan((int)Math.Min(position, node.Length), count).CopyTo(into);
                return count;
            }
        }

        public void Write(long position, ReadOnlySpan<byte> bytes)
        {
            lock (storage._lock)
            {
                storage.ThrowIfCrashed();
                node.Write(checked((int)position), bytes);
            }
        }

        public void Write(long position, IReadOnlyList<ReadOnlyMemory<byte>> pieces)
        {
            for (int i = 0; i < pieces.Count; i++)
            {
                Write(position, pieces[i].Span);
                position += pieces[i].Length;
            }
        }

        public void Flush()
        {
            lock (storage._lock)
            {
                storage.ThrowIfCrashed();
                node.Flush();
            }
        }

        public void SetLength(long length)
        {
            lock (storage._lock)
            {
                storage.ThrowIfCrashed();
                node.Resize(checked((int)length));
            }
        }

        public void Allocate(long length)
        {
            lock (storage._lock)
            {
                storage.ThrowIfCrashed();
                node.Resize(Math.Max(node.Length, checked((int)length)));
            }
        }

        public void Dispose()
        {
        }
    }

    private sealed class FileSystem(MemoryStorage storage) : IFileSystemFlush
    {
        public void Flush()
        {
            lock (storage._lock)
            {
                storage.ThrowIfCrashed();
                ForEachNode(storage._root, static node =>
                {
                    (node as FileNode)?.Flush();
                    (node as DirectoryNode)?.Sync();
                });
            }
        }

        public void Dispose()
        {
        }
    }

    private sealed class HeldLock(MemoryStorage storage, string path) : IDisposable
    {
        public void Dispose()
        {
            lock (storage._lock)
            {
                storage._locks.Remove(path);
            }
        }
    }
}
