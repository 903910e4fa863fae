using System.Text;
using Tributary.Edge.Ingest;

namespace Tributary.Tests.Edge.Mqtt.Support;

/// <summary>
/// An ingest whose commits, refusals and losses the test decides. Topics that begin with <c>other</c> have a stream of their own.
/// </summary>
internal sealed class TestIngest : IIngest
{
    private readonly Lock _lock = new();
    private readonly List<Accepted> _accepted = [];
    private TaskCompletionSource _room = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Stream _first = new();
    private Stream _second = new();
    private bool _hasRoom = true;

    /// <summary>What the next messages get.</summary>
    public Func<string, IngestRefusal> Refusal { get; set; } = _ => IngestRefusal.None;

    /// <summary>Whether messages are committed as soon as they come.</summary>
    public bool CommitsAtOnce { get; set; }

    /// <summary>What came, in its order.</summary>
    public IReadOnlyList<Accepted> Messages
    {
        get
        {
            lock (_lock)
            {
                return [.. _accepted];
            }
        }
    }

    public int Waiting { get; private set; }

    public bool HasRoom
    {
        get => Volatile.Read(ref _hasRoom);
        set
        {
            lock (_lock)
            {
                _hasRoom = value;
                if (value)
                {
                    _room.TrySetResult();
                    _room = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                }
            }
        }
    }

    public async ValueTask WaitForRoomAsync(CancellationToken cancellation)
    {
        while (true)
        {
            Task room;
            lock (_lock)
            {
                if (_hasRoom)
                {
                    return;
                }
                room = _room.Task;
                Waiting++;
            }
            await room.WaitAsync(cancellation);
        }
    }

    public IngestClient Connect(string clientId) => new(clientId);

    public IngestTicket Accept(IngestClient client, in IngestMessage message, ICommitListener listener)
    {
        string topic = Encoding.UTF8.GetString(message.Topic);
        if (Refusal(topic) is not IngestRefusal.None and var refusal)
        {
            return new IngestTicket(null, -1, refusal);
        }
        IngestTicket ticket;
        lock (_lock)
        {
            Stream stream = topic.StartsWith("other", StringComparison.Ordinal) ? _second : _first;
            ticket = new IngestTicket(stream, stream.Next++, IngestRefusal.None);
            _accepted.Add(new Accepted(client.ClientId, topic, Encoding.UTF8.GetString(message.Payload), listener, stream, ticket.Number));
        }
        if (CommitsAtOnce)
        {
            Commit(topic);
        }
        return ticket;
    }

    /// <summary>A flush covers what came to the stream of that topic: all of it, or the first so many.</summary>
    public void Commit(string topic = "", long? count = null)
    {
        Stream stream = topic.StartsWith("other", StringComparison.Ordinal) ? _second : _first;
        HashSet<ICommitListener> listeners = [];
        lock (_lock)
        {
            long end = count ?? stream.Next;
            listeners.UnionWith(_accepted
                .Where(a => ReferenceEquals(a.Stream, stream) && a.Number >= stream.Committed && a.Number < end)
                .Select(a => a.Listener));
            stream.Advance(end);
        }
        foreach (ICommitListener listener in listeners)
        {
            listener.OnCommitted(stream);
        }
    }

    /// <summary>What is not committed in the stream of that topic is lost.</summary>
    public void Lose(string reason, string topic = "")
    {
        Stream lost;
        HashSet<ICommitListener> listeners;
        lock (_lock)
        {
            bool isSecond = topic.StartsWith("other", StringComparison.Ordinal);
            lost = isSecond ? _second : _first;
            lost.IsLost = true;
            listeners = [.. _accepted.Where(a => ReferenceEquals(a.Stream, lost) && a.Number >= lost.Committed).Select(a => a.Listener)];
            if (isSecond)
            {
                _second = new Stream();
            }
            else
            {
                _first = new Stream();
            }
        }
        foreach (ICommitListener listener in listeners)
        {
            listener.OnLost(lost, reason);
        }
    }

    /// <summary>A message that was taken.</summary>
    internal sealed record Accepted(
        string ClientId, string Topic, string Payload, ICommitListener Listener, ICommitStream Stream, long Number);

    private sealed class Stream : ICommitStream
    {
        private long _committed;

        public long Next { get; set; }

        public long Committed => Volatile.Read(ref _committed);

        public bool IsLost { get; set; }

        public void Advance(long to) => Volatile.Write(ref _committed, Math.Max(_committed, to));
    }
}
