using System.Buffers;
using System.Text;
using System.Threading.Channels;
using MQTTnet;
using MQTTnet.Packets;
using MQTTnet.Protocol;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Source;

/// <summary>
/// The messages of one connection to the broker, on their way into the log.
/// <para>Invariants: messages go to ingest in the order in which they came; one of QoS 1 is acknowledged, in the same order, only after the
/// flush that covers it, or when it can never be stored, which is counted. What can't be stored now is tried again and holds up those behind
/// it. When messages are lost on their way to the disk, none that comes after them is acknowledged: the connection ends, and the broker sends
/// them again on the next one. What waits here is bounded in bytes: beyond that the connection isn't read.</para>
/// <para>Threads: <see cref="Offer"/> and <see cref="WaitForRoomAsync"/> from the client's; the commit listener from the log's writer thread; two loops of its own. A crash
/// leaves what was stored; the broker sends again what was not acknowledged, so a message may be stored twice.</para>
/// </summary>
internal sealed class SourceMessages : ICommitListener, IAsyncDisposable
{
    /// <summary>What the objects of a message take, about.</summary>
    private const int MessageOverhead = 1_024;

    private static readonly TimeSpan FirstRetry = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestRetry = TimeSpan.FromSeconds(5);

    private readonly SourceOptions _options;
    private readonly MqttOptions _limits;
    private readonly IIngest _ingest;
    private readonly IngestClient _client;
    private readonly SourceCounters _counters;
    private readonly TimeProvider _time;
    private readonly Action<string> _end;
    private readonly Channel<Incoming> _incoming = Channel.CreateUnbounded<Incoming>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Channel<Taken> _taken = Channel.CreateUnbounded<Taken>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
    private readonly AsyncSignal _committed = new();
    private readonly AsyncSignal _room = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _taking;
    private readonly Task _acknowledging;
    private volatile string? _lost;
    private volatile string? _waits;
    private int _inFlight;
    private long _bytes;
    private int _isDisposed;

    /// <param name="options">Limits.</param>
    /// <param name="limits">Limits of topics.</param>
    /// <param name="ingest">Where messages go.</param>
    /// <param name="client">Who they come from, for ingest.</param>
    /// <param name="counters">What is counted.</param>
    /// <param name="time">All time.</param>
    /// <param name="end">Called, on any thread, when the connection has to end, with the reason.</param>
    public SourceMessages(
        SourceOptions options, MqttOptions limits, IIngest ingest, IngestClient client, SourceCounters counters, TimeProvider time, Action<string> end)
    {
        (_options, _limits, _ingest, _client, _counters, _time, _end) = (options, limits, ingest, client, counters, time, end);
        _taking = Task.Run(() => RunAsync(TakeAsync));
        _acknowledging = Task.Run(() => RunAsync(AcknowledgeAsync));
    }

    /// <summary>Why messages wait, null if they don't.</summary>
    public string? Waits => _waits;

    /// <summary>Completes when more may be read. Called before each packet, by one reader.</summary>
    public async Task WaitForRoomAsync()
    {
        while (Interlocked.Read(ref _bytes) > _options.MaxPendingBytes && !_stop.IsCancellationRequested)
        {
            await _room.WaitAsync();
        }
    }

    /// <summary>Takes a message over from the client; it never waits.</summary>
    public void Offer(MqttApplicationMessageReceivedEventArgs message)
    {
        message.AutoAcknowledge = false;
        _counters.Receive();
        bool isSure = message.ApplicationMessage.QualityOfServiceLevel != MqttQualityOfServiceLevel.AtMostOnce;
        int bytes = (int)message.ApplicationMessage.Payload.Length + (2 * message.ApplicationMessage.Topic.Length) + MessageOverhead;
        Interlocked.Add(ref _bytes, bytes);
        Interlocked.Increment(ref _inFlight);
        _counters.Fly(1);
        _incoming.Writer.TryWrite(new Incoming(message, isSure, bytes));
    }

    /// <inheritdoc/>
    public void OnCommitted(ICommitStream stream) => _committed.Set();

    /// <inheritdoc/>
    public void OnLost(ICommitStream stream, string reason)
    {
        _lost = reason;
        _committed.Set();
    }

    /// <summary>Acknowledges nothing more. What has come and is not stored will come again. May be called again.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return;
        }
        await _stop.CancelAsync();
        _committed.Set();
        _room.Set();
        await _taking;
        await _acknowledging;
        _counters.Fly(-Interlocked.Exchange(ref _inFlight, 0));
        _stop.Dispose();
    }

    private async Task RunAsync(Func<Task> loop)
    {
        try
        {
            await loop();
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // it was to end
        }
        catch (Exception e)
        {
            _end(e.Message);
        }
    }

    private async Task TakeAsync()
    {
        await foreach (Incoming message in _incoming.Reader.ReadAllAsync(_stop.Token))
        {
            TimeSpan retry = FirstRetry;
            if (_lost is not null)
            {
                return; // what follows would stand before what has to come again
            }
            while (!TryTake(message))
            {
                await Task.Delay(retry, _time, _stop.Token);
                retry = retry * 2 < LongestRetry ? retry * 2 : LongestRetry;
            }
            _waits = null;
            if (!_ingest.HasRoom)
            {
                await _ingest.WaitForRoomAsync(_stop.Token);
            }
        }
    }

    /// <returns>False if it has to be tried again.</returns>
    private bool TryTake(Incoming message)
    {
        MqttApplicationMessage content = message.Args.ApplicationMessage;
        byte[] topic = Encoding.UTF8.GetBytes(content.Topic);
        if (!TopicRules.IsName(topic) || !TopicRules.IsWithin(topic, _limits))
        {
            GiveUp(message, SourceDropReason.TopicName);
            return true;
        }
        ReadOnlySpan<byte> payload = content.Payload.IsSingleSegment ? content.Payload.FirstSpan : content.Payload.ToArray();
        IngestTicket ticket = _ingest.Accept(_client, new IngestMessage(topic, payload) { Properties = UserPropertiesOf(content) }, this);
        switch (ticket.Refusal)
        {
            case IngestRefusal.None:
                _taken.Writer.TryWrite(new Taken(message, ticket.Stream, ticket.Number));
                return true;
            case IngestRefusal.TooLarge:
                GiveUp(message, SourceDropReason.TooLarge);
                return true;
            default:
                if (!message.IsSure)
                {
                    GiveUp(message, SourceDropReason.NoRoom);
                    return true;
                }
                _waits = ticket.Refusal == IngestRefusal.Full ? "the disk or its quota is full" : "the partition is offline";
                return false;
        }
    }

    /// <summary>The user properties as MQTT 5 encodes them. What was no UTF-8 may have become too long for that, and is left out.</summary>
    private static byte[] UserPropertiesOf(MqttApplicationMessage message)
    {
        if (message.UserProperties is not { Count: > 0 } properties)
        {
            return [];
        }
        var bytes = new List<byte>();
        foreach (MqttUserProperty property in properties)
        {
            byte[] name = Encoding.UTF8.GetBytes(property.Name);
            byte[] value = Encoding.UTF8.GetBytes(property.ReadValueAsString());
            if (name.Length <= ushort.MaxValue && value.Length <= ushort.MaxValue)
            {
                bytes.Add((byte)PropertyId.UserProperty);
                AddText(bytes, name);
                AddText(bytes, value);
            }
        }
        return [.. bytes];
    }

    private static void AddText(List<byte> bytes, byte[] utf8)
    {
        bytes.AddRange([(byte)(utf8.Length >> 8), (byte)utf8.Length]);
        bytes.AddRange(utf8);
    }

    private void GiveUp(Incoming message, SourceDropReason reason)
    {
        _counters.Drop(reason);
        _taken.Writer.TryWrite(new Taken(message, null, -1));
    }

    private async Task AcknowledgeAsync()
    {
        await foreach (Taken taken in _taken.Reader.ReadAllAsync(_stop.Token))
        {
            while (taken.Stream is { } stream && stream.Committed <= taken.Number)
            {
                if (_lost is { } reason)
                {
                    _end($"messages could not be stored and have to come again: {reason}");
                    return;
                }
                await _committed.WaitAsync();
                _stop.Token.ThrowIfCancellationRequested();
            }
            if (taken.Message.IsSure)
            {
                await taken.Message.Args.AcknowledgeAsync(_stop.Token);
                _counters.Acknowledge();
            }
            Interlocked.Decrement(ref _inFlight);
            Interlocked.Add(ref _bytes, -taken.Message.Bytes);
            _counters.Fly(-1);
            _room.Set();
        }
    }

    /// <param name="Args">The message and how to acknowledge it.</param>
    /// <param name="IsSure">Whether the broker keeps it until it is acknowledged.</param>
    /// <param name="Bytes">About what it takes.</param>
    private readonly record struct Incoming(MqttApplicationMessageReceivedEventArgs Args, bool IsSure, int Bytes);

    /// <param name="Message">The message.</param>
    /// <param name="Stream">Where it stands; null if it was given up.</param>
    /// <param name="Number">Its number there.</param>
    private readonly record struct Taken(Incoming Message, ICommitStream? Stream, long Number);
}
