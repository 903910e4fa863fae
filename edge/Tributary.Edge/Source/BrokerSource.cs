using Microsoft.Extensions.Logging;
using MQTTnet;
using MQTTnet.Diagnostics.PacketInspection;
using MQTTnet.Exceptions;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Uplink;
using Tributary.Log.Storage;

namespace Tributary.Edge.Source;

/// <summary>
/// Subscribes to a broker that is already there, for good: a session that the broker keeps, acknowledgement after the flush, a new connection
/// whenever one ends. So what is published with QoS 1 or 2 while either side is away comes later, at least once, as long as the broker
/// keeps the session.
/// <para>Threads: one loop; status from any thread. A crash leaves nothing that matters (<see cref="SourceMessages"/>).</para>
/// </summary>
internal sealed class BrokerSource : IAsyncDisposable
{
    /// <summary>Time without failure after which waits are short again.</summary>
    private static readonly TimeSpan Stable = TimeSpan.FromMinutes(1);

    /// <summary>Filters of one SUBSCRIBE.</summary>
    private const int FiltersAtOnce = 50;

    private readonly SourceOptions _options;
    private readonly MqttOptions _limits;
    private readonly IIngest _ingest;
    private readonly IStorage _storage;
    private readonly string _directory;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly SourceCounters _counters = new();
    private readonly MqttClientFactory _factory = new();
    private readonly CancellationTokenSource _stop = new();
    private Task _running = Task.CompletedTask;
    private volatile SourceMessages? _messages;
    private volatile bool _isConnected;
    private volatile string? _error;
    private volatile string[] _refused = [];
    private bool _hasSubscribed;

    /// <param name="options">Settings, valid.</param>
    /// <param name="limits">Limits of topics.</param>
    /// <param name="ingest">Where messages go.</param>
    /// <param name="storage">Where the data directory is.</param>
    /// <param name="directory">The data directory.</param>
    /// <param name="time">All time.</param>
    /// <param name="loggers">Where it logs.</param>
    public BrokerSource(
        SourceOptions options, MqttOptions limits, IIngest ingest, IStorage storage, string directory, TimeProvider time, ILoggerFactory loggers)
    {
        (_options, _limits, _ingest, _storage, _directory, _time) = (options, limits, ingest, storage, directory, time);
        _logger = loggers.CreateLogger<BrokerSource>();
    }

    private string Broker => $"{_options.Host}:{_options.Port}";

    /// <summary>How it stands.</summary>
    public SourceStatus Status => new(
        Broker, _isConnected, _refused, _error, _messages?.Waits, _counters.InFlight, _counters.Received, _counters.Acknowledged,
        _counters.Connections, _counters.SessionsLost,
        Enum.GetValues<SourceDropReason>().Where(reason => _counters.Dropped(reason) > 0).ToDictionary(
            reason => char.ToLowerInvariant(reason.ToString()[0]) + reason.ToString()[1..], _counters.Dropped));

    /// <summary>Begins. Called once.</summary>
    public void Start() => _running = Task.Run(RunAsync);

    /// <summary>Ends the connection; the broker keeps the session.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        var backoff = new Backoff(_options.FirstBackoff, _options.MaxBackoff, Stable, Random.Shared);
        while (!_stop.IsCancellationRequested)
        {
            string reason;
            try
            {
                reason = await ConnectAsync();
            }
            catch (Exception e)
            {
                reason = e is MqttCommunicationException { InnerException: { } inner } ? inner.Message : e.Message;
            }
            _isConnected = false;
            if (_stop.IsCancellationRequested)
            {
                return;
            }
            if (_error != reason)
            {
                _logger.SourceDisconnected(Broker, reason);
            }
            _error = reason;
            await Task.Delay(backoff.Next(TimeSpan.FromSeconds((double)_time.GetTimestamp() / _time.TimestampFrequency)), _time, _stop.Token)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Connects, and stays until the connection ends.</summary>
    /// <returns>Why it has ended.</returns>
    private async Task<string> ConnectAsync()
    {
        using IMqttClient client = _factory.CreateMqttClient();
        var ended = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var messages = new SourceMessages(
            _options, _limits, _ingest, _ingest.Connect(_options.ClientId), _counters, _time, reason => ended.TrySetResult(reason));
        client.ApplicationMessageReceivedAsync += message =>
        {
            messages.Offer(message);
            return Task.CompletedTask;
        };
        // The client reads on while messages wait to be handled: only this holds it up.
        client.InspectPacketAsync += packet => packet.Direction == MqttPacketFlowDirection.Inbound ? messages.WaitForRoomAsync() : Task.CompletedTask;
        client.DisconnectedAsync += disconnected =>
        {
            ended.TrySetResult(Explain(disconnected));
            return Task.CompletedTask;
        };
        using CancellationTokenRegistration stopping = _stop.Token.Register(() => ended.TrySetResult("the agent stops"));
        using (CancellationTokenSource limit = Limit())
        {
            MqttClientConnectResult result = await client.ConnectAsync(SourceClient.OptionsOf(_options), limit.Token);
            if (result.ResultCode != MqttClientConnectResultCode.Success)
            {
                return $"the broker refused the connection: {result.ResultCode}{(result.ReasonString is { Length: > 0 } text ? $", {text}" : "")}"
                    + (result.ResultCode == MqttClientConnectResultCode.UnsupportedProtocolVersion ? " (setting source:protocol)" : "");
            }
            _messages = messages;
            _counters.Connect();
            await SubscribeAsync(client, result.IsSessionPresent);
        }
        (_isConnected, _error) = (true, null);
        _logger.SourceConnected(Broker, _options.ClientId, _options.Filters.Count - _refused.Length);
        string reason = await ended.Task;
        _isConnected = false;
        await messages.DisposeAsync(); // the client waits for its reader, and that perhaps for room
        await DisconnectAsync(client);
        return reason;
    }

    /// <summary>Says goodbye, if it can be said: why the connection ends is known already.</summary>
    private async Task DisconnectAsync(IMqttClient client)
    {
        try
        {
            if (client.IsConnected)
            {
                using CancellationTokenSource limit = new(_options.Timeout, _time);
                await client.DisconnectAsync(new MqttClientDisconnectOptions(), limit.Token);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or MqttCommunicationException or InvalidOperationException)
        {
            // it is gone
        }
    }

    private CancellationTokenSource Limit()
    {
        var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        limit.CancelAfter(_options.Timeout);
        return limit;
    }

    /// <summary>Gives the session the filters of the settings, and no others.</summary>
    private async Task SubscribeAsync(IMqttClient client, bool isSessionPresent)
    {
        string[] wanted = [.. _options.WireFilters];
        SourceSubscriptions? before = SourceSubscriptions.Load(_storage, _directory);
        bool isOurs = before is not null && before.Broker == Broker && before.ClientId == _options.ClientId;
        if (!isSessionPresent && isOurs)
        {
            _counters.LoseSession();
            _logger.SourceSessionLost(Broker, _options.ClientId);
        }
        _hasSubscribed &= isSessionPresent;
        string[] unwanted = isSessionPresent && isOurs ? [.. before!.Filters.Except(wanted)] : [];
        foreach (string[] some in unwanted.Chunk(FiltersAtOnce))
        {
            var builder = new MqttClientUnsubscribeOptionsBuilder();
            Array.ForEach(some, filter => builder.WithTopicFilter(filter));
            using CancellationTokenSource limit = Limit();
            await client.UnsubscribeAsync(builder.Build(), limit.Token);
        }
        if (!(isSessionPresent && _hasSubscribed && _options.Protocol == SourceProtocol.V311))
        {
            await SubscribeAsync(client, wanted);
        }
        _hasSubscribed = true;
        string[] has = [.. wanted.Except(_refused)];
        if (!isOurs || !before!.Filters.SequenceEqual(has))
        {
            new SourceSubscriptions(Broker, _options.ClientId, has).Save(_storage, _directory);
        }
    }

    private async Task SubscribeAsync(IMqttClient client, string[] filters)
    {
        var refused = new List<string>();
        foreach (string[] some in filters.Chunk(FiltersAtOnce))
        {
            using CancellationTokenSource limit = Limit();
            MqttClientSubscribeResult result = await client.SubscribeAsync(SourceClient.SubscriptionTo(some, _options.Protocol), limit.Token);
            foreach (MqttClientSubscribeResultItem item in result.Items.Where(item => item.ResultCode > MqttClientSubscribeResultCode.GrantedQoS2))
            {
                refused.Add(item.TopicFilter.Topic);
                _logger.SourceFilterRefused(Broker, item.TopicFilter.Topic, item.ResultCode.ToString());
            }
        }
        _refused = [.. refused];
        if (refused.Count == filters.Length)
        {
            throw new IOException($"the broker accepted none of the subscriptions: {string.Join(", ", refused.Take(5))}");
        }
    }

    private static string Explain(MqttClientDisconnectedEventArgs disconnected) =>
        disconnected.ReasonString is { Length: > 0 } text ? $"the broker ended the connection: {disconnected.Reason}, {text}"
        : disconnected.Exception is { } e && (e.InnerException ?? e) is not (NullReferenceException or ObjectDisposedException) ? (e.InnerException ?? e).Message
        : $"the connection ended: {disconnected.Reason}";
}
