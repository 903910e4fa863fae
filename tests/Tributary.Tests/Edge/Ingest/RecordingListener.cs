using Tributary.Edge.Ingest;
using Tributary.Tests.Edge.Support;
using Xunit;

namespace Tributary.Tests.Edge.Ingest;

/// <summary>Remembers what a connection is told.</summary>
internal sealed class RecordingListener : ICommitListener
{
    private readonly object _lock = new();
    private readonly List<(ICommitStream Stream, long Committed)> _lost = [];
    private int _committedCalls;

    /// <summary>Streams that were reported lost, with what was committed of them then.</summary>
    public IReadOnlyList<(ICommitStream Stream, long Committed)> Lost
    {
        get
        {
            lock (_lock)
            {
                return [.. _lost];
            }
        }
    }

    /// <summary>The reason of the last loss.</summary>
    public string? Reason { get; private set; }

    public int CommittedCalls
    {
        get
        {
            lock (_lock)
            {
                return _committedCalls;
            }
        }
    }

    public void OnCommitted(ICommitStream stream)
    {
        lock (_lock)
        {
            _committedCalls++;
            Monitor.PulseAll(_lock);
        }
    }

    public void OnLost(ICommitStream stream, string reason)
    {
        lock (_lock)
        {
            _lost.Add((stream, stream.Committed));
            Reason = reason;
            Monitor.PulseAll(_lock);
        }
    }

    public bool IsLost(ICommitStream stream)
    {
        lock (_lock)
        {
            return _lost.Exists(lost => ReferenceEquals(lost.Stream, stream));
        }
    }

    /// <summary>Waits until the message is committed; woken only by what this listener is told.</summary>
    public void WaitForCommit(IngestTicket ticket)
    {
        Assert.Equal(IngestRefusal.None, ticket.Refusal);
        WaitUntil(() => ticket.Stream!.Committed > ticket.Number, "a commit");
    }

    public void WaitForLoss(int count = 1) => WaitUntil(() => _lost.Count >= count, "a loss");

    private void WaitUntil(Func<bool> condition, string what)
    {
        lock (_lock)
        {
            while (!condition())
            {
                Assert.True(Monitor.Wait(_lock, Blocking.Deadline), $"not within the deadline: {what}");
            }
        }
    }
}
