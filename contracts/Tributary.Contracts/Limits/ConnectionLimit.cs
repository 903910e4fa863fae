using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Tributary.Contracts.Limits;

/// <summary>Whether a listener takes another connection.</summary>
public enum ConnectionAdmission
{
    /// <summary>It is taken and counted.</summary>
    Admitted,

    /// <summary>As many as allowed are open.</summary>
    TooMany,

    /// <summary>As many as allowed are open from this address.</summary>
    TooManyFromAddress,
}

/// <summary>
/// Counts the open connections of a listener, in all and from each address, so that one machine can't take all there are. An IPv6 client
/// usually has a whole /64 to itself: that is what counts as an address there. Connections that don't come over IP are only counted in
/// all. Callable from any thread.
/// </summary>
/// <param name="most">Most connections.</param>
/// <param name="mostFromAddress">Most connections from one address.</param>
public sealed class ConnectionLimit(int most, int mostFromAddress)
{
    private const int PrefixBytes = 8;
    private readonly ConcurrentDictionary<ulong, int> _ofAddress = [];
    private int _count;

    /// <summary>Addresses that have connections.</summary>
    public int Addresses => _ofAddress.Count;

    /// <summary>Counts a connection if it may be taken; then <see cref="Leave"/> is called once when it has ended.</summary>
    public ConnectionAdmission TryEnter(EndPoint? remote) => TryEnter(remote, most, mostFromAddress);

    /// <summary>Counts a connection if it may be taken by limits that hold now instead of the first ones.</summary>
    public ConnectionAdmission TryEnter(EndPoint? remote, int most, int mostFromAddress)
    {
        if (Interlocked.Increment(ref _count) > most)
        {
            Interlocked.Decrement(ref _count);
            return ConnectionAdmission.TooMany;
        }
        if (KeyOf(remote) is { } key && _ofAddress.AddOrUpdate(key, 1, static (_, count) => count + 1) > mostFromAddress)
        {
            Leave(remote);
            return ConnectionAdmission.TooManyFromAddress;
        }
        return ConnectionAdmission.Admitted;
    }

    /// <summary>A connection that was taken has ended.</summary>
    public void Leave(EndPoint? remote)
    {
        Interlocked.Decrement(ref _count);
        if (KeyOf(remote) is { } key && _ofAddress.AddOrUpdate(key, 0, static (_, count) => count - 1) <= 0)
        {
            _ofAddress.TryRemove(new KeyValuePair<ulong, int>(key, 0));
        }
    }

    /// <summary>What counts as one address, null if it is not of IP.</summary>
    public static ulong? KeyOf(EndPoint? remote)
    {
        if (remote is not IPEndPoint { Address: var address })
        {
            return null;
        }
        Span<byte> bytes = stackalloc byte[16];
        address = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        address.TryWriteBytes(bytes, out _);
        // Above it IPv6 has only multicast addresses, which nobody connects from.
        return address.AddressFamily == AddressFamily.InterNetwork
            ? BinaryPrimitives.ReadUInt32BigEndian(bytes) | ((ulong)uint.MaxValue << 32)
            : BinaryPrimitives.ReadUInt64BigEndian(bytes[..PrefixBytes]);
    }
}
