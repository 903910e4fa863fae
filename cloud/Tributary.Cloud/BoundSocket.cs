using System.Net;
using System.Net.Sockets;

namespace Tributary.Cloud;

/// <summary>
/// A TCP socket that has its address and does not listen yet. So the program knows its ports, and that they are free, before it opens
/// anything; clients are refused until Kestrel listens on it.
/// </summary>
internal sealed class BoundSocket : IDisposable
{
    private BoundSocket(Socket socket, HostPort address)
    {
        Socket = socket;
        EndPoint = (IPEndPoint)socket.LocalEndPoint!;
        Address = address with { Port = EndPoint.Port };
    }

    /// <summary>The socket.</summary>
    public Socket Socket { get; }

    /// <summary>Where it is bound.</summary>
    public IPEndPoint EndPoint { get; }

    /// <summary>The same with the host as it was asked for.</summary>
    public HostPort Address { get; }

    /// <summary>Where clients can be told to connect: the address itself, or this machine's name if it is bound to all addresses.</summary>
    public HostPort Advertisable => EndPoint.Address.Equals(IPAddress.Any) || EndPoint.Address.Equals(IPAddress.IPv6Any)
        ? Address with { Host = Dns.GetHostName() }
        : Address;

    /// <summary>Binds.</summary>
    /// <param name="setting">What the address is for, as users write it.</param>
    /// <param name="address">Where; port 0 for any free one.</param>
    /// <exception cref="StartupException">It can't be; the message says why.</exception>
    public static BoundSocket Bind(string setting, HostPort address)
    {
        IPAddress ip = Resolve(setting, address);
        var socket = new Socket(ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (ip.Equals(IPAddress.IPv6Any))
            {
                socket.DualMode = true;
            }
            socket.Bind(new IPEndPoint(ip, address.Port));
            return new BoundSocket(socket, address);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new StartupException($"cannot listen on {address} ({setting}): {Explain(e)}", e);
        }
    }

    /// <summary>The address that a host stands for.</summary>
    /// <exception cref="StartupException">There is none.</exception>
    public static IPAddress Resolve(string setting, HostPort address)
    {
        if (IPAddress.TryParse(address.Host, out IPAddress? ip))
        {
            return ip;
        }
        if (address.Host.Equals("localhost", StringComparison.OrdinalIgnoreCase))
        {
            return IPAddress.Loopback;
        }
        try
        {
            IPAddress[] found = Dns.GetHostAddresses(address.Host);
            return found.FirstOrDefault(each => each.AddressFamily == AddressFamily.InterNetwork) ?? found[0];
        }
        catch (SocketException e)
        {
            throw new StartupException($"cannot listen on {address} ({setting}): {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Socket.Dispose();

    private static string Explain(SocketException reason) => reason.SocketErrorCode switch
    {
        SocketError.AddressAlreadyInUse => "the port is taken by another program",
        SocketError.AccessDenied => "no permission for this port",
        SocketError.AddressNotAvailable => "the address isn't one of this machine",
        _ => reason.Message,
    };
}
