namespace Tributary.Edge.Mqtt;

/// <summary>Limits and settings of the MQTT broker. <see cref="Validate"/> is called once, at start.</summary>
internal sealed record MqttOptions
{
    /// <summary>Most connections at a time. One more is closed at once.</summary>
    public int MaxConnections { get; init; } = 10_000;

    /// <summary>Most connections from one address; of IPv6 from one /64. One more is closed at once.</summary>
    public int MaxConnectionsPerAddress { get; init; } = 5_000;

    /// <summary>Most bytes of a connection that are received and not looked at yet; a larger packet's own bytes come on top.</summary>
    public int ReadBufferBytes { get; init; } = 64 << 10;

    /// <summary>
    /// Most bytes over all connections that clients can make the broker keep apart from messages: of packets larger than
    /// <see cref="ReadBufferBytes"/> that are not all there yet, and of wills. Who needs more is closed, or not let in.
    /// </summary>
    public long MaxClientBytes { get; init; } = 64L << 20;

    /// <summary>
    /// Largest packet taken from a client, bytes with its fixed header; told to MQTT 5 clients as Maximum Packet Size. A larger one
    /// closes the connection before memory is taken for it.
    /// </summary>
    public int MaxPacketBytes { get; init; } = 1 << 20;

    /// <summary>
    /// Most QoS 1 messages of one client that are not yet acknowledged. MQTT 5 clients are told it as Receive Maximum and closed beyond
    /// it; MQTT 3.1.1 has no such rule: what comes beyond it is not read before there is room.
    /// </summary>
    public int MaxInFlight { get; init; } = 1024;

    /// <summary>Most QoS 1 messages sent to one client and not acknowledged by it; less if its own Receive Maximum is smaller.</summary>
    public int MaxOutboundInFlight { get; init; } = 256;

    /// <summary>
    /// Most bytes of messages that wait for one slow subscriber. Beyond it QoS 0 is dropped, and QoS 1 closes its connection.
    /// </summary>
    public int MaxOutboundBytes { get; init; } = 1 << 20;

    /// <summary>
    /// Most bytes of messages kept for subscribers, over all connections. Beyond it a message is treated as if the queues of its
    /// subscribers were full. It never slows what is stored.
    /// </summary>
    public long MaxDeliveryBytes { get; init; } = 32L << 20;

    /// <summary>Most subscriptions of one client.</summary>
    public int MaxSubscriptionsPerClient { get; init; } = 256;

    /// <summary>Most bytes that the subscriptions of all clients take, about. Further ones are refused.</summary>
    public long MaxSubscriptionBytes { get; init; } = 32L << 20;

    /// <summary>Most durable sessions. One more is refused.</summary>
    public int MaxSessions { get; init; } = 10_000;

    /// <summary>
    /// Longest time that a session is kept without a connection, whole seconds. MQTT 5 clients that ask for more are told it; sessions
    /// of MQTT 3.1.1 have it.
    /// </summary>
    public TimeSpan MaxSessionExpiry { get; init; } = TimeSpan.FromDays(30);

    /// <summary>Most messages that wait for one durable session. Further ones are dropped for it.</summary>
    public int MaxQueuedMessages { get; init; } = 10_000;

    /// <summary>Most bytes of messages that wait for one durable session. Further ones are dropped for it.</summary>
    public long MaxQueuedBytes { get; init; } = 16L << 20;

    /// <summary>
    /// Most bytes of memory for the places of messages that wait for durable sessions, over all of them, about. Beyond it messages are
    /// dropped for sessions that have more than a few.
    /// </summary>
    public long MaxQueueMemoryBytes { get; init; } = 64L << 20;

    /// <summary>
    /// Bytes of the journal on disk beyond which messages for durable sessions are dropped. It holds what waits for them.
    /// </summary>
    public long MaxJournalBytes { get; init; } = 256L << 20;

    /// <summary>Bytes by which the journal grows before its state is written down and what nobody needs of it is given up.</summary>
    public long SnapshotBytes { get; init; } = 32L << 20;

    /// <summary>Most retained messages. Further ones are refused to MQTT 5 clients, and not retained of others.</summary>
    public int MaxRetained { get; init; } = 10_000;

    /// <summary>Most bytes of memory for retained messages. Beyond it they are treated as beyond <see cref="MaxRetained"/>.</summary>
    public long MaxRetainedBytes { get; init; } = 16L << 20;

    /// <summary>Most topic aliases of a client, told to MQTT 5 clients as Topic Alias Maximum.</summary>
    public int MaxTopicAliases { get; init; } = 32;

    /// <summary>Most topic aliases towards a client; less if its own Topic Alias Maximum is smaller.</summary>
    public int MaxOutboundTopicAliases { get; init; } = 32;

    /// <summary>Time between two publications of the <c>$SYS</c> topics; zero for none.</summary>
    public TimeSpan SysInterval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Longest topic name or filter, bytes.</summary>
    public int MaxTopicBytes { get; init; } = 1024;

    /// <summary>Most levels of a topic name or filter.</summary>
    public int MaxTopicLevels { get; init; } = 64;

    /// <summary>Longest client identifier, bytes.</summary>
    public int MaxClientIdBytes { get; init; } = 256;

    /// <summary>Time from opening a connection to a whole CONNECT.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Time that a packet which has begun to arrive may take, on top of a second for each <see cref="MinPacketBytesPerSecond"/>.
    /// </summary>
    public TimeSpan PacketTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The rate below which a client that sends a packet is taken for an attacker or dead.</summary>
    public int MinPacketBytesPerSecond { get; init; } = 4096;

    /// <summary>Time without a packet after which a client without keep-alive is closed: nothing else tells that it is gone.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromDays(7);

    /// <summary>
    /// Longest keep-alive, whole seconds. An MQTT 5 client that asks for more, or for none, is told this one; MQTT 3.1.1 clients can't be
    /// told and get what they ask for.
    /// </summary>
    public TimeSpan MaxKeepAlive { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Time for which a client may not read what is sent to it.</summary>
    public TimeSpan WriteTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time that clients get at shutdown for acknowledgements of what they have sent.</summary>
    public TimeSpan ShutdownGrace { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentException">One is out of range; the message names it and says what it may be.</exception>
    public MqttOptions Validate()
    {
        Settings.Range("mqtt:maxConnections", MaxConnections, 1, 1_000_000);
        Settings.Range("mqtt:maxConnectionsPerAddress", MaxConnectionsPerAddress, 1, 1_000_000);
        Settings.Range("mqtt:readBufferBytes", ReadBufferBytes, 4 << 10, 16 << 20);
        Settings.Range("mqtt:maxClientBytes", MaxClientBytes, 1L << 20, 16L << 30);
        Settings.Range("mqtt:maxPacketBytes", MaxPacketBytes, 1 << 10, 16 << 20);
        Settings.Range("mqtt:maxInFlight", MaxInFlight, 1, ushort.MaxValue);
        Settings.Range("mqtt:maxOutboundInFlight", MaxOutboundInFlight, 1, ushort.MaxValue);
        Settings.Range("mqtt:maxOutboundBytes", MaxOutboundBytes, 1 << 10, 1 << 30);
        Settings.Range("mqtt:maxDeliveryBytes", MaxDeliveryBytes, 1L << 10, 16L << 30);
        Settings.Range("mqtt:maxSubscriptionsPerClient", MaxSubscriptionsPerClient, 1, 100_000);
        Settings.Range("mqtt:maxSubscriptionBytes", MaxSubscriptionBytes, 1L << 10, 16L << 30);
        Settings.Range("mqtt:maxSessions", MaxSessions, 1, 1_000_000);
        Settings.Range("mqtt:maxSessionExpiry", MaxSessionExpiry, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(uint.MaxValue - 1));
        Settings.Range("mqtt:maxQueuedMessages", MaxQueuedMessages, 1, 10_000_000);
        Settings.Range("mqtt:maxQueuedBytes", MaxQueuedBytes, 1L << 10, 16L << 30);
        Settings.Range("mqtt:maxQueueMemoryBytes", MaxQueueMemoryBytes, 1L << 10, 16L << 30);
        Settings.Range("mqtt:maxJournalBytes", MaxJournalBytes, 64L << 10, 64L << 30);
        Settings.Range("mqtt:snapshotBytes", SnapshotBytes, 4L << 10, 1L << 30);
        Settings.Range("mqtt:maxRetained", MaxRetained, 1, 10_000_000);
        Settings.Range("mqtt:maxRetainedBytes", MaxRetainedBytes, 1L << 10, 1L << 30);
        Settings.Range("mqtt:maxTopicAliases", MaxTopicAliases, 0, ushort.MaxValue);
        Settings.Range("mqtt:maxOutboundTopicAliases", MaxOutboundTopicAliases, 0, ushort.MaxValue);
        Settings.Range("mqtt:sysInterval", SysInterval, TimeSpan.Zero, TimeSpan.FromDays(1));
        Settings.Range("mqtt:maxTopicBytes", MaxTopicBytes, 1, ushort.MaxValue);
        Settings.Range("mqtt:maxTopicLevels", MaxTopicLevels, 1, 256);
        Settings.Range("mqtt:maxClientIdBytes", MaxClientIdBytes, 23, ushort.MaxValue);
        Settings.Range("mqtt:connectTimeout", ConnectTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10));
        Settings.Range("mqtt:packetTimeout", PacketTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10));
        Settings.Range("mqtt:minPacketBytesPerSecond", MinPacketBytesPerSecond, 1, 1 << 30);
        Settings.Range("mqtt:idleTimeout", IdleTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromDays(365));
        Settings.Range("mqtt:maxKeepAlive", MaxKeepAlive, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(ushort.MaxValue));
        Settings.Range("mqtt:writeTimeout", WriteTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10));
        Settings.Range("mqtt:shutdownGrace", ShutdownGrace, TimeSpan.Zero, TimeSpan.FromMinutes(1));
        return this;
    }
}
