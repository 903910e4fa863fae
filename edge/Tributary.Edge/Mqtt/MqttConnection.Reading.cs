using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Connections;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;

namespace Tributary.Edge.Mqtt;

/// <summary>The reading loop: packets out of the pipe, many at a time, in place where they lie in one piece.</summary>
internal sealed partial class MqttConnection
{
    /// <summary>
    /// Reads that a thread does without a pause: it may be the one that waits for all sockets. Whoever sends more goes on in the thread
    /// pool, as long as it has something to send.
    /// </summary>
    private const int ReadsInARow = 16;

    private readonly AsyncSignal _room = new();
    private Pause _pause;
    private volatile bool _isPaused;
    private long _lastReadAt;
    private int _messagesRead;

    /// <summary>When the packet that has begun to arrive must be there, 0 for none.</summary>
    private long _packetDeadline;
    private long _keptOfPacket;
    private long _keptOfWill;
    private bool _hasAnswered;

    /// <summary>Why the next packet can't be taken now.</summary>
    private enum Pause
    {
        None,

        /// <summary>The client has to be let in first.</summary>
        Welcome,

        /// <summary>Too much of this client is not answered.</summary>
        Answers,

        /// <summary>Ingest has no room.</summary>
        Ingest,

        /// <summary>Something has to be durable first.</summary>
        Journal,

        /// <summary>Others have to get their turn: this may be the thread that waits for all sockets.</summary>
        Turn,

        /// <summary>A message was refused that the client can't be told of but by closing its connection, when its turn comes.</summary>
        Closing,
    }

    private bool HasRoom => _acks.InFlight < _broker.Options.MaxInFlight && _acks.Count < 2L * _broker.Options.MaxInFlight
        && _control.Count < ControlQueue.MaxBytes;

    private async Task ReadAsync()
    {
        PipeReader input = _connection.Transport.Input;
        try
        {
            for (int reads = 1; _close is null; reads++)
            {
                ReadResult result = await input.ReadAsync();
                if (reads % ReadsInARow == 0)
                {
                    await Task.Yield();
                }
                if (_close is not null)
                {
                    break;
                }
                if (_accessChanged)
                {
                    ApplyAccess();
                }
                Volatile.Write(ref _lastReadAt, _broker.Time.GetTimestamp());
                SequencePosition consumed = Process(result.Buffer);
                NotePartial(result.Buffer, consumed);
                input.AdvanceTo(consumed, _pause == Pause.None ? result.Buffer.End : consumed);
                if (_pause != Pause.None)
                {
                    _isPaused = _pause != Pause.Welcome;
                    await (_pause switch
                    {
                        Pause.Welcome => WelcomeAsync(),
                        Pause.Answers or Pause.Closing => WaitForAnswersAsync(),
                        Pause.Journal => WaitForJournalAsync(),
                        Pause.Turn => YieldAsync(),
                        _ => _broker.Ingest.WaitForRoomAsync(_closing.Token),
                    });
                    Volatile.Write(ref _lastReadAt, _broker.Time.GetTimestamp());
                    _isPaused = false;
                    _pause = Pause.None;
                }
                else if (result.IsCompleted)
                {
                    Close(MqttCloseReason.Broken, ReasonCode.Unspecified, null);
                }
            }
        }
        catch (Exception e)
        {
            CloseAfter(e);
        }
    }

    /// <summary>Looks at what is left of a read: the beginning of a packet, or more if the connection can't be read on now.</summary>
    private void NotePartial(in ReadOnlySequence<byte> read, SequencePosition consumed)
    {
        ReadOnlySequence<byte> left = read.Slice(consumed);
        if (left.IsEmpty || _pause != Pause.None)
        {
            Interlocked.Exchange(ref _packetDeadline, 0);
        }
        else if (left.Length != read.Length || _packetDeadline == 0)
        {
            Span<byte> start = stackalloc byte[FixedHeader.MaxLength];
            int length = (int)Math.Min(start.Length, left.Length);
            left.Slice(0, length).CopyTo(start);
            int size = FixedHeader.TryRead(start[..length], out FixedHeader header) ? header.PacketLength : 0;
            double seconds = _broker.Options.PacketTimeout.TotalSeconds + ((double)size / _broker.Options.MinPacketBytesPerSecond);
            Interlocked.Exchange(ref _packetDeadline, _broker.Time.GetTimestamp() + (long)(seconds * _broker.Time.TimestampFrequency));
        }
        if (!KeepBytes(Math.Max(0, left.Length - _broker.Options.ReadBufferBytes), _keptOfWill))
        {
            Close(
                MqttCloseReason.ClientMemory, ReasonCode.QuotaExceeded,
                "there is no memory for the rest of a large packet (mqtt:maxClientBytes)");
        }
    }

    private bool IsPacketLate(long now) => Interlocked.Read(ref _packetDeadline) is > 0 and var deadline && now > deadline;

    /// <summary>Says what the client makes the broker keep.</summary>
    /// <returns>False if there is no memory for it: nothing has changed then.</returns>
    private bool KeepBytes(long ofPacket, long ofWill)
    {
        long change = ofPacket + ofWill - _keptOfPacket - _keptOfWill;
        if (change > 0 && !_broker.TryKeep(change))
        {
            return false;
        }
        if (change < 0)
        {
            _broker.Metrics.ClientMemory(change);
        }
        (_keptOfPacket, _keptOfWill) = (ofPacket, ofWill);
        return true;
    }

    private void CloseAfter(Exception failure)
    {
        switch (failure)
        {
            case MqttProtocolException e:
                Close(e.Reason, e.Code, e.Message);
                break;
            case SessionsUnavailableException e:
                Close(MqttCloseReason.SessionsUnavailable, ReasonCode.Unspecified, e.Message);
                break;
            case OperationCanceledException when _close is not null:
                break;
            case IOException or ConnectionAbortedException or ConnectionResetException:
                Close(MqttCloseReason.Broken, ReasonCode.Unspecified, null);
                break;
            default:
                _broker.Logger.MqttConnectionFailed(failure, _connection.ConnectionId, _remote);
                Close(MqttCloseReason.InternalError, ReasonCode.Unspecified, "the agent failed, and logged why");
                break;
        }
    }

    private static async ValueTask YieldAsync() => await Task.Yield();

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask WaitForAnswersAsync()
    {
        while ((!HasRoom || _pause == Pause.Closing) && _close is null)
        {
            await _room.WaitAsync();
        }
    }

    /// <summary>Handles all whole packets, up to a pause.</summary>
    /// <returns>Where what is left begins.</returns>
    private SequencePosition Process(ReadOnlySequence<byte> buffer)
    {
        long before = buffer.Length;
        try
        {
            while (true)
            {
                int whole = ProcessWhole(buffer.FirstSpan);
                buffer = buffer.Slice(whole);
                if (_pause != Pause.None || _close is not null || (whole == 0 && !TryProcessSplit(ref buffer)))
                {
                    return buffer.Start;
                }
            }
        }
        finally
        {
            _broker.Metrics.Received(_messagesRead, before - buffer.Length);
            _messagesRead = 0;
            if (_acks.Publish() || _hasAnswered)
            {
                _send.Set();
            }
            _hasAnswered = false;
        }
    }

    /// <summary>Handles the packets that lie whole in a span.</summary>
    /// <returns>Bytes of them.</returns>
    private int ProcessWhole(ReadOnlySpan<byte> span)
    {
        int used = 0;
        while (_pause == Pause.None && _close is null && FixedHeader.TryRead(span[used..], out FixedHeader header))
        {
            Check(header);
            if (header.PacketLength > span.Length - used || !TryHandle(header, span.Slice(used + header.Length, header.BodyLength)))
            {
                break;
            }
            used += header.PacketLength;
        }
        return used;
    }

    /// <summary>Handles a packet that is all there, but in more than one piece.</summary>
    /// <returns>Whether it was.</returns>
    private bool TryProcessSplit(ref ReadOnlySequence<byte> buffer)
    {
        if (buffer.IsSingleSegment)
        {
            return false;
        }
        Span<byte> start = stackalloc byte[FixedHeader.MaxLength];
        int length = (int)Math.Min(start.Length, buffer.Length);
        buffer.Slice(0, length).CopyTo(start);
        if (!FixedHeader.TryRead(start[..length], out FixedHeader header))
        {
            return false;
        }
        Check(header);
        if (header.PacketLength > buffer.Length)
        {
            return false;
        }
        byte[] copy = ArrayPool<byte>.Shared.Rent(header.PacketLength);
        try
        {
            buffer.Slice(0, header.PacketLength).CopyTo(copy);
            if (!TryHandle(header, copy.AsSpan(header.Length, header.BodyLength)))
            {
                return false;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(copy);
        }
        buffer = buffer.Slice(header.PacketLength);
        return true;
    }

    /// <summary>What can be said of a packet before the rest of it has come.</summary>
    private void Check(FixedHeader header)
    {
        if (_level == ProtocolLevel.None && header.First != (byte)PacketType.Connect << 4)
        {
            throw new MqttProtocolException(MqttCloseReason.NotConnect, ReasonCode.ProtocolError, "the first packet is not CONNECT");
        }
        if (header.PacketLength > _broker.Options.MaxPacketBytes)
        {
            throw new MqttProtocolException(
                MqttCloseReason.PacketTooLarge, ReasonCode.PacketTooLarge,
                $"a packet has {header.PacketLength} bytes; the setting mqtt:maxPacketBytes allows {_broker.Options.MaxPacketBytes}");
        }
    }
}
