namespace Tributary.Log.Storage;

/// <summary>
/// A file system in memory that knows what would survive a power cut: file bytes as of their last flush, names as of their
/// directory's last sync. <see cref="Crash()"/> gives a storage with exactly that, <see cref="Crash(Func{bool})"/> one with some of the
/// rest too. Callable from any thread (one lock).
/// </summary>
public sealed class MemoryStorage : IStorage
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
    /// Cuts the power after the kernel has written some of what was never flushed: each page of 4 KiB, each change of a file's length and
    /// each directory's unsynced names, all together, survive if <paramref name="survives"/> says so when it is asked. If it always does,
    /// only the process was killed.
    /// </summary>
    public MemoryStorage Crash(Func<bool> survives)
    {
        lock (_lock)
        {
            _crashed = true;
            return new MemoryStorage(_root.Durable(survives));
        }
    }

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
                parent.Children.Add(name, node);
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
                    at.Children.Add(part, next);
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
            source.Children.Remove(sourceName);
            target.Children[targetName] = node;
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
            parent.Children.Remove(name);
        }
    }

    /// <inheritdoc/>
    public void DeleteDirectory(string path)
    {
        lock (_lock)
        {
            (DirectoryNode parent, string name) = Parent(path);
            parent.Children.Remove(name);
        }
    }

    /// <inheritdoc/>
    public void SyncDirectory(string path)
    {
        lock (_lock)
        {
            DirectoryNode directory = FindDirectory(path);
            directory.Synced = new(directory.Children);
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

    private abstract class Node
    {
        public abstract Node AfterCrash(Func<bool> survives);
    }

    private sealed class DirectoryNode : Node
    {
        public Dictionary<string, Node> Children { get; } = [];

        public Dictionary<string, Node> Synced { get; set; } = [];

        public override Node AfterCrash(Func<bool> survives) => Durable(survives);

        public DirectoryNode Durable(Func<bool> survives)
        {
            var left = new DirectoryNode();
            foreach ((string name, Node node) in survives() ? Children : Synced)
            {
                left.Children.Add(name, node.AfterCrash(survives));
            }
            left.Synced = new(left.Children);
            return left;
        }
    }

    private sealed class FileNode : Node
    {
        private const int PageSize = 4096;
        private readonly List<(int From, int To)> _dirty = [];
        private byte[] _flushed = [];
        private int _flushedLength;

        public byte[] Bytes { get; private set; } = [];

        public int Length { get; private set; }

        public void Write(int position, ReadOnlySpan<byte> bytes)
        {
            Resize(Math.Max(Length, position + bytes.Length));
            bytes.CopyTo(Bytes.AsSpan(position));
            _dirty.Add((position, position + bytes.Length));
        }

        public void Resize(int length)
        {
            if (length > Bytes.Length)
            {
                byte[] larger = new byte[Math.Max(length, 2 * Bytes.Length)];
                Bytes.AsSpan(0, Length).CopyTo(larger);
                Bytes = larger;
            }
            if (length < Length)
            {
                Bytes.AsSpan(length, Length - length).Clear();
                _dirty.Add((length, Length));
            }
            Length = length;
        }

        public void Flush()
        {
            if (_flushed.Length < Bytes.Length)
            {
                Array.Resize(ref _flushed, Bytes.Length);
            }
            foreach ((int from, int to) in _dirty)
            {
                Bytes.AsSpan(from, to - from).CopyTo(_flushed.AsSpan(from));
            }
            _dirty.Clear();
            _flushedLength = Length;
        }

        public override Node AfterCrash(Func<bool> survives)
        {
            var left = new FileNode();
            left.Write(0, _flushed.AsSpan(0, _flushedLength));
            if (Length != _flushedLength && survives())
            {
                left.Resize(Length);
            }
            foreach ((int from, int to) in _dirty)
            {
                for (int at = from; at < Math.Min(to, Length);)
                {
                    int end = Math.Min(Math.Min(to, Length), (at / PageSize + 1) * PageSize);
                    if (survives())
                    {
                        left.Write(at, Bytes.AsSpan(at, end - at));
                    }
                    at = end;
                }
            }
            left.Flush();
            return left;
        }
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
