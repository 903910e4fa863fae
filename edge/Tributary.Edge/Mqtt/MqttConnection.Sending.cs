using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;

namespace Tributary.Edge.Mqtt;

/// <summary>The sending loop: answers, PUBACKs of what is committed, messages for the client; as much as there is in one flush.</summary>
internal sealed partial class MqttConnection
{
    /// <summary>Bytes of messages after which they are flushed before more are written.</summary>
    private const int MaxUnflushedBytes = 64 << 10;

    private const int AckSpanBytes = 512;

    private readonly AsyncSignal _send = new();
    private long _flushingSince;
    private long _unflushed;
    private int _messagesWritten;
    private int _acknowledged;
    private Matches? _sendMatches;
    private JournalReader? _reader;

    private PipeWriter Output => _connection.Transport.Output;

    private Matches SendMatches => _sendMatches ??= new Matches();

    private async Task SendAsync()
    {
        try
        {
            while (true)
            {
                Closing? closing = _close;
                bool hasMore = Write();
                bool isLast = closing is not null && (!IsDraining || _acks.IsEmpty);
                if (isLast)
                {
                    WriteFarewell(closing!);
                }
                if (_unflushed > 0 && !await FlushAsync())
                {
                    break;
                }
                if (isLast)
                {
                    break;
                }
                if (!hasMore)
                {
                    await _send.WaitAsync();
                }
                CloseIfLost();
            }
        }
        catch (Exception e)
        {
            CloseAfter(e);
        }
        _reader?.Dispose();
        await Output.CompleteAsync();
    }

    private void CloseIfLost()
    {
        if (_lost is { } reason)
        {
            Close(
                MqttCloseReason.MessagesLost, ReasonCode.Unspecified, $"messages could not be stored and have to be sent again: {reason}");
        }
    }

    /// <returns>Whether the client still reads.</returns>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<bool> FlushAsync()
    {
        _broker.Metrics.Sent(_messagesWritten, _unflushed);
        _broker.Metrics.MessagesAcknowledged(_acknowledged);
        (_messagesWritten, _unflushed, _acknowledged) = (0, 0, 0);
        ValueTask<FlushResult> flush = Output.FlushAsync();
        bool waits = !flush.IsCompleted;
        if (waits)
        {
            Volatile.Write(ref _flushingSince, Math.Max(1, _broker.Time.GetTimestamp()));
            _reader?.Rest(); // it has a batch in memory, and the client may take its time
        }
        FlushResult result = await flush;
        Volatile.Write(ref _flushingSince, 0);
        if (waits)
        {
            await Task.Yield(); // this may be the thread that waits for all sockets, and the next message may be on the disk
        }
        if (!result.IsCompleted)
        {
            return true;
        }
        Close(MqttCloseReason.Broken, ReasonCode.Unspecified, null);
        return false;
    }

    /// <summary>Writes what is ready.</summary>
    /// <returns>Whether there is more, after a flush.</returns>
    private bool Write()
    {
        WriteAnswers();
        if (!_control.WelcomeWritten)
        {
            return false;
        }
        WriteAcks();
        Session session = _session!;
        while (_unflushed < MaxUnflushedBytes)
        {
            switch (session.Outbound.TryTake(this, _broker.Sessions.Committed, out OutboundMessage message, out ushort packetId))
            {
                case OutboundKind.Message:
                    WriteAnswers(); // one of them may be to the subscription that brought it
                    WriteMessage(session, message, packetId);
                    break;
                case OutboundKind.Release:
                    WriteSuccess(packetId, PacketType.PubRel);
                    break;
                default:
                    _reader?.Rest();
                    return false;
            }
        }
        return true;
    }

    private void WriteAnswers()
    {
        if (_control.Count > 0)
        {
            _unflushed += _control.WriteTo(Output);
            _room.Set();
        }
    }

    private void WriteAcks()
    {
        if (!_acks.HasReady)
        {
            return; // and take no memory for it
        }
        while (true)
        {
            Span<byte> span = Output.GetSpan(AckSpanBytes);
            bool found = _acks.TakeReady(span, out int acknowledged, out PendingAck other);
            int bytes = acknowledged * AckQueue.PubAckBytes;
            Output.Advance(bytes);
            _unflushed += bytes;
            _acknowledged += acknowledged;
            if (found)
            {
                Finish(other);
            }
            else if (span.Length - bytes >= AckQueue.PubAckBytes)
            {
                break;
            }
        }
        _room.Set();
    }

    /// <summary>Does what there is to do for a message apart from a PUBACK of success.</summary>
    private void Finish(in PendingAck entry)
    {
        if (entry.Refusal != ReasonCode.Success)
        {
            FinishRefused(entry);
            return;
        }
        if (entry.Local is { } local)
        {
            _broker.Delivery.Deliver(local, SendMatches);
        }
        if (entry.PacketId != 0)
        {
            WriteSuccess(entry.PacketId, entry.Answer);
            _acknowledged += entry.Answer == PacketType.PubComp ? 0 : 1;
        }
    }

    private void WriteSuccess(ushort packetId, PacketType type)
    {
        int bytes = AckQueue.WriteSuccess(Output.GetSpan(AckQueue.PubAckBytes), packetId, type);
        Output.Advance(bytes);
        _unflushed += bytes;
    }

    private void FinishRefused(in PendingAck entry)
    {
        string text = entry.Refusal switch
        {
            ReasonCode.TopicNameInvalid => "the topic name is too long, has too many levels or is one of the broker's own",
            ReasonCode.ImplementationSpecific => "the message is larger than what can be stored",
            ReasonCode.QuotaExceeded => "the disk or its quota is full, or there are too many retained messages",
            ReasonCode.NotAuthorized => "publishing to this topic is not allowed",
            _ => "the partition is offline",
        };
        if (_level == ProtocolLevel.V311)
        {
            Close(MqttCloseReason.MessageRefused, entry.Refusal, text);
            return;
        }
        var builder = new PacketBuilder();
        ReadOnlySpan<byte> packet = Answers.PubAckRefusal(
            builder, entry.Answer, entry.PacketId, entry.Refusal, _connect!.Properties.RequestProblemInformation ? text : null);
        Send(IsTooLarge(packet) ? Answers.PubAckRefusal(builder, entry.Answer, entry.PacketId, entry.Refusal, null) : packet);
    }

    private void WriteMessage(Session session, in OutboundMessage outbound, ushort packetId)
    {
        LocalMessage? message = outbound.Message ?? (_reader ??= _broker.Sessions.OpenReader()).Read(outbound.Offset);
        MqttDropReason? reason = MqttDropReason.Unreadable;
        if (message is not null)
        {
            reason = MqttDropReason.NoLongerAllowed;
            if (MayReceive(message))
            {
                TimeSpan waited = _broker.Time.GetElapsedTime(message.ReceivedAt);
                reason = PublishWriter.TryWrite(Output, outbound with { Message = message }, packetId, _recipient, waited, out int bytes);
                _unflushed += bytes;
            }
            else if (_broker.Sessions.TryPassOn(session, outbound with { Message = message }, packetId))
            {
                message.Release();
                return;
            }
            message.Release();
        }
        if (reason is null)
        {
            _messagesWritten++;
            return;
        }
        _broker.Metrics.MessageDropped(reason.Value);
        if (packetId != 0)
        {
            _broker.Sessions.Acknowledge(session, packetId, outbound.Qos);
        }
    }

    /// <summary>Tells the client why its connection ends, if the protocol has a way to.</summary>
    private void WriteFarewell(Closing closing)
    {
        if (_level == ProtocolLevel.None
            || closing.Reason is MqttCloseReason.Disconnected or MqttCloseReason.Broken or MqttCloseReason.NotReading)
        {
            return;
        }
        var builder = new PacketBuilder();
        if (!_control.WelcomeWritten)
        {
            if (closing.Reason != MqttCloseReason.TakenOver)
            {
                ReasonCode code = closing.Reason == MqttCloseReason.Shutdown ? ReasonCode.ServerUnavailable : closing.Code;
                ReadOnlySpan<byte> packet = Answers.ConnAckRefusal(builder, _level, code, closing.Text);
                Send(IsTooLarge(packet) ? Answers.ConnAckRefusal(builder, _level, code, null) : packet);
            }
        }
        else if (_level == ProtocolLevel.V5)
        {
            ReadOnlySpan<byte> packet = Answers.Disconnect(builder, closing.Code, closing.Text);
            Send(IsTooLarge(packet) ? Answers.Disconnect(builder, closing.Code, null) : packet);
        }
    }

    private bool IsTooLarge(ReadOnlySpan<byte> packet) => packet.Length > _recipient.MaxPacketBytes;

    private void Send(ReadOnlySpan<byte> packet)
    {
        packet.CopyTo(Output.GetSpan(packet.Length));
        Output.Advance(packet.Length);
        _unflushed += packet.Length;
    }
}
