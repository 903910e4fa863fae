using System.Net;
using System.Net.Sockets;

namespace Tributary.Edge.Uplink;

/// <summary>
/// Says in a sentence why a node can't be reached at the address that the cluster gives for it. Clients come in by one address and are then
/// told where the nodes are; where that is set wrong, the first works and the second does not.
/// </summary>
internal static class AdvertisedAddress
{
    private const string Remedy =
        "have it give an address that can be reached from here (Kafka: advertised.listeners; Tributary: kafkaAdvertised)";

    private enum Kind
    {
        Public,
        Name,
        Loopback,
        Any,
        Private,
    }

    /// <summary>The failure with the explanation; it stays one that is tried at a slow pace if it was one.</summary>
    /// <param name="bootstrap">The address that is set.</param>
    /// <param name="node">The one that it gave.</param>
    /// <param name="failure">Why it can't be used.</param>
    public static CloudException Explain(NodeEndpoint bootstrap, NodeEndpoint node, CloudException failure)
    {
        string message = $"{failure.Message}. {bootstrap} (setting 'cloud') gives {node} as the address of a node{Flaw(bootstrap, node)}: {Remedy}";
        return failure is CloudRefusedException ? new CloudRefusedException(message, failure) : new CloudException(message, failure);
    }

    private static string Flaw(NodeEndpoint bootstrap, NodeEndpoint node)
    {
        Kind from = KindOf(bootstrap.Host);
        return KindOf(node.Host) switch
        {
            Kind.Any => ", which is no address of anybody but means all of a machine's own",
            Kind.Loopback when from != Kind.Loopback => ", which means this device itself and not the cluster",
            Kind.Private when from != Kind.Private => ", which is a private one that only its own network reaches",
            _ => "",
        };
    }

    private static Kind KindOf(string host)
    {
        if (!IPAddress.TryParse(host, out IPAddress? address))
        {
            return host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || host.EndsWith(".localhost", StringComparison.OrdinalIgnoreCase)
                ? Kind.Loopback : Kind.Name;
        }
        address = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        return address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any) ? Kind.Any
            : IPAddress.IsLoopback(address) ? Kind.Loopback
            : IsPrivate(address) ? Kind.Private
            : Kind.Public;
    }

    /// <summary>RFC 1918, RFC 6598 (carriers), RFC 3927 and RFC 4291 (link local), RFC 4193.</summary>
    private static bool IsPrivate(IPAddress address)
    {
        byte[] bytes = address.GetAddressBytes();
        return address.AddressFamily == AddressFamily.InterNetworkV6
            ? address.IsIPv6LinkLocal || address.IsIPv6UniqueLocal
            : bytes is [10, ..] or [192, 168, ..] or [169, 254, ..] || (bytes[0] == 172 && bytes[1] is >= 16 and < 32) || (bytes[0] == 100 && bytes[1] is >= 64 and < 128);
    }
}
