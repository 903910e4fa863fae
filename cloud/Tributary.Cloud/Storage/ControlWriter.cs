using System.Threading.Channels;
using Microsoft.Data.Sqlite;

namespace Tributary.Cloud.Storage;

/// <summary>
/// All writes to the control database: one connection and one thread, which takes whatever has gathered while the last transaction was
/// flushed, so that a flush serves many writers and none waits for SQLite's lock. A write that has returned survives power loss; a crash
/// leaves a whole transaction or nothing of it. Callable from any thread. A grain or group has one write under way at a time, so what
/// waits here is bounded by their number.
/// </summary>
internal sealed class ControlWriter : IAsyncDisposable
{
    /// <summary>Writes in a transaction, so that one flush doesn't grow without end.</summary>
    private const int MaxTogether = 256;

    private readonly Func<SqliteConnection> _connect;
    private readonly Channel<Pending> _pending = Channel.CreateUnbounded<Pending>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Task _writing;
    private SqliteConnection? _connection;

    /// <param name="connect">Opens a connection whose commits are flushed.</param>
    public ControlWriter(Func<SqliteConnection> connect)
    {
        _connect = connect;
        // A thread of its own: SQLite's flush blocks.
        _writing = Task.Factory.StartNew(WriteAll, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>Transactions that were committed.</summary>
    public long Commits { get; private set; }

    /// <summary>Writes, together with others; completes when it is durable.</summary>
    /// <param name="write">
    /// Executes statements, on the writer's thread. It may be called again when the transaction failed. What it throws fails the others in
    /// the transaction too, which are then tried alone: what is no fault of the database is better returned.
    /// </param>
    public Task<T> WriteAsync<T>(Func<SqliteTransaction, T> write)
    {
        var pending = new Pending<T>(write);
        return _pending.Writer.TryWrite(pending)
            ? pending.Done
            : Task.FromException<T>(new ObjectDisposedException(nameof(ControlWriter)));
    }

    /// <summary>Ends when everything that was taken is written.</summary>
    public async ValueTask DisposeAsync()
    {
        _pending.Writer.TryComplete();
        await _writing;
    }

    private void WriteAll()
    {
        var together = new List<Pending>();
        while (_pending.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            together.Clear();
            while (together.Count < MaxTogether && _pending.Reader.TryRead(out Pending? next))
            {
                together.Add(next);
            }
            if (!TryWrite(together) && together.Count > 1)
            {
                foreach (Pending one in together)
                {
                    TryWrite([one]); // one that can't be written must not fail the others
                }
            }
        }
        _connection?.Dispose();
    }

    /// <summary>Writes in one transaction.</summary>
    /// <returns>Whether everybody is answered: a single write always is, many only if the transaction succeeded.</returns>
    private bool TryWrite(List<Pending> together)
    {
        try
        {
            _connection ??= _connect();
            using (SqliteTransaction transaction = _connection.BeginTransaction(deferred: false))
            {
                foreach (Pending one in together)
                {
                    one.Execute(transaction);
                }
                transaction.Commit();
            }
            Commits++;
            foreach (Pending one in together)
            {
                one.Complete();
            }
            return true;
        }
        catch (Exception e)
        {
            _connection?.Dispose();
            _connection = null;
            if (together.Count == 1)
            {
                together[0].Fail(e);
            }
            return together.Count == 1;
        }
    }

    private abstract class Pending
    {
        public abstract void Execute(SqliteTransaction transaction);

        public abstract void Complete();

        public abstract void Fail(Exception reason);
    }

    private sealed class Pending<T>(Func<SqliteTransaction, T> write) : Pending
    {
        private readonly TaskCompletionSource<T> _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private T? _result;

        public Task<T> Done => _done.Task;

        public override void Execute(SqliteTransaction transaction) => _result = write(transaction);

        public override void Complete() => _done.TrySetResult(_result!);

        public override void Fail(Exception reason) => _done.TrySetException(reason);
    }
}
