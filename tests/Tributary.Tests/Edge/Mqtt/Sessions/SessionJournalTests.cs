using System.Runtime.CompilerServices;
using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Records;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Log;
using Tributary.Log.Storage;
using Tributary.Tests.Edge.Ingest;
using Tributary.Tests.Edge.Mqtt.Support;
using Tributary.Tests.Edge.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt.Sessions;

/// <summary>The journal when the disk fails under it.</summary>
public sealed class SessionJournalTests
{
    [Fact]
    public async Task Whoever_waits_for_an_entry_hears_of_its_loss_also_if_it_came_after_the_journal_had_ended()
    {
        var storage = new SteeredStorage(new MemoryStorage());
        await using var sessions = new TestSessions(new MqttOptions(), new FakeTimeProvider(), storage);
        var journal = new SessionJournal(sessions.Buffer.OpenJournal(), sessions.Buffer, new FakeTimeProvider());
        var first = new RecordingListener();
        storage.FailNextFlush();
        journal.Append([(byte)EntryKind.SessionEnded, 2], first);
        first.WaitForLoss();
        Assert.True(journal.IsLost);

        var later = new RecordingListener();
        long offset = journal.Append([(byte)EntryKind.SessionEnded, 2], later);
        later.WaitForLoss();
        var notified = new RecordingListener();
        journal.Notify(offset, notified);
        Assert.Single(notified.Lost);
        await Assert.ThrowsAsync<IOException>(() => journal.WaitAsync(offset));
        Assert.All(new[] { first, later, notified }, listener => Assert.Same(journal, Assert.Single(listener.Lost).Stream));
    }

    [Fact]
    public void A_journal_that_has_ended_is_not_kept_by_its_log()
    {
        var bench = new SessionBench(new MqttOptions(), new MemoryStorage());
        List<WeakReference> ended = [.. Enumerable.Range(0, 3).Select(_ => EndOne(bench))];
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        Assert.All(ended, journal => Assert.False(journal.IsAlive));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference EndOne(SessionBench bench)
    {
        PartitionLog log = bench.Buffer.OpenJournal();
        var journal = new SessionJournal(log, bench.Buffer, bench.Time);
        using var foreign = new RecordBatchBuilder();
        foreign.Add(0, default, hasKey: false, "?"u8, hasValue: true, default, headerCount: 0);
        log.Append(foreign.Build(BatchProducer.None).Span);
        journal.Append([(byte)EntryKind.SessionEnded, 2], null);
        bench.Write();
        Assert.True(journal.IsLost);
        return new WeakReference(journal);
    }
}
