using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>The queue of a subscriber, without one.</summary>
public sealed class OutboundQueueTests
{
    private readonly object _connection = new();
    private readonly MqttMetrics _metrics = new();
    private readonly LocalMessages _messages;

    public OutboundQueueTests() => _messages = new LocalMessages(new MqttOptions(), _metrics, TimeProvider.System);

    [Fact]
    public void Identifiers_follow_the_order_and_no_more_than_the_window_is_sent()
    {
        OutboundQueue queue = NewQueue(window: 3);
        for (int i = 0; i < 7; i++)
        {
            Enqueue(queue, 1);
        }
        Assert.Equal([1, 2, 3], Take(queue));
        Assert.True(queue.Acknowledge(2, 1, out _));
        Assert.False(queue.Acknowledge(2, 1, out _));
        Assert.Equal([4], Take(queue));
        Assert.True(queue.Acknowledge(3, 1, out _));
        Assert.True(queue.Acknowledge(1, 1, out _));
        Assert.Equal([5, 6], Take(queue));
        Assert.False(queue.Acknowledge(0, 1, out _));
        Assert.False(queue.Acknowledge(7, 1, out _));
    }

    [Fact]
    public void Identifiers_begin_anew_after_the_last_one_and_skip_what_is_in_use()
    {
        OutboundQueue queue = NewQueue(window: ushort.MaxValue);
        queue.SkipTo(ushort.MaxValue - 2);
        for (int i = 0; i < 4; i++)
        {
            Enqueue(queue, 1);
        }
        Assert.Equal([ushort.MaxValue - 1, ushort.MaxValue, 1, 2], Take(queue));
        Assert.True(queue.Acknowledge(1, 1, out long sequence));
        Assert.Equal(ushort.MaxValue, sequence);
        for (int i = 0; i < ushort.MaxValue; i++)
        {
            Enqueue(queue, 1);
        }
        List<int> sent = Take(queue);
        Assert.Equal(ushort.MaxValue - 4, sent.Count);
        Assert.Equal(ushort.MaxValue - 2, sent[^1]);
        Assert.True(queue.Acknowledge(ushort.MaxValue - 1, 1, out _));
        Assert.Equal([ushort.MaxValue - 1], Take(queue));
    }

    [Fact]
    public void A_message_of_qos_2_is_released_when_its_receipt_is_durable_and_ends_with_its_completion()
    {
        OutboundQueue queue = NewQueue(window: 2);
        queue.Store(queue.NextSequence, new OutboundMessage(null, 2, false, 0, null) { Offset = 10, Size = 1 }, isReserved: false);
        Assert.Equal(OutboundKind.None, queue.TryTake(_connection, flushed: 10, out _, out _));
        Assert.Equal(OutboundKind.Message, queue.TryTake(_connection, flushed: 11, out OutboundMessage message, out ushort id));
        Assert.False(message.IsDuplicate);
        Assert.False(queue.Acknowledge(id, 1, out _)); // PUBACK is not for QoS 2
        Assert.False(queue.Complete(id, out _));
        Assert.True(queue.CanReceive(id, out long sequence, out bool isFirst));
        Assert.True(isFirst);
        queue.SetReceived(sequence, gate: 12);
        Assert.Equal(OutboundKind.None, queue.TryTake(_connection, flushed: 12, out _, out _));
        Assert.Equal(OutboundKind.Release, queue.TryTake(_connection, flushed: 13, out _, out ushort released));
        Assert.Equal(id, released);
        Assert.True(queue.Complete(id, out _));
        Assert.False(queue.Complete(id, out _));
        Assert.Equal(0, queue.StoredMessages);
        Assert.Equal(0, queue.StoredBytes);
        Assert.Equal(0, _metrics.DeliveryBytes);
    }

    [Fact]
    public void After_a_reconnect_all_that_is_stored_comes_again_in_order_and_the_rest_is_gone()
    {
        OutboundQueue queue = NewQueue(window: 10);
        Store(queue, 1, 0);
        Enqueue(queue, 0);
        Store(queue, 2, 1);
        Store(queue, 1, 2);
        Assert.Equal([1, 0, 2, 3], Take(queue));
        Assert.True(queue.CanReceive(2, out long sequence, out _));
        queue.SetReceived(sequence, -1);
        Enqueue(queue, 0);
        Store(queue, 1, 3);
        queue.Detach(_connection);
        Assert.Equal(EnqueueResult.Ended, TryEnqueue(queue, 0));
        Assert.Equal(OutboundKind.None, queue.TryTake(_connection, long.MaxValue, out _, out _));
        object next = new();
        queue.Begin(next, 2);
        Assert.Equal("message 1 again, release 2, message 3 again", Describe(queue, next));
        Assert.True(queue.Acknowledge(1, 1, out _));
        Assert.Equal("message 4", Describe(queue, next));
        Assert.Equal(OutboundKind.None, queue.TryTake(_connection, long.MaxValue, out _, out _)); // another one has it
    }

    [Fact]
    public void Qos_0_that_was_sent_behind_a_message_without_answer_takes_no_room()
    {
        OutboundQueue queue = NewQueue(window: 10);
        Enqueue(queue, 1);
        for (int i = 0; i < 100_000; i++)
        {
            Enqueue(queue, 0);
            Assert.Equal(i == 0 ? 2 : 1, Take(queue).Count);
        }
        Enqueue(queue, 1);
        Assert.Equal([2], Take(queue));
        Assert.True(queue.Acknowledge(2, 1, out _));
        Assert.True(queue.Acknowledge(1, 1, out _));
        Assert.Equal(0, _metrics.DeliveryBytes);
    }

    [Fact]
    public void A_full_queue_drops_qos_0_and_gives_up_on_qos_1_but_takes_any_first_message()
    {
        OutboundQueue queue = NewQueue(window: 3, maxBytes: 1000);
        LocalMessage large = Keep(new string('x', 5000));
        LocalMessage small = Keep("x");
        Assert.Equal(EnqueueResult.Queued, queue.TryEnqueue(new OutboundMessage(large, 1, false, 0, null)));
        Assert.Equal(EnqueueResult.Dropped, queue.TryEnqueue(new OutboundMessage(small, 0, false, 0, null)));
        Assert.Equal(EnqueueResult.Overflow, queue.TryEnqueue(new OutboundMessage(small, 1, false, 0, null)));
        Assert.Single(Take(queue));
        Assert.Equal(EnqueueResult.Queued, queue.TryEnqueue(new OutboundMessage(small, 0, false, 0, null)));
        queue.End();
        Assert.Equal(EnqueueResult.Ended, queue.TryEnqueue(new OutboundMessage(small, 0, false, 0, null)));
        Assert.NotEqual(0, _metrics.DeliveryBytes);
        large.Release();
        small.Release();
        Assert.Equal(0, _metrics.DeliveryBytes);
        Assert.Throws<InvalidOperationException>(small.Release);
    }

    [Fact]
    public void What_is_stored_for_a_session_is_bounded_in_messages_and_in_bytes()
    {
        OutboundQueue queue = NewQueue(window: 3);
        Assert.True(queue.TryReserve(500, Limits(2, 100), out _)); // the first one always
        queue.Store(queue.NextSequence, new OutboundMessage(null, 1, false, 0, null) { Offset = 0, Size = 500 }, isReserved: true);
        Assert.False(queue.TryReserve(1, Limits(2, 500), out _));
        Assert.True(queue.TryReserve(1, Limits(2, 501), out _));
        queue.Store(queue.NextSequence, new OutboundMessage(null, 1, false, 0, null) { Offset = 1, Size = 1 }, isReserved: true);
        Assert.False(queue.TryReserve(1, Limits(2, long.MaxValue), out _));
        queue.End();
        Assert.Equal(0, _metrics.QueueBytes);
    }

    [Fact]
    public void Places_of_what_is_stored_are_bounded_over_all_sessions_apart_from_a_few_of_each_and_take_nothing_from_others()
    {
        MqttOptions limits = new() { MaxQueueMemoryBytes = 100 * OutboundQueue.StoredBytesOfEntry };
        int Fill(OutboundQueue queue)
        {
            int count = 0;
            for (; queue.TryReserve(1, limits, out _); count++)
            {
                queue.Store(queue.NextSequence, new OutboundMessage(null, 1, false, 0, null) { Offset = count, Size = 1 }, isReserved: true);
            }
            return count;
        }
        OutboundQueue first = NewQueue(window: 3);
        Assert.Equal(100, Fill(first));
        OutboundQueue second = NewQueue(window: 3);
        Assert.Equal(OutboundQueue.GuaranteedMessages, Fill(second));
        Assert.Equal(0, _metrics.DeliveryBytes);
        first.End();
        Assert.Equal(100 - OutboundQueue.GuaranteedMessages, Fill(second));
        second.End();
        Assert.Equal(0, _metrics.QueueBytes);
    }

    [Fact]
    public void A_receipt_that_comes_again_is_noted_once_and_releases_once()
    {
        OutboundQueue queue = NewQueue(window: 2);
        Store(queue, 2, 0);
        Assert.Equal([1], Take(queue));
        for (int i = 0; i < 1000; i++)
        {
            Assert.True(queue.CanReceive(1, out long sequence, out bool isFirst));
            Assert.Equal(i == 0, isFirst);
            if (isFirst)
            {
                queue.SetReceived(sequence, gate: 5);
            }
        }
        Assert.Equal(OutboundKind.None, queue.TryTake(_connection, flushed: 5, out _, out _));
        Assert.Equal("release 1", Describe(queue, _connection));
        Assert.True(queue.CanReceive(1, out _, out _));
        Assert.Equal("release 1", Describe(queue, _connection));
        Assert.True(queue.CanReceive(1, out _, out _));
        Assert.True(queue.Complete(1, out _));
        Assert.Equal("", Describe(queue, _connection));
    }

    private static MqttOptions Limits(int messages, long bytes) => new() { MaxQueuedMessages = messages, MaxQueuedBytes = bytes };

    private OutboundQueue NewQueue(int window, int maxBytes = 16 << 20)
    {
        var queue = new OutboundQueue(maxBytes, long.MaxValue, _metrics);
        queue.Begin(_connection, window);
        return queue;
    }

    private string Describe(OutboundQueue queue, object connection)
    {
        var told = new List<string>();
        while (queue.TryTake(connection, long.MaxValue, out OutboundMessage message, out ushort id) is not OutboundKind.None and var kind)
        {
            told.Add($"{kind.ToString().ToLowerInvariant()} {id}{(message.IsDuplicate ? " again" : "")}");
        }
        return string.Join(", ", told);
    }

    private List<int> Take(OutboundQueue queue)
    {
        List<int> ids = [];
        while (queue.TryTake(_connection, long.MaxValue, out OutboundMessage message, out ushort id) == OutboundKind.Message)
        {
            ids.Add(id);
            message.Message?.Release();
        }
        return ids;
    }

    private static void Store(OutboundQueue queue, int qos, long offset) =>
        queue.Store(queue.NextSequence, new OutboundMessage(null, qos, false, 0, null) { Offset = offset, Size = 1 }, isReserved: false);

    private void Enqueue(OutboundQueue queue, int qos) => Assert.Equal(EnqueueResult.Queued, TryEnqueue(queue, qos));

    private EnqueueResult TryEnqueue(OutboundQueue queue, int qos)
    {
        LocalMessage message = Keep("x");
        EnqueueResult result = queue.TryEnqueue(new OutboundMessage(message, qos, false, 0, null));
        message.Release();
        return result;
    }

    private LocalMessage Keep(string payload)
    {
        byte[] publish = Support.Packets.Publish(4, "t", payload);
        FixedHeader.TryRead(publish, out FixedHeader header);
        return _messages.Keep(null!, PublishPacket.Read(header, publish.AsSpan(header.Length), ProtocolLevel.V311))!;
    }
}
