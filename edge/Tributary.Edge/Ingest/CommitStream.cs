namespace Tributary.Edge.Ingest;

/// <summary>
/// The numbers of one partition's messages from the start, or from the last loss, to the next loss. A stream in which messages were
/// lost never moves again: whatever was accepted later has a stream of its own, so nothing lost can seem committed.
/// </summary>
internal sealed class CommitStream : ICommitStream
{
    private long _committed;
    private volatile bool _isLost;

    /// <inheritdoc/>
    public long Committed => Volatile.Read(ref _committed);

    /// <inheritdoc/>
    public bool IsLost => _isLost;

    /// <summary>Called on the writer thread only, before anybody is told.</summary>
    public void End() => _isLost = true;

    /// <summary>Called on the writer thread only.</summary>
    public void Advance(long committed)
    {
        if (committed < _committed)
        {
            throw new InvalidOperationException($"a commit stream went back from {_committed} to {committed}");
        }
        Volatile.Write(ref _committed, committed);
    }
}
