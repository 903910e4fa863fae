using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt;

/// <summary>
/// One client's connection. A reading loop takes packets from the pipe in place and hands messages to ingest; a sending loop writes
/// PUBACKs when their commits come, answers, and messages for the client.
/// <para>Invariants: a PUBACK is written only after the flush that covers its message, in the order of arrival; only the sending loop
/// writes; what was read and is not acknowledged is within the limits, and beyond them nothing is read; the first reason to close
/// wins. What a session has to remember is in <see cref="Sessions.SessionStore"/>; this is the way there.</para>
/// <para>Threads: <see cref="RunAsync"/> is called once. <see cref="Close"/>, <see cref="Wake"/>, <see cref="Sweep"/> and the commit
/// listener from any thread. A crash leaves nothing behind but what ingest has stored, acknowledged or not.</para>
/// </summary>
internal sealed partial class MqttConnection : ICommitListener, ISessionConnection
{
    /// <summary>Time that the last bytes to a client may take when its connection is closed.</summary>
    private static readonly TimeSpan CloseGrace = TimeSpan.FromSeconds(5);

    private readonly MqttContext _broker;
    private readonly ConnectionContext _connection;
    private readonly AckQueue _acks = new();
    private readonly ControlQueue _control = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _readingEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _gone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly long _openedAt;
    private readonly string _remote;
    private volatile Closing? _close;
    private volatile Session? _session;
    private string? _clientId;
    private volatile string? _lost;
    private long _drainEndedAt;

    public MqttConnection(MqttContext broker, ConnectionContext connection)
    {
        _broker = broker;
        _connection = connection;
        _openedAt = _lastReadAt = broker.Time.GetTimestamp();
        _remote = connection.RemoteEndPoint?.ToString() ?? "";
    }

    /// <summary>Completes when no message of the client comes any more, its will included.</summary>
    public Task ReadingEnded => _readingEnded.Task;

    private bool IsDraining => _close is { Reason: MqttCloseReason.Shutdown } && Volatile.Read(ref _drainEndedAt) == 0;

    /// <summary>Serves the client until either side ends the connection.</summary>
    /// <returns>Why it ended.</returns>
    public async Task<MqttCloseReason> RunAsync()
    {
        _broker.Logger.MqttConnectionOpened(_connection.ConnectionId, _remote);
        using CancellationTokenRegistration closed = _connection.ConnectionClosed.UnsafeRegister(
            static state => ((MqttConnection)state!)._gone.TrySetResult(), this);
        Task sending = SendAsync();
        await ReadAsync();
        try
        {
            EndSession();
        }
        finally
        {
            _readingEnded.SetResult(); // or whoever takes the identifier over would wait for ever
        }
        await sending;
        await DeliverRestAsync();
        await _connection.Transport.Input.CompleteAsync();
        // The client may still have to take what was written last; the sweep sees to it that this ends.
        await _gone.Task;
        KeepBytes(0, 0);
        LogEnd(_close!);
        return _close!.Reason;
    }

    /// <summary>Ends the connection. The first call counts.</summary>
    /// <param name="reason">Why.</param>
    /// <param name="code">What an MQTT 5 client is told.</param>
    /// <param name="text">The same in words.</param>
    public void Close(MqttCloseReason reason, ReasonCode code, string? text)
    {
        var closing = new Closing(reason, code, text, _broker.Time.GetTimestamp());
        if (Interlocked.CompareExchange(ref _close, closing, null) is null)
        {
            // Not here and now: this may be the log's writer thread, or the loop of another connection, and both would run the loops of
            // this one.
            ThreadPool.UnsafeQueueUserWorkItem(static connection => connection.EndWaits(), this, preferLocal: false);
            _ = _closing.CancelAsync();
            _room.Set();
            _send.Set();
        }
    }

    private void EndWaits()
    {
        _connection.Transport.Input.CancelPendingRead();
        _connection.Transport.Output.CancelPendingFlush();
    }

    /// <summary>After a shutdown began: acknowledgements that are still missing are not waited for any more.</summary>
    public void StopDraining()
    {
        Volatile.Write(ref _drainEndedAt, Math.Max(1, _broker.Time.GetTimestamp()));
        _send.Set();
    }

    /// <summary>There is something to send.</summary>
    public void Wake() => _send.Set();

    /// <inheritdoc/>
    public void OnCommitted(ICommitStream stream) => _send.Set();

    /// <inheritdoc/>
    public void OnLost(ICommitStream stream, string reason)
    {
        _lost = reason;
        _send.Set();
    }

    /// <summary>Closes the connection if a time limit is over. Called about once a second.</summary>
    public void Sweep(long now)
    {
        TimeProvider time = _broker.Time;
        if (_close is { } closing)
        {
            long since = closing.Reason == MqttCloseReason.Shutdown ? Volatile.Read(ref _drainEndedAt) : closing.At;
            if (!IsDraining && time.GetElapsedTime(since, now) > CloseGrace)
            {
                Abort();
            }
            _send.Set(); // what it still waits for may have been lost
            return;
        }
        long flushing = Volatile.Read(ref _flushingSince);
        if (flushing != 0 && time.GetElapsedTime(flushing, now) > _broker.Options.WriteTimeout)
        {
            Close(MqttCloseReason.NotReading, ReasonCode.Unspecified, null);
            Abort();
        }
        else if (!_isAccepted)
        {
            if (time.GetElapsedTime(_openedAt, now) > _broker.Options.ConnectTimeout)
            {
                Close(MqttCloseReason.ConnectTimeout, ReasonCode.Unspecified, "no CONNECT came in time");
            }
        }
        else if (IsPacketLate(now))
        {
            Close(
                MqttCloseReason.PacketTimeout, ReasonCode.Unspecified,
                $"a packet didn't come whole within {_broker.Options.PacketTimeout} (mqtt:packetTimeout) and what its size allows");
        }
        // One and a half times the keep-alive [MQTT-3.1.2-22]. When the broker doesn't read, silence is not the client's fault.
        else if (_keepAlive > TimeSpan.Zero && !_isPaused && time.GetElapsedTime(Volatile.Read(ref _lastReadAt), now) > _keepAlive * 1.5)
        {
            Close(MqttCloseReason.KeepAlive, ReasonCode.KeepAliveTimeout, $"nothing was heard for 1.5 times {_keepAlive.TotalSeconds} s");
        }
        else if (_keepAlive == TimeSpan.Zero && !_isPaused
            && time.GetElapsedTime(Volatile.Read(ref _lastReadAt), now) > _broker.Options.IdleTimeout)
        {
            Close(MqttCloseReason.Idle, ReasonCode.KeepAliveTimeout, $"nothing was heard for {_broker.Options.IdleTimeout} (mqtt:idleTimeout)");
        }
    }

    private void Abort()
    {
        _connection.Abort();
        _gone.TrySetResult();
    }

    /// <summary>
    /// Publishes the will if it is due, and gives the session back: it ends, or waits for the client's next connection.
    /// </summary>
    private void EndSession()
    {
        if (_session is { } session)
        {
            if (_will is { } last && _rights is { } rights && (rights.IsRevoked || !rights.MayPublish(last.Topic)))
            {
                _will = null; // what it may not say any more, it doesn't say at its end either
            }
            uint expiry = _expiry ?? session.Expiry;
            bool isLater = session.IsDurable && expiry > 0 && _will is { DelaySeconds: > 0 };
            if (_isAccepted && !isLater && _will is { } will)
            {
                PublishWill(session, will);
            }
            _broker.Sessions.Disconnect(session, this, keepsWill: isLater, _expiry);
        }
        if (_clientId is not null)
        {
            _broker.Connections.Detach(_clientId, this);
        }
    }

    private void PublishWill(Session session, Will will)
    {
        ReasonCode code;
        try
        {
            code = Take(session, PublishPacket.Of(will));
        }
        catch (Exception e)
        {
            _broker.Logger.MqttConnectionFailed(e, _connection.ConnectionId, _remote);
            code = ReasonCode.Unspecified;
        }
        if (code != ReasonCode.Success)
        {
            _broker.Metrics.MessageDropped(MqttDropReason.Will);
            _broker.Logger.MqttWillNotStored(session.ClientId, code);
        }
        if (_acks.Publish())
        {
            _send.Set();
        }
    }

    /// <summary>Subscribers get what the client sent before it went, when it is committed.</summary>
    private async ValueTask DeliverRestAsync()
    {
        int left = _acks.KeepLocal();
        while (_close!.Reason != MqttCloseReason.Shutdown && Volatile.Read(ref _drainEndedAt) == 0)
        {
            left -= DeliverReady() + _acks.DropLost();
            if (left == 0)
            {
                break;
            }
            await _send.WaitAsync();
        }
        _acks.Clear();
    }

    /// <returns>How many were delivered.</returns>
    private int DeliverReady()
    {
        int delivered = 0;
        Span<byte> unused = stackalloc byte[AckQueue.PubAckBytes];
        while (_acks.TakeReady(unused, out _, out PendingAck entry))
        {
            _broker.Delivery.Deliver(entry.Local!, SendMatches);
            delivered++;
        }
        return delivered;
    }

    private void LogEnd(Closing closing)
    {
        LogLevel level = closing.Reason switch
        {
            MqttCloseReason.Disconnected or MqttCloseReason.Broken or MqttCloseReason.Shutdown => LogLevel.Debug,
            MqttCloseReason.TakenOver or MqttCloseReason.KeepAlive or MqttCloseReason.Idle => LogLevel.Information,
            _ => LogLevel.Warning,
        };
        string note = "";
        if (level == LogLevel.Debug || _broker.Lines.TryPass(closing.Reason, out note))
        {
            _broker.Logger.MqttConnectionClosed(
                level, _connection.ConnectionId, _remote, _session?.ClientId ?? "", closing.Reason, (closing.Text ?? "") + note);
        }
    }

    /// <summary>Why a connection ends.</summary>
    private sealed record Closing(MqttCloseReason Reason, ReasonCode Code, string? Text, long At);
}
