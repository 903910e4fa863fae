using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Tributary.Edge.Doctor;

/// <summary>Whether a name resolves and a port of it can be connected to.</summary>
internal static class Reach
{
    /// <summary>Addresses of a name that are tried.</summary>
    private const int MaxAddresses = 8;

    /// <summary>Longest time for one address: a person waits.</summary>
    private static readonly TimeSpan MostForOne = TimeSpan.FromSeconds(5);

    /// <summary>Resolves and connects, and hangs up again.</summary>
    /// <returns>Whether one address took the connection.</returns>
    public static async Task<bool> TryAsync(Findings findings, string check, string host, int port, TimeSpan timeout, CancellationToken cancellation)
    {
        TimeSpan limit = timeout < MostForOne ? timeout : MostForOne;
        IPAddress[] addresses = [];
        try
        {
            using var resolving = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            resolving.CancelAfter(MostForOne);
            addresses = await Dns.GetHostAddressesAsync(host, resolving.Token);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            cancellation.ThrowIfCancellationRequested();
            findings.Fail(
                check, $"the name {host} can't be resolved: {(e is SocketException ? e.Message : $"no answer within {MostForOne.TotalSeconds:0} s")}",
                "check the name, and the name servers of this machine (/etc/resolv.conf)");
            return false;
        }
        bool isReached = false;
        foreach (IPAddress address in addresses.Take(MaxAddresses))
        {
            isReached |= await TryAsync(findings, check, new IPEndPoint(address, port), host, limit, cancellation);
        }
        return isReached;
    }

    private static async Task<bool> TryAsync(
        Findings findings, string check, IPEndPoint endpoint, string host, TimeSpan limit, CancellationToken cancellation)
    {
        string where = endpoint.Address.ToString() == host ? $"{endpoint}" : $"{endpoint} ({host})";
        using var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        using var connecting = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        connecting.CancelAfter(limit);
        long begun = Stopwatch.GetTimestamp();
        try
        {
            await socket.ConnectAsync(endpoint, connecting.Token);
            findings.Ok(check, $"{where} takes connections, after {Stopwatch.GetElapsedTime(begun).TotalMilliseconds:0} ms");
            return true;
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            cancellation.ThrowIfCancellationRequested();
            string why = e is SocketException ? e.Message : $"no answer within {limit.TotalSeconds:0.#} s";
            string remedy = e is SocketException { SocketErrorCode: SocketError.ConnectionRefused }
                ? "nobody listens there: check the port, and whether the other side runs"
                : "check the way there: routes, firewalls, VPN, the modem";
            findings.Fail(check, $"can't connect to {where}: {why}", remedy);
            return false;
        }
    }
}
