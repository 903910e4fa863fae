using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;
using Tributary.Edge.Mqtt.Protocol;

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
    private volatile bool _stopping;
    private int _count;
    private int _refused;

    public ConnectionListener(MqttContext broker)
    {
        _broker = broker;
        _sweeps = broker.Time.CreateTimer(_ => Sweep(), null, SweepInterval, SweepInterval);
    }

    /// <inheritdoc/>
    public override async Task OnConnectedAsync(ConnectionContext connection)
    {
        _broker.Metrics.ConnectionOpened();
        MqttCloseReason reason = MqttCloseReason.TooManyConnections;
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var served = new MqttConnection(_broker, connection);
        try
        {
            if (Interlocked.Increment(ref _count) > _broker.Options.MaxConnections)
            {
                Interlocked.Increment(ref _refused);
                connection.Abort();
                return;
            }
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
            Interlocked.Decrement(ref _count);
            _broker.Metrics.ConnectionClosed(reason);
            ended.SetResult();
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
        await _sweeps.DisposeAsync();
    }

    private static void Close(MqttConnection connection) =>
        connection.Close(MqttCloseReason.Shutdown, ReasonCode.ServerShuttingDown, "the agent stops");

    private void Sweep()
    {
        long now = _broker.Time.GetTimestamp();
        foreach ((MqttConnection connection, _) in _connections)
        {
            connection.Sweep(now);
        }
        if (Interlocked.Exchange(ref _refused, 0) > 0)
        {
            _broker.Logger.MqttTooManyConnections(_broker.Options.MaxConnections);
        }
    }
}
