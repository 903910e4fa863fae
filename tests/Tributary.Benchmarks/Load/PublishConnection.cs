using System.Net;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Load;

/// <summary>One MQTT 3.1.1 client that publishes with a window of messages in flight.</summary>
internal sealed class PublishConnection(string clientId, PublishWindow window) : IDisposable
{
    private readonly MqttSocket _socket = new(clientId);

    public int Handle => _socket.Handle;

    /// <summary>Its messages.</summary>
    public PublishWindow Window => window;

    /// <summary>Whether it is watched for being writable.</summary>
    public bool IsBlocked { get; set; }

    /// <summary>Connects.</summary>
    /// <param name="server">Where.</param>
    /// <param name="filter">What it subscribes to; null for nothing.</param>
    public void Connect(IPEndPoint server, string? filter)
    {
        _socket.Connect(server);
        if (filter is not null)
        {
            _socket.Subscribe(filter);
        }
    }

    /// <summary>Sends what was taken.</summary>
    /// <returns>False if the socket takes no more now.</returns>
    public bool Send()
    {
        while (window.Unsent is { IsEmpty: false } unsent)
        {
            int sent = Epoll.Send(Handle, unsent.Span);
            if (sent < 0)
            {
                return false;
            }
            window.OnSent(sent);
        }
        return true;
    }

    /// <summary>Reads acknowledgements.</summary>
    /// <returns>Whether there were any.</returns>
    public bool Receive(Span<byte> buffer, Histogram latencies)
    {
        int read = Epoll.Receive(Handle, buffer);
        if (read <= 0)
        {
            return read < 0
                ? false
                : throw new IOException($"the server closed the connection of {_socket.ClientId} after {window.Acked} acknowledgements");
        }
        window.OnReceived(buffer[..read], latencies);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();
}
