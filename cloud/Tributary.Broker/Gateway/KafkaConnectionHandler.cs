using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;
using Tributary.Broker.Gateway.Handlers;

namespace Tributary.Broker.Gateway;

/// <summary>
/// The listener's side of the gateway: takes connections in, counts them, closes those that are idle or too slow, and all of them at
/// the end. Callable from any thread.
/// </summary>
internal sealed class KafkaConnectionHandler : ConnectionHandler
{
    private const int SweepsPerLimit = 4;
    private readonly BrokerContext _broker;
    private readonly RequestDispatcher _dispatcher;
    private readonly ByteBudget _budget;
    private readonly ConcurrentDictionary<KafkaConnection, Task> _connections = [];
    private readonly CancellationTokenSource _stopping = new();
    private readonly ITimer _sweeps;
    private int _count;

    public KafkaConnectionHandler(BrokerContext broker)
    {
        _broker = broker;
        _dispatcher = new RequestDispatcher(broker);
        _budget = new ByteBudget(broker.Options.MaxListenerRequestBytes);
        TimeSpan interval = TimeSpan.FromTicks(Math.Min(broker.Options.IdleLimit.Ticks, broker.Options.FrameGrace.Ticks) / SweepsPerLimit);
        _sweeps = broker.Time.CreateTimer(_ => Sweep(), null, interval, interval);
    }

    /// <inheritdoc/>
    public override async Task OnConnectedAsync(ConnectionContext connection)
    {
        _broker.Metrics.ConnectionOpened();
        if (Interlocked.Increment(ref _count) > _broker.Options.MaxConnections || _stopping.IsCancellationRequested)
        {
            Interlocked.Decrement(ref _count);
            Refuse(connection);
            return;
        }
        var served = new KafkaConnection(_broker, _dispatcher, _budget, connection, _stopping.Token);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _connections.TryAdd(served, ended.Task);
        try
        {
            await served.RunAsync();
        }
        finally
        {
            _connections.TryRemove(served, out _);
            Interlocked.Decrement(ref _count);
            ended.SetResult();
        }
    }

    /// <summary>Closes all connections and waits until they have ended.</summary>
    public async ValueTask StopAsync()
    {
        await _stopping.CancelAsync();
        await Task.WhenAll(_connections.Values);
        await _sweeps.DisposeAsync();
    }

    private void Refuse(ConnectionContext connection)
    {
        CloseReason reason = _stopping.IsCancellationRequested ? CloseReason.Shutdown : CloseReason.TooManyConnections;
        _broker.Metrics.ConnectionClosed(reason);
        if (reason == CloseReason.TooManyConnections)
        {
            _broker.Logger.ConnectionRefused(
                connection.ConnectionId, connection.RemoteEndPoint?.ToString() ?? "", reason.ToString(),
                $"{_broker.Options.MaxConnections} connections are open");
        }
        connection.Abort();
    }

    private void Sweep()
    {
        long now = _broker.Time.GetTimestamp();
        foreach (KafkaConnection connection in _connections.Keys)
        {
            connection.CloseIfStuck(now);
        }
    }
}
