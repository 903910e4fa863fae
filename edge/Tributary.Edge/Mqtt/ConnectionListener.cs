using Microsoft.AspNetCore.Connections;

namespace Tributary.Edge.Mqtt;

/// <summary>The listener's side of the broker. Callable from any thread.</summary>
internal sealed class ConnectionListener(MqttMetrics metrics) : ConnectionHandler
{
    /// <inheritdoc/>
    public override Task OnConnectedAsync(ConnectionContext connection)
    {
        metrics.ConnectionOpened();
        connection.Abort();
        metrics.ConnectionClosed(MqttCloseReason.Shutdown);
        return Task.CompletedTask;
    }
}
