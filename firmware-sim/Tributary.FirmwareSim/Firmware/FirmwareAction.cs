namespace Tributary.FirmwareSim.Firmware;

/// <summary>What a device does next.</summary>
internal abstract record FirmwareAction
{
    private FirmwareAction()
    {
    }

    /// <summary>Connect to the broker; the answer is OnConnected or OnLost.</summary>
    public sealed record Connect : FirmwareAction
    {
        /// <summary>The one there is.</summary>
        public static readonly Connect Instance = new();
    }

    /// <summary>Publish a message; the answer at QoS 1 is OnAnswered.</summary>
    /// <param name="Message">What to publish.</param>
    public sealed record Publish(OutboundMessage Message) : FirmwareAction;

    /// <summary>Give the connection up, it does not answer; OnLost was implied.</summary>
    public sealed record Drop : FirmwareAction
    {
        /// <summary>The one there is.</summary>
        public static readonly Drop Instance = new();
    }
}
