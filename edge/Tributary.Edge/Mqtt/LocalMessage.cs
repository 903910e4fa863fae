using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Numerics;
using Tributary.Edge.Clock;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt;

/// <summary>
/// A message kept for local subscribers: until it is committed, and then in the queue of each of them. One copy for all; whoever holds it
/// releases it, and with the last release its memory is used again.
/// </summary>
internal sealed class LocalMessage
{
    /// <summary>A buffer up to this size stays with the object: the shared pool keeps too few of a size.</summary>
    private const int KeptBytes = 1024;

    private LocalMessages? _owner;
    private byte[] _buffer = [];
    private int _topicLength;
    private int _propertiesLength;
    private int _length;
    private int _expiryAt;
    private int _references;

    /// <summary>The session that published it.</summary>
    public Session? Publisher { get; private set; }

    /// <summary>QoS that it was published with.</summary>
    public int Qos { get; private set; }

    /// <summary>Whether it was published with the retain flag.</summary>
    public bool IsRetained { get; private set; }

    /// <summary>
    /// Those who get it by shared subscriptions, chosen when it came; null if there are none. Written before others see the message.
    /// </summary>
    public List<Subscription>? Chosen { get; set; }

    /// <summary>Timestamp of its arrival.</summary>
    public long ReceivedAt { get; private set; }

    /// <summary>Bytes of topic, properties and payload.</summary>
    public int Length => _length;

    public ReadOnlySpan<byte> Topic => _buffer.AsSpan(0, _topicLength);

    /// <summary>Properties of MQTT 5 as published.</summary>
    public ReadOnlySpan<byte> Properties => _buffer.AsSpan(_topicLength, _propertiesLength);

    public ReadOnlySpan<byte> Payload => _buffer.AsSpan(_topicLength + _propertiesLength, _length - _topicLength - _propertiesLength);

    /// <summary>Where in the properties the seconds of the Message Expiry Interval stand, −1 if nowhere.</summary>
    public int ExpiryAt => _expiryAt;

    /// <summary>The Message Expiry Interval in seconds, null for none.</summary>
    public uint? Expiry => _expiryAt < 0 ? null : BinaryPrimitives.ReadUInt32BigEndian(Properties[_expiryAt..]);

    /// <summary>Whether the object becomes another message's when nobody holds it any more.</summary>
    public bool IsUsedAgain { get; init; } = true;

    /// <summary>One more holds it.</summary>
    public void Share() => Interlocked.Increment(ref _references);

    /// <summary>One more holds it, if anybody does. Only for a message whose object is not used again for another one.</summary>
    public bool TryShare()
    {
        int held = Volatile.Read(ref _references);
        while (held > 0)
        {
            int before = Interlocked.CompareExchange(ref _references, held + 1, held);
            if (before == held)
            {
                return true;
            }
            held = before;
        }
        return false;
    }

    /// <summary>One less does.</summary>
    public void Release()
    {
        int left = Interlocked.Decrement(ref _references);
        if (left == 0)
        {
            LocalMessages owner = _owner!;
            int length = _length;
            if (_buffer.Length > KeptBytes)
            {
                ArrayPool<byte>.Shared.Return(_buffer);
                _buffer = [];
            }
            (_owner, Publisher, Chosen) = (null, null, null);
            owner.Return(this, length);
        }
        else if (left < 0)
        {
            throw new InvalidOperationException("a message was released once too often");
        }
    }

    internal void Set(
        LocalMessages owner, Session? publisher, int qos, bool isRetained, ReadOnlySpan<byte> topic, ReadOnlySpan<byte> properties,
        int expiryAt, ReadOnlySpan<byte> payload, long receivedAt)
    {
        _owner = owner;
        Publisher = publisher;
        Qos = qos;
        IsRetained = isRetained;
        ReceivedAt = receivedAt;
        _topicLength = topic.Length;
        _propertiesLength = properties.Length;
        _length = topic.Length + properties.Length + payload.Length;
        _expiryAt = expiryAt;
        if (_buffer.Length < _length)
        {
            _buffer = _length <= KeptBytes
                ? new byte[BitOperations.RoundUpToPowerOf2((uint)_length)]
                : ArrayPool<byte>.Shared.Rent(_length);
        }
        topic.CopyTo(_buffer);
        properties.CopyTo(_buffer.AsSpan(_topicLength));
        payload.CopyTo(_buffer.AsSpan(_topicLength + _propertiesLength));
        _references = 1;
    }
}

/// <summary>
/// Makes the messages that are kept for subscribers, within the memory they may take all together. Callable from any thread.
/// </summary>
internal sealed class LocalMessages(MqttOptions options, MqttMetrics metrics, TimeProvider time)
{
    private readonly EdgeClock _clock = EdgeClock.Of(time);
    private const int MaxSpare = 1024;
    private readonly ConcurrentQueue<LocalMessage> _spare = new();

    /// <summary>Copies a message.</summary>
    /// <returns>Null if there is no memory left for it.</returns>
    public LocalMessage? Keep(Session publisher, in PublishPacket packet)
    {
        int length = LengthOf(packet);
        if (metrics.DeliveryMemory(length) > options.MaxDeliveryBytes)
        {
            metrics.DeliveryMemory(-length);
            return null;
        }
        LocalMessage message = Take();
        message.Set(
            this, publisher, packet.Qos, packet.IsRetained, packet.Topic, packet.Properties, packet.ExpiryAt, packet.Payload, time.GetTimestamp());
        return message;
    }

    /// <summary>
    /// Copies a message that is stored. What is sent next must be in memory, so it is counted and never refused: there is one for each
    /// connection that sends.
    /// </summary>
    /// <param name="qos">QoS that it was published with.</param>
    /// <param name="topic">Topic name.</param>
    /// <param name="properties">Properties as published.</param>
    /// <param name="payload">Payload.</param>
    /// <param name="arrivedAt">Stamp of its arrival. If nobody knows how long ago that is, it is as good as new.</param>
    /// <param name="isUsedAgain">Whether the object may become another message's; false for <see cref="LocalMessage.TryShare"/>.</param>
    public LocalMessage Restore(
        int qos, ReadOnlySpan<byte> topic, ReadOnlySpan<byte> properties, ReadOnlySpan<byte> payload, long arrivedAt, bool isUsedAgain = true)
    {
        metrics.DeliveryMemory(topic.Length + properties.Length + payload.Length);
        long receivedAt = time.GetTimestamp() - (long)((_clock.AgeOf(arrivedAt) ?? TimeSpan.Zero).TotalSeconds * time.TimestampFrequency);
        LocalMessage message = isUsedAgain ? Take() : new LocalMessage { IsUsedAgain = false };
        message.Set(this, null, qos, false, topic, properties, PublishPacket.ExpiryAtIn(properties), payload, receivedAt);
        return message;
    }

    internal static int LengthOf(in PublishPacket packet) => packet.Topic.Length + packet.Properties.Length + packet.Payload.Length;

    internal void Return(LocalMessage message, int length)
    {
        metrics.DeliveryMemory(-length);
        if (message.IsUsedAgain && _spare.Count < MaxSpare)
        {
            _spare.Enqueue(message);
        }
    }

    private LocalMessage Take() => _spare.TryDequeue(out LocalMessage? spare) ? spare : new LocalMessage();
}
