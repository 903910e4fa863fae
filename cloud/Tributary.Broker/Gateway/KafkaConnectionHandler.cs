using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Tributary.Contracts.Limits;

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
    private readonly ConnectionLimit _limit;
    private readonly LineLimit<CloseReason> _lines;
    private readonly ConcurrentDictionary<KafkaConnection, Task> _connections = [];
    private readonly CancellationTokenSource _stopping = new();
    private readonly ITimer _sweeps;

    public KafkaConnectionHandler(BrokerContext broker)
    {
        _broker = broker;
        _dispatcher = new RequestDispatcher(broker);
        _limit = new ConnectionLimit(broker.Options.MaxConnections, broker.Options.MaxConnectionsPerAddress);
        _lines = new LineLimit<CloseReason>(broker.Time);
        TimeSpan interval = TimeSpan.FromTicks(Math.Min(broker.Options.IdleLimit.Ticks, broker.Options.FrameGrace.Ticks) / SweepsPerLimit);
        _sweeps = broker.Time.CreateTimer(_ => Sweep(), null, interval, interval);
    }

    /// <inheritdoc/>
    public override async Task OnConnectedAsync(ConnectionContext connection)
    {
        _broker.Metrics.ConnectionOpened();
        EndPoint? remote = connection.RemoteEndPoint;
        if (_stopping.IsCancellationRequested)
        {
            Refuse(connection, CloseReason.Shutdown);
            return;
        }
        if (_limit.TryEnter(remote) is not ConnectionAdmission.Admitted and var admission)
        {
            Refuse(connection, admission == ConnectionAdmission.TooMany ? CloseReason.TooManyConnections : CloseReason.TooManyFromAddress);
            return;
        }
        var served = new KafkaConnection(_broker, _dispatcher, _lines, connection, _stopping.Token);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _connections.TryAdd(served, ended.Task);
        try
        {
            await served.RunAsync();
        }
        finally
        {
            _connections.TryRemove(served, out _);
            _limit.Leave(remote);
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

    private void Refuse(ConnectionContext connection, CloseReason reason)
    {
        _broker.Metrics.ConnectionClosed(reason);
        if (reason != CloseReason.Shutdown && _lines.TryPass(reason, out string note))
        {
            string detail = reason == CloseReason.TooManyConnections
                ? $"{_broker.Options.MaxConnections} connections are open (broker:maxConnections)"
                : $"{_broker.Options.MaxConnectionsPerAddress} connections from its address are open (broker:maxConnectionsPerAddress)";
            _broker.Logger.ConnectionRefused(
                connection.ConnectionId, connection.RemoteEndPoint?.ToString() ?? "", reason.ToString(), detail + note);
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
