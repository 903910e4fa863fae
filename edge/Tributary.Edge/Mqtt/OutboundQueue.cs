using System.Collections;

namespace Tributary.Edge.Mqtt;

/// <summary>A message on its way to one subscriber.</summary>
/// <param name="Message">The message; one reference belongs to this.</param>
/// <param name="Qos">QoS that it is sent with.</param>
/// <param name="Retain">Whether the retain flag is kept.</param>
/// <param name="Identifier">Subscription identifier, 0 for none.</param>
/// <param name="MoreIdentifiers">Further ones, if several subscriptions matched; null for none.</param>
internal readonly record struct OutboundMessage(LocalMessage Message, int Qos, bool Retain, uint Identifier, uint[]? MoreIdentifiers);

/// <summary>What became of a message for a subscriber.</summary>
internal enum EnqueueResult
{
    Queued,

    /// <summary>The queue is full: QoS 0 is dropped.</summary>
    Dropped,

    /// <summary>The queue is full, and a QoS 1 message must not be dropped: the subscriber has to go.</summary>
    Overflow,

    /// <summary>The session has ended.</summary>
    Ended,
}

/// <summary>
/// The messages that wait to be sent to a subscriber, and the packet identifiers of those it has not acknowledged.
/// <para>Invariants: messages leave in the order they came; at most <c>window</c> identifiers are in use, and one that was given back is
/// used again as late as possible; what waits is within its bytes, but one message always has room.</para>
/// <para>Threads: any; one lock, under which nothing else is called. With a durable session this will outlive its connection.</para>
/// </summary>
/// <param name="maxBytes">Most bytes that wait.</param>
/// <param name="window">Most identifiers in use.</param>
/// <param name="maxDeliveryBytes">Most bytes that are kept for all subscribers.</param>
/// <param name="metrics">Counts them.</param>
internal sealed class OutboundQueue(int maxBytes, int window, long maxDeliveryBytes, MqttMetrics metrics)
{
    /// <summary>What an entry takes beside the message, about.</summary>
    private const int EntryBytes = 64;

    private readonly Lock _lock = new();
    private Queue<OutboundMessage>? _messages;
    private long _bytes;
    private bool _ended;

    // A ring of free identifiers; made when the first one is needed.
    private ushort[] _freeIds = [];
    private BitArray? _used;
    private int _firstFree;
    private int _freeCount;

    /// <summary>Adds a message, and a reference to it if it is queued.</summary>
    public EnqueueResult TryEnqueue(in OutboundMessage message)
    {
        lock (_lock)
        {
            if (_ended)
            {
                return EnqueueResult.Ended;
            }
            int size = message.Message.Length + EntryBytes;
            if ((_bytes > 0 && _bytes + size > maxBytes) || !TryTakePlace())
            {
                return message.Qos == 0 ? EnqueueResult.Dropped : EnqueueResult.Overflow;
            }
            _bytes += size;
            message.Message.Share();
            (_messages ??= new Queue<OutboundMessage>()).Enqueue(message);
            return EnqueueResult.Queued;
        }
    }

    /// <summary>Takes the first message if it may be sent now.</summary>
    /// <param name="message">The message; the caller releases it.</param>
    /// <param name="packetId">Its packet identifier, 0 for QoS 0.</param>
    public bool TryTake(out OutboundMessage message, out ushort packetId)
    {
        packetId = 0;
        lock (_lock)
        {
            if (_messages is null || !_messages.TryPeek(out message) || (message.Qos > 0 && !TryTakeId(out packetId)))
            {
                message = default;
                return false;
            }
            _messages.Dequeue();
            metrics.DeliveryMemory(-EntryBytes);
            _bytes -= message.Message.Length + EntryBytes;
            return true;
        }
    }

    /// <summary>The subscriber has acknowledged, or will never get, the message of that identifier.</summary>
    /// <returns>False if there is none.</returns>
    public bool Acknowledge(ushort packetId)
    {
        lock (_lock)
        {
            if (_used is null || packetId > _used.Length || packetId == 0 || !_used[packetId - 1])
            {
                return false;
            }
            _used[packetId - 1] = false;
            _freeIds[(_firstFree + _freeCount++) % window] = packetId;
            return true;
        }
    }

    /// <summary>Drops everything and takes nothing more.</summary>
    public void End()
    {
        lock (_lock)
        {
            _ended = true;
            while (_messages is not null && _messages.TryDequeue(out OutboundMessage message))
            {
                message.Message.Release();
                metrics.DeliveryMemory(-EntryBytes);
            }
            _messages = null;
        }
    }

    /// <summary>One message may wait in many queues: their places count beside it.</summary>
    private bool TryTakePlace()
    {
        if (metrics.DeliveryMemory(EntryBytes) <= maxDeliveryBytes)
        {
            return true;
        }
        metrics.DeliveryMemory(-EntryBytes);
        return false;
    }

    private bool TryTakeId(out ushort packetId)
    {
        if (_used is null)
        {
            _used = new BitArray(window);
            _freeIds = new ushort[window];
            for (int i = 0; i < window; i++)
            {
                _freeIds[i] = (ushort)(i + 1);
            }
            _freeCount = window;
        }
        if (_freeCount == 0)
        {
            packetId = 0;
            return false;
        }
        packetId = _freeIds[_firstFree];
        _firstFree = (_firstFree + 1) % window;
        _freeCount--;
        _used[packetId - 1] = true;
        return true;
    }
}
