namespace Tributary.FirmwareSim.Firmware;

/// <summary>A reading on its way.</summary>
/// <param name="Id">Number within its device, rising.</param>
/// <param name="Topic">MQTT topic.</param>
/// <param name="Payload">What the sensor said.</param>
internal sealed record OutboundMessage(long Id, string Topic, byte[] Payload);
