using System.Text;

namespace Tributary.Edge.Ingest;

/// <summary>A connected client as ingest sees it. Used by one thread at a time.</summary>
/// <param name="clientId">MQTT client identifier.</param>
internal sealed class IngestClient(string clientId)
{
    /// <summary>MQTT client identifier.</summary>
    public string ClientId { get; } = clientId;

    /// <summary>The identifier in UTF-8: the key of messages that no route takes.</summary>
    public ReadOnlyMemory<byte> ClientIdUtf8 { get; } = Encoding.UTF8.GetBytes(clientId);
}
