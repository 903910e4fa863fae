using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Edge.Access;
using Tributary.Edge.Mqtt;
using Tributary.Log.Storage;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt.Support;

/// <summary>A broker on pipes, an ingest and a clock that the test controls.</summary>
public abstract class MqttTest : IAsyncLifetime
{
    private readonly Lazy<TestSessions> _sessions;
    private readonly Lazy<MqttServer> _server;

    protected MqttTest()
    {
        _sessions = new Lazy<TestSessions>(() => new TestSessions(Options, Time, Storage));
        _server = new Lazy<MqttServer>(() => new MqttServer(Options, Ingest, _sessions.Value.Store, Time, NullLoggerFactory.Instance, Access));
    }

    /// <summary>Where the sessions' journal stands.</summary>
    private protected IStorage Storage { get; set; } = new MemoryStorage();

    private protected MqttOptions Options { get; set; } = new() { ShutdownGrace = TimeSpan.Zero };

    /// <summary>Who may do what; null: everybody everything.</summary>
    private protected IAccess? Access { get; set; }

    private protected TestIngest Ingest { get; } = new();

    private protected FakeTimeProvider Time { get; } = new();

    private protected MqttServer Server => _server.Value;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public virtual async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (_server.IsValueCreated)
        {
            Task disposing = Server.DisposeAsync().AsTask();
            while (!disposing.IsCompleted)
            {
                // Clients that don't take their last bytes are cut off by the clock.
                Time.Advance(TimeSpan.FromSeconds(2));
                await Task.WhenAny(disposing, Task.Delay(10));
            }
            await disposing.WaitAsync(ScriptedClient.Deadline);
            await _sessions.Value.DisposeAsync();
        }
    }

    private protected Task<ScriptedClient> ConnectAsync(
        int level, string clientId, MqttPipes? pipes = null, byte[]? properties = null, int keepAlive = 60) =>
        ScriptedClient.ConnectAsync(Server, level, clientId, pipes, properties, keepAlive);
}
