using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Tributary.Broker.Gateway.Handlers;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Limits;

namespace Tributary.Broker.Gateway;

/// <summary>
/// One client's connection. A reading loop takes requests and serves them one after the other; a Produce is only begun (appended) there,
/// and an answering loop sends its answer when the flush has come, in the order of arrival. Any other request waits until the answers
/// before it are sent.
/// </summary>
/// <remarks>
/// Invariants: answers leave in the order of the requests; the pipe is written by one loop at a time (the reading loop writes only while
/// no answer is outstanding). <see cref="RunAsync"/> is called once; <see cref="CloseIfStuck"/> from any thread.
/// </remarks>
internal sealed class KafkaConnection(
    BrokerContext broker, RequestDispatcher dispatcher, LineLimit<CloseReason> lines, ConnectionContext connection,
    CancellationToken stopping)
{
    private readonly Channel<Outstanding> _outstanding = Channel.CreateBounded<Outstanding>(
        new BoundedChannelOptions(broker.Options.MaxPipelinedProduces) { SingleReader = true, SingleWriter = true });

    private readonly FrameReader _frames = new(connection.Transport.Input, broker.Options, broker.RequestMemory, broker.Time);
    private readonly ByteBudget _unanswered = new(broker.Options.MaxConnectionRequestBytes);
    private readonly ResponseFrame _response = new();

    /// <summary>Reads no further requests. What came before the client hung up is read all the same.</summary>
    private readonly CancellationTokenSource _closing = CancellationTokenSource.CreateLinkedTokenSource(stopping);

    /// <summary>Sends no further answers.</summary>
    private readonly CancellationTokenSource _broken = new();
    private readonly ClientInfo _client = new(connection.ConnectionId, connection.RemoteEndPoint, connection.LocalEndPoint);
    private Func<ValueTask>? _flush;
    private string? _clientId;
    private int _outstandingCount;
    private bool _isServing;
    private int _stuck = -1;
    private long _lastActivity = broker.Time.GetTimestamp();

    /// <summary>When the answer that is being sent must be taken.</summary>
    private long _sendDeadline = long.MaxValue;

    private CloseReason CancelReason => stopping.IsCancellationRequested ? CloseReason.Shutdown
        : connection.ConnectionClosed.IsCancellationRequested ? CloseReason.ClosedByClient
        : CloseReason.Broken;

    private PipeWriter Output => connection.Transport.Output;

    /// <summary>Serves the client until either side ends the connection.</summary>
    public async Task RunAsync()
    {
        broker.Logger.ConnectionOpened(_client.ConnectionId, _client.Remote);
        using var gone = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token, connection.ConnectionClosed);
        Task answering = AnswerAsync();
        (CloseReason reason, Exception? failure) = await ServeAsync(gone.Token);
        _outstanding.Writer.Complete();
        await answering;
        while (_outstanding.Reader.TryRead(out Outstanding left))
        {
            Release(left);
        }
        await EndAsync(reason, failure);
    }

    /// <summary>Closes the connection if it has been idle, or a request or a response has been on its way, for too long.</summary>
    public void CloseIfStuck(long timestamp)
    {
        CloseReason? reason = _frames.Overdue(timestamp)
            ?? (timestamp > Interlocked.Read(ref _sendDeadline) ? CloseReason.SlowReader : default(CloseReason?))
            ?? (IsIdle(timestamp) ? CloseReason.Idle : null);
        if (reason is { } stuck && Interlocked.CompareExchange(ref _stuck, (int)stuck, -1) == -1)
        {
            Cancel(_closing);
            Cancel(_broken);
        }
    }

    /// <summary>A client whose request is served isn't idle, however long that takes: a JoinGroup waits for other members.</summary>
    private bool IsIdle(long timestamp) =>
        !_frames.IsArriving && !Volatile.Read(ref _isServing) && Volatile.Read(ref _outstandingCount) == 0
        && broker.Time.GetElapsedTime(Interlocked.Read(ref _lastActivity), timestamp) > broker.Options.IdleLimit;

    private async Task<(CloseReason Reason, Exception? Failure)> ServeAsync(CancellationToken gone)
    {
        try
        {
            while (await _frames.ReadAsync(_closing.Token))
            {
                Touch();
                Volatile.Write(ref _isServing, true);
                Request request = dispatcher.Parse(_frames.Frame, _client);
                _clientId = request.ClientId;
                if (request.Handler is PipelinedHandler produce)
                {
                    await ProduceAsync(produce, request);
                }
                else
                {
                    await AnswerInTurnAsync(request, gone);
                }
                Volatile.Write(ref _isServing, false);
            }
            return (CloseReason.ClosedByClient, null);
        }
        catch (ConnectionRefusedException e)
        {
            return (e.Reason, e);
        }
        catch (KafkaProtocolException e)
        {
            return (CloseReason.Malformed, e);
        }
        catch (OperationCanceledException)
        {
            return (CancelReason, null);
        }
        catch (Exception e) when (e is IOException or ConnectionAbortedException or ConnectionResetException)
        {
            return (CloseReason.Broken, null);
        }
        catch (Exception e)
        {
            return (CloseReason.InternalError, e);
        }
        finally
        {
            _frames.Release();
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ProduceAsync(PipelinedHandler handler, Request request)
    {
        int size = request.Frame.Length;
        await _unanswered.AcquireAsync(size, _closing.Token);
        PendingProduce? pending;
        try
        {
            pending = await handler.BeginAsync(request, _closing.Token);
        }
        catch
        {
            _unanswered.Release(size);
            broker.RequestMemory.Release(request.Claimed);
            throw;
        }
        _frames.Release();
        if (pending is null)
        {
            _unanswered.Release(size); // acks=0: nobody waits for an answer
            broker.RequestMemory.Release(request.Claimed);
            broker.Metrics.RequestServed(request.Handler.Name, broker.Time.GetElapsedTime(request.ReceivedAt));
            return;
        }
        _unanswered.Exceed(request.Claimed);
        Interlocked.Increment(ref _outstandingCount);
        var outstanding = new Outstanding(pending, null, size);
        try
        {
            await _outstanding.Writer.WriteAsync(outstanding, _broken.Token);
        }
        catch
        {
            Release(outstanding);
            throw;
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask AnswerInTurnAsync(Request request, CancellationToken gone)
    {
        if (Volatile.Read(ref _outstandingCount) > 0)
        {
            var turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await _outstanding.Writer.WriteAsync(new Outstanding(null, turn, 0), _broken.Token);
            await turn.Task.WaitAsync(_broken.Token);
        }
        try
        {
            await request.Handler.HandleAsync(request, _response, gone);
            _frames.Release();
            SendBy(_response.Size);
            await _response.WriteToAsync(Output, _flush ??= FlushAsync);
            await FlushAsync();
            Sent();
        }
        finally
        {
            _response.Clear();
            broker.RequestMemory.Release(request.Claimed);
        }
        broker.Metrics.RequestServed(request.Handler.Name, broker.Time.GetElapsedTime(request.ReceivedAt));
    }

    /// <summary>
    /// The answering loop. It ends when the reading loop has, and what is outstanding is answered or the connection is broken.
    /// </summary>
    private async Task AnswerAsync()
    {
        using ResponseFrame response = new();
        using var deadline = new PendingDeadline(broker.Time);
        try
        {
            while (await _outstanding.Reader.WaitToReadAsync(_broken.Token))
            {
                int answered = 0;
                while (_outstanding.Reader.TryRead(out Outstanding next))
                {
                    if (next.Turn is not null)
                    {
                        await SendAnsweredAsync(answered);
                        answered = 0;
                        next.Turn.SetResult();
                        continue;
                    }
                    try
                    {
                        if (!next.Pending!.Wait.IsOver)
                        {
                            await SendAnsweredAsync(answered); // answers that are ready don't wait for one that isn't
                            answered = 0;
                            await deadline.WaitAsync(next.Pending);
                        }
                        Answer(next.Pending, response);
                    }
                    finally
                    {
                        Release(next);
                    }
                    answered++;
                }
                await SendAnsweredAsync(answered);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or ConnectionAbortedException or ConnectionResetException)
        {
            // The client is gone: what it sent is appended, and nobody is there to be told.
        }
        catch (Exception e)
        {
            broker.Logger.AnswerFailed(e, _client.ConnectionId);
        }
        finally
        {
            Cancel(_closing);
            Cancel(_broken);
        }
    }

    /// <summary>Gives back what a Produce holds, answered or not.</summary>
    private void Release(Outstanding over)
    {
        if (over.Pending is { Request.Claimed: var claimed })
        {
            _unanswered.Release(over.Size + claimed);
            broker.RequestMemory.Release(claimed);
        }
    }

    private void Answer(PendingProduce pending, ResponseFrame response)
    {
        pending.WriteTo(response);
        response.WriteTo(Output);
        broker.Metrics.RequestServed(pending.Request.Handler.Name, broker.Time.GetElapsedTime(pending.Request.ReceivedAt));
    }

    /// <summary>
    /// Sends what was written. Only then are those answers outstanding no more, and the pipe is free for the reading loop.
    /// </summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask SendAnsweredAsync(int answered)
    {
        if (answered > 0)
        {
            SendBy(0);
            await FlushAsync();
            Sent();
            Interlocked.Add(ref _outstandingCount, -answered);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask FlushAsync()
    {
        FlushResult flushed = await Output.FlushAsync(_broken.Token);
        if (flushed.IsCompleted)
        {
            throw new IOException("the client reads no more");
        }
        Touch();
    }

    private async ValueTask EndAsync(CloseReason reason, Exception? failure)
    {
        if (_stuck >= 0)
        {
            reason = (CloseReason)_stuck;
        }
        string who = _client.Describe(_clientId);
        if (reason == CloseReason.InternalError)
        {
            broker.Logger.ConnectionFailed(failure!, _client.ConnectionId, who);
        }
        else if ((failure?.Message ?? DetailOf(reason)) is { } detail)
        {
            if (lines.TryPass(reason, out string note))
            {
                broker.Logger.ConnectionRefused(_client.ConnectionId, who, reason.ToString(), detail + note);
            }
        }
        else
        {
            broker.Logger.ConnectionClosed(_client.ConnectionId, who, reason.ToString());
        }
        _frames.Dispose();
        _response.Dispose();
        await connection.Transport.Input.CompleteAsync();
        await connection.Transport.Output.CompleteAsync();
        if (_stuck >= 0)
        {
            connection.Abort();
        }
        else
        {
            _ = AbortIfStuckAsync();
        }
        _closing.Dispose();
        _broken.Dispose();
        broker.Metrics.ConnectionClosed(reason);
    }

    /// <summary>
    /// The transport sends the last answers after this connection is served. A client that doesn't take them must not keep its socket.
    /// </summary>
    private async Task AbortIfStuckAsync()
    {
        CancellationToken closed = connection.ConnectionClosed;
        await Task.Delay(broker.Options.FrameGrace, broker.Time, closed).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!closed.IsCancellationRequested)
        {
            connection.Abort();
        }
    }

    /// <summary>What is to be said of a client that did nothing wrong but too slowly; null where nothing is.</summary>
    private string? DetailOf(CloseReason reason) => reason switch
    {
        CloseReason.FrameTimeout =>
            $"its request, or its first one, didn't come within {broker.Options.FrameGrace} (broker:frameGraceMs) and what its size allows",
        CloseReason.RequestMemory => "for the rest of its request there was no memory (broker:maxListenerRequestBytes)",
        CloseReason.SlowReader =>
            $"it didn't take a response within {broker.Options.FrameGrace} (broker:frameGraceMs) and what its size allows",
        _ => null,
    };

    private void SendBy(long bytes) => Interlocked.Exchange(
        ref _sendDeadline,
        broker.Time.GetTimestamp() + (long)(broker.Options.TransferLimit(bytes).TotalSeconds * broker.Time.TimestampFrequency));

    private void Sent() => Interlocked.Exchange(ref _sendDeadline, long.MaxValue);

    private void Touch() => Interlocked.Exchange(ref _lastActivity, broker.Time.GetTimestamp());

    private static void Cancel(CancellationTokenSource source)
    {
        try
        {
            source.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The connection has ended meanwhile.
        }
    }

    /// <summary>A Produce that waits for its flush, or a request whose turn comes when everything before it is sent.</summary>
    private readonly record struct Outstanding(PendingProduce? Pending, TaskCompletionSource? Turn, int Size);
}
