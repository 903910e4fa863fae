using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Edge.Access;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Tests.Edge.Mqtt.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>
/// The budget of the way from PUBLISH to PUBACK, and to a subscriber: nothing for a message. What is counted is the whole process, with
/// what pipes and thread pool take for a batch.
/// </summary>
[Collection(AloneCollection.Name)]
public sealed class MqttAllocationTests
{
    private const int Batch = 500;
    private const int WarmUps = 40;
    private const int Rounds = 100;

    /// <summary>Bytes: if a message allocated anything, it would be at least this.</summary>
    private const long SmallestObject = 24;
    private static readonly string Payload = new('x', 100);
    private static readonly MqttOptions Options = new() { MaxOutboundInFlight = Batch, ShutdownGrace = TimeSpan.Zero };
    private static readonly FakeTimeProvider Time = new();

    [Theory]
    [InlineData(4, false)]
    [InlineData(5, false)]
    [InlineData(5, true)]
    public async Task A_message_in_and_its_acknowledgement_allocate_nothing(int level, bool isAskedForPermission)
    {
        await using var sessions = new TestSessions(Options, Time);
        await using var server = NewServer(sessions, isAskedForPermission ? new SomeTopics() : null);
        (MqttPipes pipes, Task serving) = await ConnectAsync(server, level, "dev");
        byte[] batch = [.. Enumerable.Range(1, Batch).SelectMany(i => Packets.Publish(level, "devices/dev/temperature", Payload, 1, i))];
        long before = 0;
        for (int i = 0; i < WarmUps + Rounds; i++)
        {
            before = i == WarmUps ? GC.GetTotalAllocatedBytes(precise: true) : before;
            await pipes.ToServer.WriteAsync(batch);
            await ReadAsync(pipes.FromServer, Batch * 4);
        }
        long allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
        pipes.HangUp();
        await serving;
        AssertNothing(allocated);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task A_message_to_a_subscriber_allocates_nothing(int level)
    {
        await using var sessions = new TestSessions(Options, Time);
        await using var server = NewServer(sessions);
        (MqttPipes subscriber, Task receiving) = await ConnectAsync(server, level, "sub");
        await subscriber.ToServer.WriteAsync(Packets.Subscribe(level, 1, ("devices/+/temperature", 1)));
        await ReadAsync(subscriber.FromServer, level == 5 ? 6 : 5);
        (MqttPipes publisher, Task sending) = await ConnectAsync(server, level, "dev");
        byte[][] packets = [.. Enumerable.Range(1, Batch).Select(i => Packets.Publish(level, "devices/dev/temperature", Payload, 1, i))];
        byte[] batch = [.. packets.SelectMany(p => p)];
        byte[] acks = [.. Enumerable.Range(1, Batch).SelectMany(Packets.PubAck)];
        long before = 0;
        for (int i = 0; i < WarmUps + Rounds; i++)
        {
            before = i == WarmUps ? GC.GetTotalAllocatedBytes(precise: true) : before;
            await publisher.ToServer.WriteAsync(batch);
            await ReadAsync(publisher.FromServer, Batch * 4);
            await ReadAsync(subscriber.FromServer, batch.Length);
            for (int n = 0; n < Batch; n++)
            {
                // Each message gets the next identifier.
                BinaryPrimitives.WriteUInt16BigEndian(acks.AsSpan((n * 4) + 2), (ushort)((((i * Batch) + n) % ushort.MaxValue) + 1));
            }
            await subscriber.ToServer.WriteAsync(acks);
        }
        long allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
        publisher.HangUp();
        subscriber.HangUp();
        await Task.WhenAll(sending, receiving);
        AssertNothing(allocated);
    }

    private static void AssertNothing(long allocated) =>
        Assert.True(allocated < Batch * Rounds * SmallestObject / 2, $"{allocated} bytes for {Batch * Rounds} messages");

    private static MqttServer NewServer(TestSessions sessions, IAccess? access = null) =>
        new(Options, new CommittingIngest(), sessions.Store, Time, NullLoggerFactory.Instance, access);

    private static async Task<(MqttPipes Pipes, Task Serving)> ConnectAsync(MqttServer server, int level, string clientId)
    {
        var pipes = new MqttPipes();
        // As Kestrel does it: without the synchronization context of the test.
        Task serving = Task.Run(() => server.Connections.OnConnectedAsync(pipes));
        await pipes.ToServer.WriteAsync(Packets.Connect(level, clientId));
        await ReadAsync(pipes.FromServer, level == 5 ? 29 : 4);
        return (pipes, serving);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private static async ValueTask ReadAsync(PipeReader reader, int bytes)
    {
        while (bytes > 0)
        {
            ReadResult result = await reader.ReadAsync();
            int taken = (int)Math.Min(bytes, result.Buffer.Length);
            bytes -= taken;
            reader.AdvanceTo(result.Buffer.GetPosition(taken));
            Assert.False(result.IsCompleted && bytes > 0, "the connection was closed");
        }
    }

    /// <summary>Everybody is a user who may publish to some topics.</summary>
    private sealed class SomeTopics : IAccess
    {
        private readonly UserList _users = new();

        public event Action? Changed
        {
            add { }
            remove { }
        }

        public ValueTask<Admission> AdmitAsync(ClientIdentity identity, CancellationToken cancellation) =>
            new(new ClientRights(_users, "user", identity.ClientId, null));

        public ClientRights RightsOf(string? user, string clientId) => new(_users, user, clientId, null);

        private sealed class UserList : IUserList
        {
            public Users Users { get; } = new(
                [new User("user", null, new Permissions([TopicGrant.Parse("a/#"), TopicGrant.Parse("devices/%c/+")], []))], null);
        }
    }

    /// <summary>Commits each message at once and allocates nothing.</summary>
    private sealed class CommittingIngest : IIngest, ICommitStream
    {
        private long _committed;

        public bool HasRoom => true;

        public long Committed => Volatile.Read(ref _committed);

        public ValueTask WaitForRoomAsync(CancellationToken cancellation) => ValueTask.CompletedTask;

        public IngestClient Connect(string clientId) => new(clientId);

        public IngestTicket Accept(IngestClient client, in IngestMessage message, ICommitListener listener)
        {
            var ticket = new IngestTicket(this, Interlocked.Increment(ref _committed) - 1, IngestRefusal.None);
            listener.OnCommitted(this);
            return ticket;
        }
    }
}
