using System.Data.Common;
using System.Threading.Channels;
using Microsoft.Data.Sqlite;
using Tributary.Broker.Groups;

namespace Tributary.Cloud.Storage;

/// <summary>
/// Groups and their offsets in the control database. All groups' writes go through one loop that takes whatever has gathered while the
/// last transaction was flushed, so that a flush serves many groups; each one's compare-and-swap is for itself. When a write has returned
/// it survives power loss; a crash leaves a whole transaction or nothing of it. Callable from any thread. A group has one write under way
/// at a time, so what waits here is bounded by the number of groups.
/// </summary>
internal sealed class GroupStore : IGroupStore, IAsyncDisposable
{
    /// <summary>Writes in a transaction, so that one flush doesn't grow without end.</summary>
    private const int MaxTogether = 256;

    private readonly ControlDatabase _database;
    private readonly int _maxGroups;
    private readonly Channel<Pending> _pending = Channel.CreateUnbounded<Pending>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Task _writing;

    /// <summary>Makes a store on an open database, which must outlive it.</summary>
    public GroupStore(ControlDatabase database, GroupOptions options)
    {
        _database = database;
        _maxGroups = options.MaxGroups;
        // A thread of its own: SQLite's flush blocks.
        _writing = Task.Factory.StartNew(WriteAll, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <inheritdoc/>
    public Task<StoredGroup?> LoadAsync(string group) => Task.Run(() =>
    {
        using DbConnection connection = _database.OpenConnection();
        using var reading = new GroupCommands((SqliteConnection)connection, isWriting: false);
        return reading.Read(group);
    });

    /// <inheritdoc/>
    public Task<long> WriteAsync(GroupWrite write)
    {
        var pending = new Pending(write, new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously));
        return _pending.Writer.TryWrite(pending)
            ? pending.Done.Task
            : Task.FromException<long>(new ObjectDisposedException(nameof(GroupStore)));
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<GroupListing>> ListAsync(string? after, int count) => ListAsync(
        GroupSchema.ListGroups,
        row => new GroupListing(
            row.GetString(0), row.GetString(1), row.GetInt64(2) > 0 ? GroupState.Stable : GroupState.Empty, row.GetInt64(3) > 0),
        ("$after", after ?? ""), ("$count", count));

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> ListReadersAsync(string topic, string? after, int count) => ListAsync(
        GroupSchema.ListReaders, row => row.GetString(0), ("$topic", topic), ("$after", after ?? ""), ("$count", count));

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> ListAgedAsync(long committedBefore, string? after, int count) => ListAsync(
        GroupSchema.ListAged, row => row.GetString(0), ("$before", committedBefore), ("$after", after ?? ""), ("$count", count));

    /// <summary>Ends when everything that was taken is written.</summary>
    public async ValueTask DisposeAsync()
    {
        _pending.Writer.TryComplete();
        await _writing;
    }

    private Task<IReadOnlyList<T>> ListAsync<T>(string sql, Func<DbDataReader, T> read, params (string Name, object Value)[] parameters) =>
        Task.Run<IReadOnlyList<T>>(() =>
        {
            using DbConnection connection = _database.OpenConnection();
            using var reading = new GroupCommands((SqliteConnection)connection, isWriting: false);
            return reading.List(sql, read, parameters);
        });

    private void WriteAll()
    {
        var together = new List<Pending>();
        GroupCommands? commands = null;
        while (_pending.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            together.Clear();
            while (together.Count < MaxTogether && _pending.Reader.TryRead(out Pending? next))
            {
                together.Add(next);
            }
            if (!TryWrite(together, ref commands) && together.Count > 1)
            {
                foreach (Pending one in together)
                {
                    TryWrite([one], ref commands); // one that can't be written must not fail the others
                }
            }
        }
        commands?.Dispose();
    }

    /// <summary>Writes in one transaction.</summary>
    /// <returns>Whether everybody is answered: a single write always is, many only if the transaction succeeded.</returns>
    private bool TryWrite(List<Pending> together, ref GroupCommands? commands)
    {
        try
        {
            commands ??= new GroupCommands((SqliteConnection)_database.OpenConnection(), isWriting: true);
            var outcomes = new (long Version, Exception? Refusal)[together.Count];
            using (SqliteTransaction transaction = commands.Begin())
            {
                for (int i = 0; i < outcomes.Length; i++)
                {
                    outcomes[i] = commands.Write(together[i].Write, _maxGroups);
                }
                transaction.Commit();
            }
            for (int i = 0; i < outcomes.Length; i++)
            {
                Answer(together[i], outcomes[i].Version, outcomes[i].Refusal);
            }
            return true;
        }
        catch (Exception e)
        {
            commands?.Dispose();
            commands = null;
            if (together.Count == 1)
            {
                together[0].Done.TrySetException(e);
            }
            return together.Count == 1;
        }
    }

    private static void Answer(Pending pending, long version, Exception? refusal)
    {
        if (refusal is null)
        {
            pending.Done.TrySetResult(version);
        }
        else
        {
            pending.Done.TrySetException(refusal);
        }
    }

    private sealed record Pending(GroupWrite Write, TaskCompletionSource<long> Done);
}
