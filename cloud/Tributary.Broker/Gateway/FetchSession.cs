using Tributary.Broker.Gateway.Handlers;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Broker.Gateway;

/// <summary>A partition as clients name it in a Fetch: by its topic's id from version 13 on, by name before.</summary>
internal readonly record struct FetchKey(string Topic, Guid TopicId, int Partition);

/// <summary>What a client wants of one partition.</summary>
internal readonly record struct FetchWish(FetchKey Key, long Offset, int MaxBytes, int ClientEpoch, int LastFetchedEpoch)
{
    public static FetchWish Of(FetchRequest.FetchTopic topic, FetchRequest.FetchPartition asked, bool byId) => new(
        KeyOf(topic.Topic, topic.TopicId, asked.Partition, byId), asked.FetchOffset, asked.PartitionMaxBytes, asked.CurrentLeaderEpoch,
        asked.LastFetchedEpoch);

    public static FetchKey KeyOf(string topic, Guid topicId, int partition, bool byId) =>
        byId ? new FetchKey("", topicId, partition) : new FetchKey(topic, Guid.Empty, partition);
}

/// <summary>
/// The partitions that one client fetches again and again (KIP-227): it sends what has changed, and is answered with what has. Order:
/// partitions whose records were sent go behind the others, so that a response that is full does not starve any.
/// </summary>
/// <remarks>
/// Invariants: every request names the epoch that the answer before promised, so that of two requests with the same one only one counts;
/// what a partition was last said to have is what the client was sent. Requests of several connections may meet at one session: its own
/// lock, taken after none and before none. A crash forgets it; the client is told so and begins anew.
/// </remarks>
internal sealed class FetchSession(int id, bool usesTopicIds, long createdAt)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<Entry> _order = new();
    private readonly Dictionary<FetchKey, LinkedListNode<Entry>> _entries = [];
    private int _nextEpoch = 1;

    /// <summary>Its number, never 0.</summary>
    public int Id { get; } = id;

    /// <summary>Whether partitions are named by topic ids.</summary>
    public bool UsesTopicIds { get; } = usesTopicIds;

    /// <summary>Timestamp of its making.</summary>
    public long CreatedAt { get; } = createdAt;

    /// <summary>Timestamp of its last request. Under the cache's lock.</summary>
    public long LastUsedAt { get; set; } = createdAt;

    /// <summary>Partitions that the cache has counted for it. Under the cache's lock.</summary>
    public int CountedPartitions { get; set; }

    /// <summary>Its place in the cache's order of use. Under the cache's lock.</summary>
    public LinkedListNode<FetchSession>? Use { get; set; }

    /// <summary>Takes the partitions of a first, full answer over.</summary>
    public void Fill(FetchTarget[] targets)
    {
        lock (_lock)
        {
            foreach (FetchTarget target in targets)
            {
                if (!_entries.ContainsKey(target.Wish.Key))
                {
                    LinkedListNode<Entry> node = _order.AddLast(new Entry { Wish = target.Wish });
                    _entries.Add(target.Wish.Key, node);
                    node.Value.Tell(target);
                }
            }
        }
    }

    /// <summary>Begins a request: takes what it changes over.</summary>
    /// <param name="body">The request.</param>
    /// <param name="room">How many partitions more it may add.</param>
    /// <param name="wishes">What is wanted now, in the order in which it is served.</param>
    /// <param name="epoch">What <see cref="Settle"/> asks for.</param>
    /// <returns>None, or what the client is told: nothing has changed then.</returns>
    public ErrorCode Begin(FetchRequest body, long room, out FetchWish[] wishes, out int epoch)
    {
        wishes = [];
        epoch = 0;
        lock (_lock)
        {
            if (body.SessionEpoch != _nextEpoch)
            {
                return ErrorCode.InvalidFetchSessionEpoch;
            }
            if (body.Topics.Sum(static topic => (long)topic.Partitions.Length) > room && CountNew(body) > room)
            {
                return ErrorCode.FetchSessionIdNotFound; // there is no memory for it any more
            }
            Update(body);
            epoch = _nextEpoch = _nextEpoch == int.MaxValue ? 1 : _nextEpoch + 1;
            wishes = [.. _order.Select(static entry => entry.Wish)];
            return ErrorCode.None;
        }
    }

    /// <summary>
    /// Ends a request: of the partitions that were looked at, those stay which the client has to hear of, since they have records, an
    /// error, or other ends than it was told.
    /// </summary>
    /// <returns>Null if another request has come meanwhile: the client must not have two answers to one epoch.</returns>
    public FetchTarget[]? Settle(FetchTarget[] targets, int epoch)
    {
        lock (_lock)
        {
            if (epoch != _nextEpoch)
            {
                return null;
            }
            var told = new List<FetchTarget>();
            foreach (FetchTarget target in targets)
            {
                if (_entries.TryGetValue(target.Wish.Key, out LinkedListNode<Entry>? node) && node.Value.IsNews(target))
                {
                    node.Value.Tell(target);
                    told.Add(target);
                    if (target.Size > 0)
                    {
                        _order.Remove(node);
                        _order.AddLast(node);
                    }
                }
            }
            return [.. told];
        }
    }

    private int CountNew(FetchRequest body)
    {
        var added = new HashSet<FetchKey>();
        foreach (FetchRequest.FetchTopic topic in body.Topics)
        {
            foreach (FetchRequest.FetchPartition asked in topic.Partitions)
            {
                added.Add(FetchWish.KeyOf(topic.Topic, topic.TopicId, asked.Partition, UsesTopicIds));
            }
        }
        added.ExceptWith(_entries.Keys);
        return added.Count;
    }

    private void Update(FetchRequest body)
    {
        foreach (FetchRequest.FetchTopic topic in body.Topics)
        {
            foreach (FetchRequest.FetchPartition asked in topic.Partitions)
            {
                var wish = FetchWish.Of(topic, asked, UsesTopicIds);
                if (_entries.TryGetValue(wish.Key, out LinkedListNode<Entry>? node))
                {
                    node.Value.Wish = wish;
                }
                else
                {
                    _entries.Add(wish.Key, _order.AddLast(new Entry { Wish = wish }));
                }
            }
        }
        foreach (FetchRequest.ForgottenTopic topic in body.ForgottenTopicsData)
        {
            foreach (int partition in topic.Partitions)
            {
                if (_entries.Remove(FetchWish.KeyOf(topic.Topic, topic.TopicId, partition, UsesTopicIds), out LinkedListNode<Entry>? node))
                {
                    _order.Remove(node);
                }
            }
        }
    }

    /// <summary>A partition and what the client was last told of it.</summary>
    private sealed class Entry
    {
        private long _highWatermark = -1;
        private long _startOffset = -1;

        public FetchWish Wish { get; set; }

        public bool IsNews(FetchTarget target) => target.Size > 0 || target.Error != ErrorCode.None || target.Diverging is not null
            || target.HighWatermark != _highWatermark || target.StartOffset != _startOffset;

        /// <summary>After an error both ends are −1, so that they are told again when it is over.</summary>
        public void Tell(FetchTarget target) => (_highWatermark, _startOffset) = (target.HighWatermark, target.StartOffset);
    }
}
