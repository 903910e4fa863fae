using System.Net;
using Tributary.Broker.Gateway.Handlers;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway;

/// <summary>Who is at the other end of a connection.</summary>
internal sealed record ClientInfo(string ConnectionId, EndPoint? RemoteEndPoint, EndPoint? LocalEndPoint)
{
    private const int MaxShownId = 64;

    /// <summary>Whether it sends a <see cref="FrameCheck"/> with its requests: then one without is damaged.</summary>
    public bool ChecksFrames { get; set; }

    /// <summary>The client's address as text.</summary>
    public string Remote { get; } = RemoteEndPoint?.ToString() ?? "unknown";

    /// <summary>The address and what the client calls itself, fit for a line of a log whatever that is.</summary>
    public string Describe(string? clientId)
    {
        if (string.IsNullOrEmpty(clientId))
        {
            return Remote;
        }
        ReadOnlySpan<char> shown = clientId.AsSpan(0, Math.Min(clientId.Length, MaxShownId));
        return shown.ContainsAnyExceptInRange(' ', '~') ? $"{Remote} (id not printable)" : $"{Remote} ({shown})";
    }
}

/// <summary>A request whose header is understood.</summary>
/// <param name="Handler">Who serves it.</param>
/// <param name="Version">Its version.</param>
/// <param name="IsVersionSupported">False only for an ApiVersions request that is too new: its body isn't read.</param>
/// <param name="CorrelationId">What the answer repeats.</param>
/// <param name="ClientId">What the client calls itself.</param>
/// <param name="Frame">All bytes; they belong to the connection and are valid until the handler returns.</param>
/// <param name="BodyStart">Where in them the body begins.</param>
/// <param name="Client">Who sent it.</param>
/// <param name="ReceivedAt">Timestamp of its last byte.</param>
/// <param name="IsChecked">Whether it came with a <see cref="FrameCheck"/>, as its answer should.</param>
internal sealed record Request(
    ApiHandler Handler, short Version, bool IsVersionSupported, int CorrelationId, string? ClientId, ReadOnlyMemory<byte> Frame, int BodyStart,
    ClientInfo Client, long ReceivedAt, bool IsChecked = false)
{
    /// <summary>What is claimed of <see cref="RequestMemory"/> for what its body became; the connection gives it back.</summary>
    public long Claimed { get; set; }
}
