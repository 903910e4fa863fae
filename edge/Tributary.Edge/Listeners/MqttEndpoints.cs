using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Tributary.Edge.Access;
using Tributary.Edge.Mqtt;

namespace Tributary.Edge.Listeners;

/// <summary>The addresses where MQTT is served, each with what stands in front of it. Used by one thread.</summary>
/// <param name="options">Where clients connect.</param>
/// <param name="mqtt">The broker.</param>
/// <param name="handshakes">TLS, null if nothing needs it.</param>
/// <param name="webSockets">WebSocket.</param>
internal sealed class MqttEndpoints(ListenerOptions options, MqttServer mqtt, TlsHandshakes? handshakes, WebSocketEntrance webSockets)
{
    private readonly List<(string Setting, IPEndPoint Wanted, ListenOptions Listener)> _listeners = [];

    /// <summary>The listeners by setting, with the addresses that they have when the server runs.</summary>
    public IReadOnlyList<(string Setting, IPEndPoint Address)> Addresses =>
        [.. _listeners.Select(listener => (listener.Setting, listener.Listener.IPEndPoint!))];

    /// <summary>The same with the addresses that they should get.</summary>
    public IReadOnlyList<(string Setting, IPEndPoint Address)> Wanted =>
        [.. _listeners.Select(listener => (listener.Setting, listener.Wanted))];

    /// <summary>Adds them to a server.</summary>
    public void AddTo(KestrelServerOptions server)
    {
        Add(server, "mqtt", options.Mqtt, isEncrypted: false, isWeb: false);
        Add(server, "mqtts", options.Mqtts, isEncrypted: true, isWeb: false);
        Add(server, "ws", options.Ws, isEncrypted: false, isWeb: true);
        Add(server, "wss", options.Wss, isEncrypted: true, isWeb: true);
    }

    private void Add(KestrelServerOptions server, string setting, IPEndPoint? endpoint, bool isEncrypted, bool isWeb)
    {
        if (endpoint is null)
        {
            return;
        }
        var origin = new ClientOrigin(options.MayBeAnonymous(endpoint));
        server.Listen(endpoint, listen =>
        {
            _listeners.Add((setting, endpoint, listen));
            listen.Use(mqtt.Limit);
            listen.Use(next => connection =>
            {
                connection.Features.Set(origin);
                return next(connection);
            });
            if (isEncrypted)
            {
                listen.Use(handshakes!.Wrap);
            }
            if (isWeb)
            {
                listen.Protocols = HttpProtocols.Http1;
                listen.Use(webSockets.Carry);
            }
            else
            {
                listen.Run(mqtt.Connections.OnConnectedAsync);
            }
        });
    }
}
