namespace Tributary.Log.Storage;

/// <summary>Files and directories: what is in them, and what of it would survive. Used under the storage's lock.</summary>
public sealed partial class MemoryStorage
{
    private static void ForEachNode(DirectoryNode directory, Action<Node> action)
    {
        action(directory);
        foreach (Node node in directory.Children.Values)
        {
            if (node is DirectoryNode inner)
            {
                ForEachNode(inner, action);
            }
            else
            {
                action(node);
            }
        }
    }

    private abstract class Node
    {
        public abstract Node AfterCrash(Func<bool> survives, Func<int, int> tear);
    }

    private sealed class DirectoryNode : Node
    {
        private readonly List<NameChange> _unsynced = [];
        private Dictionary<string, Node> _synced = [];

        public Dictionary<string, Node> Children { get; } = [];

        public void Change(string? from, string? to, Node node)
        {
            var change = new NameChange(from, to, node);
            change.ApplyTo(Children);
            _unsynced.Add(change);
        }

        public void Remove(string name)
        {
            if (Children.TryGetValue(name, out Node? node))
            {
                Change(name, null, node);
            }
        }

        public void Sync()
        {
            if (_unsynced.Count > 0)
            {
                _synced = new(Children);
                _unsynced.Clear();
            }
        }

        public override Node AfterCrash(Func<bool> survives, Func<int, int> tear) => Durable(survives, tear);

        public DirectoryNode Durable(Func<bool> survives, Func<int, int> tear)
        {
            Dictionary<string, Node> names = new(_synced);
            foreach (NameChange change in _unsynced)
            {
                if (survives())
                {
                    change.ApplyTo(names);
                }
            }
            var left = new DirectoryNode();
            foreach ((string name, Node node) in names)
            {
                left.Children.Add(name, node.AfterCrash(survives, tear));
            }
            left._synced = new(left.Children);
            return left;
        }
    }

    /// <summary>A file or directory gets a name, loses one, or changes it, as a whole.</summary>
    private readonly record struct NameChange(string? From, string? To, Node Node)
    {
        public void ApplyTo(Dictionary<string, Node> names)
        {
            if (From is not null && !(names.TryGetValue(From, out Node? there) && there == Node && names.Remove(From)))
            {
                return; // it has not got that name, since another change was lost
            }
            if (To is not null)
            {
                names[To] = Node;
            }
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

        public void MarkClean(Func<bool> survives)
        {
            var disk = (FileNode)AfterCrash(survives, static size => size);
            (_flushed, _flushedLength) = (disk._flushed, disk._flushedLength);
            _dirty.Clear();
        }

        public override Node AfterCrash(Func<bool> survives, Func<int, int> tear)
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
                        left.Write(at, Bytes.AsSpan(at, tear(end - at)));
                    }
                    at = end;
                }
            }
            left.Flush();
            return left;
        }
    }
}
