using System.Net;
using System.Net.NetworkInformation;
using Tributary.Edge.Host;
using Tributary.Edge.Status;

namespace Tributary.Edge.Doctor;

/// <summary>Whether the addresses are free that an agent would listen at, by the system's list: nothing is bound.</summary>
internal static class ListenerCheck
{
    /// <summary>Looks, unless an agent has them.</summary>
    public static void Run(Findings findings, EdgeOptions options, EdgeStatus? agent)
    {
        if (agent is not null)
        {
            return;
        }
        IPEndPoint[] taken;
        try
        {
            taken = IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners();
        }
        catch (NetworkInformationException e)
        {
            findings.Skip("listeners", $"the system does not tell who listens: {e.Message}");
            return;
        }
        (string Setting, IPEndPoint? Address)[] wanted =
        [
            ("mqtt", options.Listeners.Mqtt), ("mqtts", options.Listeners.Mqtts), ("ws", options.Listeners.Ws), ("wss", options.Listeners.Wss), ("http", options.Http),
        ];
        foreach ((string setting, IPEndPoint? address) in wanted)
        {
            if (address is null or { Port: 0 })
            {
                continue; // none, or any that is free
            }
            if (Array.Exists(taken, other => Overlap(other, address)))
            {
                findings.Fail("listeners", $"{address} (setting '{setting}') is taken by another program", $"end that one, or set '{setting}' to another address");
            }
            else
            {
                findings.Ok("listeners", $"{address} (setting '{setting}') is free");
            }
        }
    }

    private static bool Overlap(IPEndPoint one, IPEndPoint other) =>
        one.Port == other.Port && (one.Address.Equals(other.Address) || IsAny(one.Address) || IsAny(other.Address));

    private static bool IsAny(IPAddress address) => address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);
}
