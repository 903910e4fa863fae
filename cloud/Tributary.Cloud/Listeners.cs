using System.Net;
using System.Net.Sockets;

namespace Tributary.Cloud;

/// <summary>The sockets that clients connect to, bound from the start, listening when Kestrel takes them.</summary>
internal sealed class Listeners : IDisposable
{
    private Listeners(BoundSocket kafka, BoundSocket http)
    {
        Kafka = kafka;
        Http = http;
    }

    /// <summary>For Kafka clients.</summary>
    public BoundSocket Kafka { get; }

    /// <summary>For health and metrics.</summary>
    public BoundSocket Http { get; }

    /// <summary>Binds both.</summary>
    /// <exception cref="StartupException">An address can't be had.</exception>
    public static Listeners Bind(CloudOptions options)
    {
        BoundSocket kafka = BoundSocket.Bind("kafka", options.Kafka);
        try
        {
            return new Listeners(kafka, BoundSocket.Bind("http", options.Http));
        }
        catch
        {
            kafka.Dispose();
            throw;
        }
    }

    /// <summary>The socket that is bound to an address. From here on Kestrel closes it.</summary>
    public Socket Take(EndPoint address) =>
        address.Equals(Kafka.EndPoint) ? Kafka.Socket
        : address.Equals(Http.EndPoint) ? Http.Socket
        : throw new InvalidOperationException($"no socket is bound to {address}");

    /// <inheritdoc/>
    public void Dispose()
    {
        Kafka.Dispose();
        Http.Dispose();
    }
}
