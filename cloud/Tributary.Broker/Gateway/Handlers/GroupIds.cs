namespace Tributary.Broker.Gateway.Handlers;

/// <summary>What ids of consumer groups can be.</summary>
internal static class GroupIds
{
    /// <summary>Longest id of a group.</summary>
    public const int MaxLength = 1024;

    /// <summary>Whether a group can have this id. Offsets could once be committed without one, and are as by Kafka.</summary>
    public static bool IsValid(string group, bool mayBeEmpty) => group.Length <= MaxLength && (mayBeEmpty || group.Length > 0);
}
