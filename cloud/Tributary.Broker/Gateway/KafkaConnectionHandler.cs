using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Tributary.Broker.Configs;
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
            Refuse(connection, CloseReason.Shutdown, "");
            return;
        }
        (int most, int mostFromAddress) = Limits();
        if (_limit.TryEnter(remote, most, mostFromAddress) is not ConnectionAdmission.Admitted and var admission)
        {
            if (admission == ConnectionAdmission.TooMany)
            {
                Refuse(connection, CloseReason.TooManyConnections, $"{most} connections are open (broker:maxConnections)");
            }
            else
            {
                Refuse(
                    connection, CloseReason.TooManyFromAddress,
                    $"{mostFromAddress} connections from its address are open (broker:maxConnectionsPerAddress)");
            }
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

    /// <summary>Most connections, and most from one address: settings, unless they were changed since.</summary>
    private (int Most, int MostFromAddress) Limits()
    {
        BrokerOverrides overrides = _broker.Control.Snapshot.Overrides;
        return (
            (int)(overrides.FindNumber(DynamicConfigs.MaxConnections) ?? _broker.Options.MaxConnections),
            (int)(overrides.FindNumber(DynamicConfigs.MaxConnectionsPerAddress) ?? _broker.Options.MaxConnectionsPerAddress));
    }

    private void Refuse(ConnectionContext connection, CloseReason reason, string detail)
    {
        _broker.Metrics.ConnectionClosed(reason);
        if (reason != CloseReason.Shutdown && _lines.TryPass(reason, out string note))
        {
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
