using System.Buffers;
using System.Text;
using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Records;
using Tributary.Log;
using Tributary.Log.Storage;
using Xunit;

namespace Tributary.Tests.Log.Support;

/// <summary>A data directory on a memory storage, with what it reported.</summary>
internal sealed class LogHarness : ILogEvents, IAsyncDisposable
{
    public const string Root = "data/log";
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private readonly List<LogEvent> _events = [];

    public MemoryStorage Storage { get; private set; } = new();

    /// <summary>Wraps the storage for the next <see cref="Open"/>.</summary>
    public Func<IStorage, IStorage> Wrap { get; set; } = static storage => storage;

    public FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

    public LogDirectoryOptions DirectoryOptions { get; init; } = new();

    public PartitionLogOptions Options { get; set; } = new() { SegmentBytes = 4096, IndexIntervalBytes = 256 };

    public LogDirectory Directory { get; private set; } = null!;

    public IReadOnlyList<LogEvent> Events
    {
        get
        {
            lock (_events)
            {
                return [.. _events];
            }
        }
    }

    public PartitionLog Open(string name = "p-0")
    {
        Directory = LogDirectory.Open(Wrap(Storage), Root, DirectoryOptions, Time, this);
        return Directory.OpenPartition(name, Options);
    }

    public async Task<PartitionLog> ReopenAsync(string name = "p-0")
    {
        await Directory.DisposeAsync();
        return Open(name);
    }

    /// <summary>Loses what is not durable.</summary>
    public async Task<PartitionLog> CrashAsync(string name = "p-0")
    {
        await LoseProcessAsync(static () => false);
        return Open(name);
    }

    private async Task LoseProcessAsync(Func<bool> survives)
    {
        Storage = Storage.Crash(survives);
        int before = Events.Count;
        await Directory.DisposeAsync();
        lock (_events)
        {
            _events.RemoveRange(before, _events.Count - before); // what a process says that is dead already
        }
    }

    /// <summary>
    /// Ends the process, as far as the log can tell: what it wrote is there, what it would have saved at a clean end is not.
    /// </summary>
    public async Task<PartitionLog> KillAsync(Action? meanwhile = null, string name = "p-0")
    {
        await LoseProcessAsync(static () => true);
        meanwhile?.Invoke();
        return Open(name);
    }

    public string PathOf(string file, string name = "p-0") => $"{Root}/{name}/{file}";

    public IReadOnlyList<string> Files(string name = "p-0") => Storage.List($"{Root}/{name}");

    public byte[] Bytes(string path)
    {
        using IStorageFile file = Storage.Open(path, create: false);
        byte[] bytes = new byte[file.Length];
        Assert.Equal(bytes.Length, file.Read(0, bytes));
        return bytes;
    }

    /// <summary>Overwrites bytes of a file, durably.</summary>
    public void Damage(string path, long position, params ReadOnlySpan<byte> bytes)
    {
        using IStorageFile file = Storage.Open(path, create: false);
        file.Write(position, bytes);
        file.Flush();
    }

    /// <summary>Where the batch with that base offset begins in a segment file.</summary>
    public int PositionOf(string path, long baseOffset)
    {
        ReadOnlySpan<byte> bytes = Bytes(path);
        int at = 0;
        while (RecordBatch.TryRead(bytes[at..], out RecordBatch batch) == BatchStatus.Ok)
        {
            if (batch.BaseOffset == baseOffset)
            {
                return at;
            }
            at += batch.Size;
        }
        throw new InvalidOperationException($"'{path}' has no batch at {baseOffset}");
    }

    public IEnumerable<LogEvent> EventsOf(LogEventKind kind) => Events.Where(e => e.Kind == kind);

    public void Report(LogEvent what)
    {
        lock (_events)
        {
            _events.Add(what);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Directory is not null)
        {
            await Directory.DisposeAsync();
        }
    }

    /// <summary>A batch of records with one value each.</summary>
    public static byte[] Batch(
        int records = 1, int valueSize = 20, long timestamp = 1_000, BatchProducer? producer = null,
        CompressionCodec codec = CompressionCodec.None, string? text = null, bool isTransactional = false)
    {
        using var builder = new RecordBatchBuilder();
        byte[] value = text is null ? new byte[valueSize] : Encoding.UTF8.GetBytes(text);
        for (int i = 0; i < records; i++)
        {
            builder.Add(timestamp + i, "key"u8, value, EncodedHeaders.None);
        }
        return builder.Build(
            producer ?? BatchProducer.None, codec, attributes: isTransactional ? BatchAttributes.Transactional : BatchAttributes.None).ToArray();
    }

    /// <summary>Appends and waits for the flush.</summary>
    public static async Task<AppendResult> AppendAsync(PartitionLog log, byte[] batch, int leaderEpoch = 0)
    {
        AppendResult result = log.Append(batch, leaderEpoch);
        Assert.Equal(AppendError.None, result.Error);
        await log.WaitFlushedAsync(result).AsTask().WaitAsync(Deadline);
        return result;
    }

    /// <summary>Base offsets of all batches from an offset on; steps over holes.</summary>
    public static List<long> ReadAll(PartitionLog log, long from, int maxBytes = 1 << 20)
    {
        var offsets = new List<long>();
        long at = from;
        while (at < log.AppendedEnd)
        {
            using LogRead read = log.Read(at, maxBytes, long.MaxValue);
            Assert.True(read.NextOffset > at, $"nothing at {at}");
            foreach (RecordBatchCopy batch in Batches(read))
            {
                Assert.True(batch.IsCrcValid);
                offsets.Add(batch.BaseOffset);
            }
            at = read.NextOffset;
        }
        return offsets;
    }

    public static List<RecordBatchCopy> Batches(LogRead read)
    {
        var batches = new List<RecordBatchCopy>();
        ReadOnlySpan<byte> rest = read.Bytes.ToArray();
        while (!rest.IsEmpty)
        {
            Assert.Equal(BatchStatus.Ok, RecordBatch.TryRead(rest, out RecordBatch batch));
            batches.Add(
                new RecordBatchCopy(batch.BaseOffset, batch.NextOffset, batch.LeaderEpoch, batch.IsCrcValid(), batch.Bytes.ToArray()));
            rest = rest[batch.Size..];
        }
        return batches;
    }

    public static async Task UntilAsync(Func<bool> condition, string what)
    {
        using var deadline = new CancellationTokenSource(Deadline);
        while (!condition())
        {
            Assert.False(deadline.IsCancellationRequested, $"never came true: {what}");
            await Task.Delay(1);
        }
    }
}

internal sealed record RecordBatchCopy(long BaseOffset, long NextOffset, int LeaderEpoch, bool IsCrcValid, byte[] Bytes);
