namespace Tributary.Broker.Groups;

/// <summary>What is written together.</summary>
internal sealed class GroupBatch
{
    public Dictionary<GroupPartition, CommittedOffset?> Offsets { get; } = [];

    public Dictionary<PendingKey, PendingOffset?> Pending { get; } = [];

    public GroupRecord? Record { get; set; }

    public long RecordNumber { get; set; }

    public bool Deletes { get; set; }

    /// <summary>What its new offsets will take.</summary>
    public long NewBytes { get; set; }

    public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>
/// The writes of one group: one at a time, and whatever is noted meanwhile is in the next one. Used on the host's scheduler.
/// </summary>
/// <param name="group">The group's id.</param>
/// <param name="store">Where it is kept.</param>
/// <param name="stored">Told of each batch when it is durable, before whoever waits for it.</param>
/// <param name="failed">Told when a write failed: nothing is written any more.</param>
internal sealed class GroupWriter(string group, IGroupStore store, Action<GroupBatch> stored, Action<Exception> failed)
{
    private GroupBatch? _next;
    private bool _isWriting;
    private bool _hasFailed;
    private bool _hasWritten;
    private long _version;

    private long _newUnderWay;

    /// <summary>Number of the record that is being written, −1 for none.</summary>
    private long _underWay = -1;

    /// <summary>Whether the group is stored.</summary>
    public bool Exists => _version > 0;

    /// <summary>What new offsets will take that are noted and not stored yet.</summary>
    public long NewBytes => _newUnderWay + (_next?.NewBytes ?? 0);

    public bool IsIdle => !_isWriting && _next is null;

    /// <summary>The deletion that is under way, null if there is none: whoever waits for it goes on as soon as it is over.</summary>
    public Task? Deletion
    {
        get => field is { IsCompleted: false } ? field : null;
        private set;
    }

    /// <summary>The group was read in this version.</summary>
    public void Begin(long version) => _version = version;

    /// <summary>Notes an offset for the next write, which <see cref="WriteAsync"/> starts.</summary>
    /// <param name="partition">Of which partition.</param>
    /// <param name="offset">The offset.</param>
    /// <param name="newBytes">What it takes if none is stored for the partition, else 0.</param>
    public void Set(GroupPartition partition, CommittedOffset offset, long newBytes)
    {
        Next.NewBytes += Next.Offsets.ContainsKey(partition) ? 0 : newBytes;
        Next.Offsets[partition] = offset;
    }

    /// <summary>Notes that an offset goes with the next write, which <see cref="WriteAsync"/> starts.</summary>
    public void Remove(GroupPartition partition) => Next.Offsets[partition] = null;

    /// <summary>Notes what a transaction is to commit for the next write, as <see cref="Set(GroupPartition, CommittedOffset, long)"/>.</summary>
    public void SetPending(PendingKey key, PendingOffset offset, long newBytes)
    {
        Next.NewBytes += Next.Pending.ContainsKey(key) ? 0 : newBytes;
        Next.Pending[key] = offset;
    }

    /// <summary>Notes that what a transaction was to commit goes with the next write.</summary>
    public void RemovePending(PendingKey key) => Next.Pending[key] = null;

    /// <summary>Has a record written, in place of an earlier one that isn't yet.</summary>
    public void Set(GroupRecord record, long number)
    {
        if (number == _underWay || number == _next?.RecordNumber)
        {
            return;
        }
        Next.Record = record;
        Next.RecordNumber = number;
        Start();
    }

    /// <summary>Writes what is noted, and the group if there is none; completes when all that is durable.</summary>
    /// <exception cref="GroupLimitException">There is no such group and it would be one too many.</exception>
    public Task WriteAsync()
    {
        Task done = Next.Done.Task;
        Start();
        return done;
    }

    /// <summary>Deletes the group with all it has.</summary>
    public async Task DeleteAsync()
    {
        Next.Deletes = true;
        Task deletion = WriteAsync();
        Deletion = deletion;
        await deletion;
    }

    private GroupBatch Next => _next ??= new GroupBatch();

    private void Start()
    {
        if (_hasFailed)
        {
            _next!.Done.TrySetException(new InvalidOperationException($"group '{group}' could not be stored"));
            _next = null;
        }
        else if (!_isWriting)
        {
            _isWriting = true;
            _ = WriteAllAsync();
        }
    }

    private async Task WriteAllAsync()
    {
        while (_next is { } batch)
        {
            _next = null;
            _underWay = batch.Record is null ? -1 : batch.RecordNumber;
            _newUnderWay = batch.NewBytes;
            try
            {
                await WriteAsync(batch);
                _underWay = -1;
                _newUnderWay = 0;
                stored(batch);
                batch.Done.SetResult();
            }
            catch (GroupLimitException e)
            {
                batch.Done.SetException(e); // nothing of the group is stored, so nothing is in doubt
            }
            catch (Exception e)
            {
                _hasFailed = true;
                batch.Done.TrySetException(e);
                _next?.Done.TrySetException(e);
                _next = null;
                failed(e);
            }
        }
        _newUnderWay = 0;
        _isWriting = false;
    }

    private async Task WriteAsync(GroupBatch batch)
    {
        if (batch.Deletes && !Exists)
        {
            return;
        }
        var write = new GroupWrite(group, _version)
        {
            IsFirst = !_hasWritten,
            Record = batch.Record ?? (Exists ? null : new GroupRecord()),
            Offsets = [.. batch.Offsets.Where(one => one.Value is not null).Select(one => KeyValuePair.Create(one.Key, one.Value!))],
            Removed = [.. batch.Offsets.Where(one => one.Value is null).Select(one => one.Key)],
            Pending = [.. batch.Pending.Where(one => one.Value is not null).Select(one => KeyValuePair.Create(one.Key, one.Value!))],
            RemovedPending = [.. batch.Pending.Where(one => one.Value is null).Select(one => one.Key)],
            Deletes = batch.Deletes,
        };
        long version = await store.WriteAsync(write);
        _version = batch.Deletes ? 0 : version;
        _hasWritten = !batch.Deletes;
    }
}
