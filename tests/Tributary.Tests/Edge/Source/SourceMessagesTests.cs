using System.Text;
using Microsoft.Extensions.Time.Testing;
using MQTTnet;
using MQTTnet.Packets;
using MQTTnet.Protocol;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Source;
using Tributary.Tests.Edge.Ingest;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Source;

public sealed class SourceMessagesTests : IAsyncDisposable
{
    private readonly TestIngest _ingest = new();
    private readonly SourceCounters _counters = new();
    private readonly FakeTimeProvider _time = new();
    private readonly List<string> _acknowledged = [];
    private readonly List<string> _ends = [];
    private readonly SourceMessages _messages;

    public SourceMessagesTests()
    {
        var options = new SourceOptions { Host = "broker", Port = 1883, ClientId = "agent", MaxPendingBytes = 64 << 10 };
        _messages = new SourceMessages(options, new MqttOptions { MaxTopicLevels = 4 }, _ingest, new IngestClient("agent"), _counters, _time, End);
    }

    public ValueTask DisposeAsync() => _messages.DisposeAsync();

    [Fact]
    public async Task A_message_is_acknowledged_after_its_commit_and_in_the_order_of_coming()
    {
        Offer("a");
        Offer("other/b");
        Offer("c");
        await Wait.Until(() => _ingest.Messages.Count == 3);
        _ingest.Commit("other/b");
        Assert.Empty(Acknowledged());
        _ingest.Commit("a", 1);
        await Wait.Until(() => Acknowledged().Length == 2);
        Assert.Equal(["a", "other/b"], Acknowledged());
        _ingest.Commit();
        await Wait.Until(() => Acknowledged().Length == 3);
        await Wait.Until(() => _counters.InFlight == 0);
        Assert.Equal((3, 3), (_counters.Received, _counters.Acknowledged));
    }

    [Fact]
    public async Task What_the_disk_does_not_take_now_is_tried_again_and_what_came_behind_it_waits()
    {
        bool isFull = true;
        _ingest.Refusal = _ => Volatile.Read(ref isFull) ? IngestRefusal.Full : IngestRefusal.None;
        Offer("a");
        Offer("b");
        await Wait.Until(() => _messages.Waits is not null);
        Assert.Contains("full", _messages.Waits, StringComparison.Ordinal);
        Volatile.Write(ref isFull, false);
        await Wait.Until(() =>
        {
            _time.Advance(TimeSpan.FromSeconds(5));
            return _ingest.Messages.Count == 2;
        });
        Assert.Equal(["a", "b"], _ingest.Messages.Select(message => message.Topic));
        await Wait.Until(() => _messages.Waits is null);
        Assert.Empty(Acknowledged());
    }

    [Theory]
    [InlineData("a/b/c/d/e", nameof(SourceDropReason.TopicName))]
    [InlineData("large", nameof(SourceDropReason.TooLarge))]
    public async Task What_can_never_be_stored_is_counted_and_acknowledged_in_its_turn(string topic, string reason)
    {
        _ingest.Refusal = name => name == "large" ? IngestRefusal.TooLarge : IngestRefusal.None;
        Offer("a");
        Offer(topic);
        await Wait.Until(() => _counters.Dropped(Enum.Parse<SourceDropReason>(reason)) == 1);
        Assert.Empty(Acknowledged());
        _ingest.Commit();
        await Wait.Until(() => Acknowledged().Length == 2);
        Assert.Equal(["a", topic], Acknowledged());
    }

    [Fact]
    public async Task When_messages_are_lost_on_their_way_to_the_disk_the_connection_ends_and_none_of_them_is_acknowledged()
    {
        Offer("a");
        Offer("b");
        await Wait.Until(() => _ingest.Messages.Count == 2);
        _ingest.Commit("", 1);
        await Wait.Until(() => Acknowledged().Length == 1);
        _ingest.Lose("the disk is broken");
        await Wait.Until(() => Ends().Length == 1);
        Assert.Contains("the disk is broken", Ends()[0], StringComparison.Ordinal);
        Assert.Equal(["a"], Acknowledged());
    }

    [Fact]
    public async Task Beyond_its_bytes_the_connection_is_not_read_until_some_are_acknowledged()
    {
        for (int i = 0; i < 70; i++)
        {
            Offer($"m{i}");
        }
        Task room = _messages.WaitForRoomAsync();
        await Wait.Until(() => _ingest.Messages.Count == 70);
        Assert.False(room.IsCompleted);
        _ingest.Commit();
        await room.WaitAsync(ScriptedClient.Deadline);
    }

    [Fact]
    public async Task Of_QoS_0_what_the_disk_does_not_take_is_dropped_and_counted()
    {
        _ingest.Refusal = _ => IngestRefusal.Full;
        Offer("quiet", MqttQualityOfServiceLevel.AtMostOnce);
        await Wait.Until(() => _counters.Dropped(SourceDropReason.NoRoom) == 1);
        await Wait.Until(() => _counters.InFlight == 0);
        Assert.Empty(Acknowledged());
    }

    [Fact]
    public async Task While_ingest_has_no_room_messages_wait()
    {
        _ingest.HasRoom = false;
        Offer("a");
        Offer("b");
        await Wait.Until(() => _ingest.Waiting == 1);
        Assert.Single(_ingest.Messages);
        _ingest.HasRoom = true;
        await Wait.Until(() => _ingest.Messages.Count == 2);
    }

    [Fact]
    public async Task A_user_property_that_is_too_long_as_UTF_8_is_left_out()
    {
        await using IngestBench bench = IngestBench.Open();
        var options = new SourceOptions { Host = "broker", Port = 1883, ClientId = "agent" };
        await using var messages = new SourceMessages(
            options, new MqttOptions(), bench.Ingestor, new IngestClient("agent"), new SourceCounters(), _time, End);
        var message = new MqttApplicationMessage
        {
            Topic = "a",
            QualityOfServiceLevel = MqttQualityOfServiceLevel.AtLeastOnce,
            UserProperties = [User(new string('\uFFFD', 65_535), "v"), User("k", new string('\uFFFD', 65_535)), User("site", "here")],
        };
        var acknowledged = new TaskCompletionSource();
        var packet = new MqttPublishPacket { Topic = "a", QualityOfServiceLevel = MqttQualityOfServiceLevel.AtLeastOnce, PacketIdentifier = 1 };
        messages.Offer(new MqttApplicationMessageReceivedEventArgs("agent", message, packet, (_, _) =>
        {
            acknowledged.TrySetResult();
            return Task.CompletedTask;
        }));
        await Wait.Until(() => acknowledged.Task.IsCompleted);
        Assert.Equal("mqtt.topic=a edge=e1 site=here", Assert.Single(bench.Stored("unrouted")).Headers);
        Assert.Empty(Ends());
    }

    private static MqttUserProperty User(string name, string value) => new(name, Encoding.UTF8.GetBytes(value));

    private string[] Acknowledged()
    {
        lock (_acknowledged)
        {
            return [.. _acknowledged];
        }
    }

    private string[] Ends()
    {
        lock (_ends)
        {
            return [.. _ends];
        }
    }

    private void End(string reason)
    {
        lock (_ends)
        {
            _ends.Add(reason);
        }
    }

    private void Offer(string topic, MqttQualityOfServiceLevel qos = MqttQualityOfServiceLevel.AtLeastOnce)
    {
        var message = new MqttApplicationMessage
        {
            Topic = topic,
            PayloadSegment = Encoding.UTF8.GetBytes($"payload of {topic}"),
            QualityOfServiceLevel = qos,
        };
        var packet = new MqttPublishPacket { Topic = topic, QualityOfServiceLevel = qos, PacketIdentifier = 1 };
        _messages.Offer(new MqttApplicationMessageReceivedEventArgs("agent", message, packet, (_, _) =>
        {
            lock (_acknowledged)
            {
                _acknowledged.Add(topic);
            }
            return Task.CompletedTask;
        }));
    }
}
