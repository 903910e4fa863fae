using Microsoft.Extensions.Logging.Abstractions;
using Tributary.Edge.Buffer;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Sessions;
using Tributary.Log.Storage;

namespace Tributary.Tests.Edge.Mqtt.Support;

/// <summary>Sessions on a memory storage, with the buffer that their journal stands in.</summary>
internal sealed class TestSessions : IAsyncDisposable
{
    public TestSessions(MqttOptions options, TimeProvider time, IStorage? storage = null)
    {
        storage ??= new MemoryStorage();
        Buffer = EdgeBuffer.Open(
            storage, "sessions", new EdgeBufferOptions { SegmentBytes = 1 << 20, MinFreeBytes = 0 }, time, NullLoggerFactory.Instance);
        Store = SessionStore.Open(Buffer, storage, options, time, NullLoggerFactory.Instance);
    }

    public EdgeBuffer Buffer { get; }

    /// <summary>The sessions; the broker disposes them.</summary>
    public SessionStore Store { get; }

    public ValueTask DisposeAsync() => Buffer.DisposeAsync();
}
