using System.Collections.Frozen;
using Tributary.Broker.Gateway.Handlers;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway;

/// <summary>Knows which APIs are served, in which versions, and by whom. Immutable.</summary>
internal sealed class RequestDispatcher
{
    private readonly BrokerContext _broker;
    private readonly FrozenDictionary<short, ApiHandler> _handlers;

    public RequestDispatcher(BrokerContext broker)
    {
        _broker = broker;
        ApiHandler[] handlers =
        [
            new ProduceHandler(broker),
            new FetchHandler(broker),
            new ListOffsetsHandler(broker),
            new OffsetForLeaderEpochHandler(broker),
            new MetadataHandler(broker),
            new CreateTopicsHandler(broker),
            new DeleteTopicsHandler(broker),
            new DeleteRecordsHandler(broker),
            new CreatePartitionsHandler(broker),
            new DescribeConfigsHandler(broker),
            new AlterConfigsHandler(broker),
            new IncrementalAlterConfigsHandler(broker),
            new DescribeClusterHandler(broker),
            new DescribeLogDirsHandler(broker),
            new DescribeTopicPartitionsHandler(broker),
            new ElectLeadersHandler(broker),
            new AlterPartitionReassignmentsHandler(broker),
            new ListPartitionReassignmentsHandler(broker),
            new InitProducerIdHandler(broker),
            new AddPartitionsToTxnHandler(broker),
            new AddOffsetsToTxnHandler(broker),
            new EndTxnHandler(broker),
            new DescribeTransactionsHandler(broker),
            new ListTransactionsHandler(broker),
            new DescribeProducersHandler(broker),
            new FindCoordinatorHandler(broker),
            new JoinGroupHandler(broker),
            new SyncGroupHandler(broker),
            new HeartbeatHandler(broker),
            new LeaveGroupHandler(broker),
            new OffsetCommitHandler(broker),
            new TxnOffsetCommitHandler(broker),
            new OffsetFetchHandler(broker),
            new OffsetDeleteHandler(broker),
            new DescribeGroupsHandler(broker),
            new ListGroupsHandler(broker),
            new DeleteGroupsHandler(broker),
            new ConsumerGroupHeartbeatHandler(broker),
            new ConsumerGroupDescribeHandler(broker),
        ];
        handlers = [.. handlers, new ApiVersionsHandler(broker, handlers)];
        _handlers = handlers.ToFrozenDictionary(handler => handler.Api.Key);
    }

    /// <summary>All APIs that are served, by key.</summary>
    public IEnumerable<ApiHandler> Handlers => _handlers.Values;

    /// <summary>
    /// Understands a request's header (version 1, or 2 when the API's version is flexible). An ApiVersions request that is too new is
    /// understood up to its body, since its answer tells the client what to ask instead (KIP-511).
    /// </summary>
    /// <exception cref="ConnectionRefusedException">It is malformed, or asks for what isn't served.</exception>
    public Request Parse(ReadOnlyMemory<byte> frame, ClientInfo client)
    {
        try
        {
            var reader = new KafkaReader(frame);
            var header = RequestHeader.ReadFixedPart(ref reader);
            if (!_handlers.TryGetValue(header.ApiKey, out ApiHandler? handler))
            {
                throw new ConnectionRefusedException(CloseReason.Unsupported, $"API {header.ApiKey} is not served");
            }
            bool isServed = header.ApiVersion >= handler.MinVersion && header.ApiVersion <= handler.MaxVersion;
            if (isServed)
            {
                header = header.ReadRest(ref reader, handler.Api.IsFlexible(header.ApiVersion));
                CheckFrame(header.Check, frame.Span, client);
            }
            else if (handler is not ApiVersionsHandler || header.ApiVersion < handler.MinVersion)
            {
                throw new ConnectionRefusedException(
                    CloseReason.Unsupported,
                    $"{handler.Name} version {header.ApiVersion} is not served, only {handler.MinVersion} to {handler.MaxVersion}");
            }
            return new Request(
                handler, header.ApiVersion, isServed, header.CorrelationId, header.ClientId, frame, reader.Position, client,
                _broker.Time.GetTimestamp(), header.Check is not null);
        }
        catch (KafkaProtocolException e)
        {
            throw new ConnectionRefusedException(CloseReason.Malformed, e.Message);
        }
    }

    private static void CheckFrame(FrameCheck? check, ReadOnlySpan<byte> frame, ClientInfo client)
    {
        if (check is { } found ? !found.Holds(frame) : client.ChecksFrames)
        {
            throw new ConnectionRefusedException(
                CloseReason.Malformed, "a request was damaged on its way: it is not what its checksum says. Use TLS where the network does that");
        }
        client.ChecksFrames |= check is not null;
    }
}
