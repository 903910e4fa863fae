using Tributary.FirmwareSim.Firmware;
using Xunit;

namespace Tributary.Tests.FirmwareSim;

/// <summary>What a device keeps until it is acknowledged.</summary>
public sealed class OutboxTests
{
    [Fact]
    public void Messages_are_sent_in_order_up_to_the_window()
    {
        var outbox = new Outbox(limit: 10, window: 2);
        Fill(outbox, 1, 3);
        Assert.Equal([1, 2], Send(outbox));
        Assert.True(outbox.Remove(1));
        Assert.Equal([3], Send(outbox));
        Assert.Equal(2, outbox.InFlight);
    }

    [Fact]
    public void After_a_lost_connection_what_was_not_acknowledged_is_sent_again_before_anything_new()
    {
        var outbox = new Outbox(limit: 10, window: 4);
        Fill(outbox, 1, 3);
        Send(outbox);
        outbox.Remove(2);
        outbox.OnLost();
        Fill(outbox, 4, 4);
        Assert.Equal(1, outbox.TakeNext(TimeSpan.Zero, out bool first)!.Id);
        Assert.Equal(3, outbox.TakeNext(TimeSpan.Zero, out bool second)!.Id);
        Assert.Equal(4, outbox.TakeNext(TimeSpan.Zero, out bool third)!.Id);
        Assert.Equal((true, true, false), (first, second, third));
    }

    [Fact]
    public void A_full_outbox_gives_up_its_oldest_message_and_says_so()
    {
        var outbox = new Outbox(limit: 3, window: 2);
        Fill(outbox, 1, 3);
        Assert.True(outbox.Add(Message(4)));
        Assert.Equal(3, outbox.Count);
        Assert.Equal([2, 3], Send(outbox));
    }

    [Fact]
    public void An_acknowledgement_of_a_message_that_was_given_up_means_nothing()
    {
        var outbox = new Outbox(limit: 2, window: 2);
        Fill(outbox, 1, 2);
        Send(outbox);
        outbox.Add(Message(3));
        Assert.False(outbox.Remove(1));
        Assert.Equal(1, outbox.InFlight);
        Assert.True(outbox.Remove(2));
    }

    [Fact]
    public void An_acknowledgement_of_an_earlier_connection_means_nothing_until_the_message_is_sent_again()
    {
        var outbox = new Outbox(limit: 2, window: 2);
        Fill(outbox, 1, 1);
        Send(outbox);
        outbox.OnLost();
        Assert.False(outbox.Remove(1));
        Assert.Equal(1, outbox.Count);
    }

    [Fact]
    public void It_knows_since_when_the_oldest_message_waits_for_its_acknowledgement()
    {
        var outbox = new Outbox(limit: 5, window: 5);
        Assert.Null(outbox.OldestSentAt);
        Fill(outbox, 1, 2);
        outbox.TakeNext(TimeSpan.FromSeconds(1), out _);
        outbox.TakeNext(TimeSpan.FromSeconds(2), out _);
        Assert.Equal(TimeSpan.FromSeconds(1), outbox.OldestSentAt);
        outbox.Remove(1);
        Assert.Equal(TimeSpan.FromSeconds(2), outbox.OldestSentAt);
    }

    private static OutboundMessage Message(long id) => new(id, "t", []);

    private static void Fill(Outbox outbox, long first, long last)
    {
        for (long id = first; id <= last; id++)
        {
            outbox.Add(Message(id));
        }
    }

    private static List<long> Send(Outbox outbox)
    {
        var sent = new List<long>();
        while (outbox.TakeNext(TimeSpan.Zero, out _) is { } message)
        {
            sent.Add(message.Id);
        }
        return sent;
    }
}
