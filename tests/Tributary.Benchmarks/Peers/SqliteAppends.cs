using System.Diagnostics;
using Microsoft.Data.Sqlite;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Peers;

/// <summary>
/// What an application would do without a log of its own: one row per message in a transaction of its own, in SQLite with a write-ahead
/// log and <c>synchronous=FULL</c>. Threads share one connection, since SQLite has one writer.
/// </summary>
internal static class SqliteAppends
{
    public static (long Appends, TimeSpan Elapsed, Histogram Latencies) Run(string path, int bytes, int threads, TimeSpan time)
    {
        using var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false }.ToString());
        connection.Open();
        Execute(connection, "PRAGMA journal_mode=WAL");
        Execute(connection, "PRAGMA synchronous=FULL");
        Execute(connection, "CREATE TABLE messages(id INTEGER PRIMARY KEY, value BLOB NOT NULL)");
        using SqliteCommand insert = connection.CreateCommand();
        insert.CommandText = "INSERT INTO messages(value) VALUES ($value)";
        byte[] value = new byte[bytes];
        Random.Shared.NextBytes(value);
        insert.Parameters.AddWithValue("$value", value);
        insert.Prepare();
        var latencies = new Histogram();
        var gate = new Lock();
        long start = Stopwatch.GetTimestamp();
        Thread[] appenders = [.. Enumerable.Range(0, threads).Select(_ => new Thread(Append))];
        Array.ForEach(appenders, appender => appender.Start());
        Array.ForEach(appenders, appender => appender.Join());
        return (latencies.Total, Stopwatch.GetElapsedTime(start), latencies);

        void Append()
        {
            var own = new Histogram();
            long now = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start, now) < time)
            {
                lock (gate)
                {
                    insert.ExecuteNonQuery();
                }
                long end = Stopwatch.GetTimestamp();
                own.Add(end - now);
                now = end;
            }
            lock (gate)
            {
                latencies.Add(own);
            }
        }
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
