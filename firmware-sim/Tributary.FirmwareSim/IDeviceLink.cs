using Tributary.FirmwareSim.Firmware;

namespace Tributary.FirmwareSim;

/// <summary>One connection of one device to the broker; it is used once.</summary>
internal interface IDeviceLink
{
    /// <summary>Connects.</summary>
    /// <exception cref="Exception">It could not; the message says why.</exception>
    Task ConnectAsync(CancellationToken cancel);

    /// <summary>Publishes. Messages leave in the order of the calls, many may be in flight.</summary>
    /// <returns>At QoS 1 when the broker answered, whether it took the message; at QoS 0 when it was sent.</returns>
    /// <exception cref="Exception">The connection is gone.</exception>
    Task<bool> PublishAsync(OutboundMessage message);

    /// <summary>Ends the connection, properly if it can. Does not throw.</summary>
    Task CloseAsync();
}
