using System.Buffers.Binary;
using System.Collections.Frozen;
using Tributary.Broker.Gateway.Handlers;

namespace Tributary.Broker.Gateway;

/// <summary>Knows which APIs are served, in which versions, and by whom. Immutable.</summary>
internal sealed class RequestDispatcher
{
    private const int FixedHeaderSize = 8;
    private readonly BrokerContext _broker;
    private readonly FrozenDictionary<short, ApiHandler> _handlers;

    public RequestDispatcher(BrokerContext broker)
    {
        _broker = broker;
        _handlers = CreateHandlers().ToFrozenDictionary(handler => handler.Key);
    }

    /// <summary>Understands a request's header.</summary>
    /// <exception cref="ConnectionRefusedException">It is malformed, or asks for what isn't served.</exception>
    public Request Parse(ReadOnlyMemory<byte> frame, ClientInfo client)
    {
        ReadOnlySpan<byte> bytes = frame.Span;
        if (bytes.Length < FixedHeaderSize)
        {
            throw new ConnectionRefusedException(CloseReason.Malformed, $"a request of {bytes.Length} bytes has no header");
        }
        short key = BinaryPrimitives.ReadInt16BigEndian(bytes);
        short version = BinaryPrimitives.ReadInt16BigEndian(bytes[2..]);
        int correlationId = BinaryPrimitives.ReadInt32BigEndian(bytes[4..]);
        if (!_handlers.TryGetValue(key, out ApiHandler? handler) || version < handler.MinVersion || version > handler.MaxVersion)
        {
            throw new ConnectionRefusedException(CloseReason.Unsupported, $"API {key} version {version} is not served");
        }
        return new Request(handler, version, true, correlationId, null, frame, FixedHeaderSize, client, _broker.Time.GetTimestamp());
    }

    private static IEnumerable<ApiHandler> CreateHandlers() => [];
}
