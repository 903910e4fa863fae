using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Tributary.Contracts.Limits;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Edge.Mqtt.Sessions;

namespace Tributary.Edge.Mqtt;

/// <summary>
/// The listener's side of the broker: takes connections in, counts them, closes those whose time limits are over with one sweep for all,
/// and everything at the end. Callable from any thread.
/// </summary>
internal sealed class ConnectionListener : ConnectionHandler
{
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(1);

    private readonly MqttContext _broker;
    private readonly ConcurrentDictionary<MqttConnection, Task> _connections = [];
    private readonly ITimer _sweeps;
    private readonly ConnectionLimit _limit;
    private readonly Lock _sweeping = new();
    private volatile bool _stopping;

    public ConnectionListener(MqttContext broker)
    {
        _broker = broker;
        _limit = new ConnectionLimit(broker.Options.MaxConnections, broker.Options.MaxConnectionsPerAddress);
        _sweeps = broker.Time.CreateTimer(_ => Sweep(), null, SweepInterval, SweepInterval);
        broker.Access.Changed += OnAccessChanged;
    }

    /// <inheritdoc/>
    public override Task OnConnectedAsync(ConnectionContext connection) =>
        connection.Features.Get<Counted>() is null ? LimitAsync(connection, ServeAsync) : ServeAsync(connection);

    /// <summary>Serves a connection if there are not too many; counted once, also if its protocol ends in MQTT later.</summary>
    public async Task LimitAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        EndPoint? remote = connection.RemoteEndPoint;
        if (_limit.TryEnter(remote) is not ConnectionAdmission.Admitted and var admission)
        {
            _broker.Metrics.ConnectionOpened();
            Refuse(connection, admission == ConnectionAdmission.TooMany ? MqttCloseReason.TooManyConnections : MqttCloseReason.TooManyFromAddress);
            return;
        }
        try
        {
            connection.Features.Set(Counted.Instance);
            await next(connection);
        }
        finally
        {
            _limit.Leave(remote);
        }
    }

    private async Task ServeAsync(ConnectionContext connection)
    {
        _broker.Metrics.ConnectionOpened();
        MqttCloseReason reason = MqttCloseReason.InternalError;
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var served = new MqttConnection(_broker, connection);
        try
        {
            _connections.TryAdd(served, ended.Task);
            if (_stopping)
            {
                Close(served); // it came after all others were closed
                served.StopDraining();
            }
            reason = await served.RunAsync();
        }
        finally
        {
            _connections.TryRemove(served, out _);
            _broker.Metrics.ConnectionClosed(reason);
            ended.SetResult();
        }
    }

    private void Refuse(ConnectionContext connection, MqttCloseReason reason)
    {
        connection.Abort();
        _broker.Metrics.ConnectionClosed(reason);
        if (_broker.Lines.TryPass(reason, out string note))
        {
            string detail = reason == MqttCloseReason.TooManyConnections
                ? $"the setting mqtt:maxConnections allows {_broker.Options.MaxConnections}"
                : $"the setting mqtt:maxConnectionsPerAddress allows {_broker.Options.MaxConnectionsPerAddress} from one address";
            _broker.Logger.MqttConnectionRefused(connection.RemoteEndPoint?.ToString() ?? "", detail + note);
        }
    }

    /// <summary>Closes all connections, after a while for acknowledgements, and waits until they have ended.</summary>
    public async ValueTask StopAsync()
    {
        _stopping = true;
        foreach (MqttConnection connection in _connections.Keys)
        {
            Close(connection);
        }
        Task ended = Task.WhenAll(_connections.Values);
        if (!ended.IsCompleted)
        {
            await Task.WhenAny(ended, Task.Delay(_broker.Options.ShutdownGrace, _broker.Time));
        }
        foreach (MqttConnection connection in _connections.Keys)
        {
            connection.StopDraining();
        }
        await Task.WhenAll(_connections.Values);
        _broker.Access.Changed -= OnAccessChanged;
        await _sweeps.DisposeAsync();
    }

    private static void Close(MqttConnection connection) =>
        connection.Close(MqttCloseReason.Shutdown, ReasonCode.ServerShuttingDown, "the agent stops");

    private void OnAccessChanged()
    {
        foreach ((MqttConnection connection, _) in _connections)
        {
            connection.AccessChanged();
        }
    }

    private void Sweep()
    {
        long now = _broker.Time.GetTimestamp();
        foreach ((MqttConnection connection, _) in _connections)
        {
            connection.Sweep(now);
        }
        SweepSessions();
    }

    /// <summary>One at a time: a snapshot may take longer than a sweep's interval.</summary>
    private void SweepSessions()
    {
        if (!_sweeping.TryEnter())
        {
            return;
        }
        try
        {
            foreach (DueWill due in _broker.Sessions.Sweep())
            {
                _broker.Publisher.PublishDelayed(due);
            }
            _broker.Publisher.Sweep();
            _broker.Sessions.KeepUp();
        }
        catch (Exception e)
        {
            _broker.Logger.SweepFailed(e);
        }
        finally
        {
            _sweeping.Exit();
        }
    }

    /// <summary>Marks a connection that is within the limits.</summary>
    private sealed class Counted
    {
        public static readonly Counted Instance = new();
    }
}
