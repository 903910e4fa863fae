using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>What a fake broker does with a request.</summary>
internal enum Fault
{
    /// <summary>Serves and answers it.</summary>
    None,

    /// <summary>Closes the connection instead of serving it.</summary>
    CloseBefore,

    /// <summary>Serves it and closes the connection instead of answering.</summary>
    CloseAfter,

    /// <summary>Serves it and closes the connection within the answer.</summary>
    CutAnswer,

    /// <summary>Serves it and never answers, nor anything after it.</summary>
    Silence,

    /// <summary>Answers byte by byte.</summary>
    Trickle,

    /// <summary>Answers with another correlation id.</summary>
    WrongId,

    /// <summary>Answers with bytes that are no such response.</summary>
    Garbage,

    /// <summary>Announces an answer of 2 GB.</summary>
    HugeFrame,
}

/// <summary>A request as a fake broker got it.</summary>
internal sealed record FakeRequest(int Node, short ApiKey, short Version, int Number);

/// <summary>
/// Brokers on real sockets in front of one <see cref="SimulatedCloud"/>. Each request is shown to <see cref="Script"/>, which may spoil it.
/// </summary>
internal sealed class FakeCluster : IAsyncDisposable
{
    public const string Topic = "telemetry";
    private readonly Lock _lock = new();

    public FakeCluster(int brokers, int partitions)
    {
        Cloud.SetPartitions(partitions);
        Brokers = [.. Enumerable.Range(0, brokers).Select(node => new FakeBroker(this, node))];
        Leaders = [.. Enumerable.Range(0, partitions).Select(partition => partition % brokers)];
    }

    public SimulatedCloud Cloud { get; } = new();

    public IReadOnlyList<FakeBroker> Brokers { get; }

    /// <summary>Node that leads, by partition; −1 for none.</summary>
    public int[] Leaders { get; }

    /// <summary>Addresses told in metadata; those of the brokers unless set.</summary>
    public Func<int, (string Host, int Port)>? Advertised { get; set; }

    /// <summary>Whether the topic exists.</summary>
    public bool HasTopic { get; set; } = true;

    public Func<FakeRequest, Fault> Script { get; set; } = _ => Fault.None;

    /// <summary>Error of an API instead of an answer.</summary>
    public ConcurrentDictionary<short, ErrorCode> Errors { get; } = new();

    /// <summary>Versions that are served, by API.</summary>
    public Dictionary<short, (short Min, short Max)> Versions { get; } = new()
    {
        [ProduceRequest.ApiKey] = (3, 11),
        [MetadataRequest.ApiKey] = (0, 13),
        [InitProducerIdRequest.ApiKey] = (0, 5),
        [DescribeProducersRequest.ApiKey] = (0, 0),
        [ListOffsetsRequest.ApiKey] = (1, 10),
        [ApiVersionsRequest.ApiKey] = (0, 4),
    };

    /// <summary>All requests in the order in which they came.</summary>
    public ConcurrentQueue<FakeRequest> Requests { get; } = new();

    /// <summary>Produce requests are answered when so many wait; later ones at once.</summary>
    public int HoldProducesUntil { get; set; }

    public List<(string Key, long Id)> Committed()
    {
        lock (_lock)
        {
            return [.. Cloud.Partitions.SelectMany(partition => partition.Committed).OrderBy(record => record.Order).Select(record => (record.Key, record.Id))];
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (FakeBroker broker in Brokers)
        {
            await broker.DisposeAsync();
        }
    }

    public byte[] Serve(FakeRequest request, ref KafkaReader reader)
    {
        lock (_lock)
        {
            return request.ApiKey switch
            {
                ApiVersionsRequest.ApiKey => ApiVersions(request),
                MetadataRequest.ApiKey => Encode(Metadata(MetadataRequest.Read(ref reader, request.Version)), request.Version),
                InitProducerIdRequest.ApiKey => Encode(InitProducerId(), request.Version),
                DescribeProducersRequest.ApiKey => Encode(Describe(request.Node, DescribeProducersRequest.Read(ref reader, request.Version)), request.Version),
                ListOffsetsRequest.ApiKey => Encode(ListOffsets(request.Node, ListOffsetsRequest.Read(ref reader, request.Version)), request.Version),
                ProduceRequest.ApiKey => Encode(Produce(request.Node, ProduceRequest.Read(ref reader, request.Version)), request.Version),
                _ => throw new InvalidOperationException($"API {request.ApiKey} is not served"),
            };
        }
    }

    private static byte[] Encode<T>(T response, short version)
        where T : IKafkaMessage<T>
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(output);
        if (T.Api.IsResponseHeaderFlexible(version))
        {
            writer.WriteUnsignedVarint(0);
        }
        response.Write(ref writer, version);
        return output.WrittenSpan.ToArray();
    }

    private byte[] ApiVersions(FakeRequest request)
    {
        if (Errors.TryGetValue(ApiVersionsRequest.ApiKey, out ErrorCode error))
        {
            return Encode(new ApiVersionsResponse { ErrorCode = error }, request.Version);
        }
        (short least, short most) = Versions[ApiVersionsRequest.ApiKey];
        bool isKnown = request.Version >= least && request.Version <= most;
        var response = new ApiVersionsResponse
        {
            ErrorCode = isKnown ? ErrorCode.None : ErrorCode.UnsupportedVersion,
            ApiKeys =
            [
                .. Versions.Where(version => isKnown || version.Key == ApiVersionsRequest.ApiKey).Select(version =>
                    new ApiVersionsResponse.ApiVersion { ApiKey = version.Key, MinVersion = version.Value.Min, MaxVersion = version.Value.Max }),
            ],
        };
        return Encode(response, isKnown ? request.Version : (short)0);
    }

    private MetadataResponse Metadata(MetadataRequest request)
    {
        HasTopic |= request.AllowAutoTopicCreation;
        ErrorCode error = Errors.TryGetValue(MetadataRequest.ApiKey, out ErrorCode set) ? set
            : HasTopic ? ErrorCode.None : ErrorCode.UnknownTopicOrPartition;
        return new MetadataResponse
        {
            ClusterId = Cloud.ClusterId,
            Brokers =
            [
                .. Brokers.Select(broker =>
                {
                    (string host, int port) = Advertised?.Invoke(broker.Node) ?? ("127.0.0.1", broker.Port);
                    return new MetadataResponse.MetadataResponseBroker { NodeId = broker.Node, Host = host, Port = port };
                }),
            ],
            Topics =
            [
                new MetadataResponse.MetadataResponseTopic
                {
                    ErrorCode = error,
                    Name = request.Topics![0].Name,
                    TopicId = Cloud.TopicId,
                    Partitions = error == ErrorCode.None ? [.. Leaders.Select(PartitionMetadata)] : [],
                },
            ],
        };
    }

    private static MetadataResponse.MetadataResponsePartition PartitionMetadata(int leader, int partition) => new()
    {
        PartitionIndex = partition,
        LeaderId = leader,
        ErrorCode = leader < 0 ? ErrorCode.LeaderNotAvailable : ErrorCode.None,
    };

    private InitProducerIdResponse InitProducerId() => Errors.TryGetValue(InitProducerIdRequest.ApiKey, out ErrorCode error)
        ? new InitProducerIdResponse { ErrorCode = error }
        : new InitProducerIdResponse { ProducerId = Cloud.NewProducerId(), ProducerEpoch = 0 };

    private DescribeProducersResponse Describe(int node, DescribeProducersRequest request) => new()
    {
        Topics =
        [
            .. request.Topics.Select(topic => new DescribeProducersResponse.TopicResponse
            {
                Name = topic.Name,
                Partitions = [.. topic.PartitionIndexes.Select(partition => DescribePartition(node, partition, request))],
            }),
        ],
    };

    private DescribeProducersResponse.PartitionResponse DescribePartition(int node, int partition, DescribeProducersRequest request)
    {
        var response = new DescribeProducersResponse.PartitionResponse { PartitionIndex = partition, ErrorCode = ErrorOf(node, partition, DescribeProducersRequest.ApiKey) };
        // Others write to the partition too.
        var states = new List<DescribeProducersResponse.ProducerState> { new() { ProducerId = 1, ProducerEpoch = 9, LastSequence = 99 } };
        Guid incarnation = request.Claim?.Incarnation ?? Guid.Empty;
        foreach (long producerId in request.ProducerIds)
        {
            Tributary.Edge.Uplink.CloudPosition position = Cloud.Partitions[partition].Describe(producerId, incarnation, request.Claim?.Start ?? 0);
            response.ClaimedBy = position.Claim switch
            {
                Tributary.Edge.Uplink.ClaimState.Unknown => Guid.Empty,
                Tributary.Edge.Uplink.ClaimState.Ours => incarnation,
                _ => Guid.Parse("ffffffff-0000-0000-0000-000000000000"),
            };
            if (position.Epoch >= 0)
            {
                states.Add(new() { ProducerId = producerId, ProducerEpoch = position.Epoch, LastSequence = position.LastSequence });
            }
        }
        response.ActiveProducers = [.. states];
        return response;
    }

    private ListOffsetsResponse ListOffsets(int node, ListOffsetsRequest request) => new()
    {
        Topics =
        [
            .. request.Topics.Select(topic => new ListOffsetsResponse.ListOffsetsTopicResponse
            {
                Name = topic.Name,
                Partitions =
                [
                    .. topic.Partitions.Select(partition => new ListOffsetsResponse.ListOffsetsPartitionResponse
                    {
                        PartitionIndex = partition.PartitionIndex,
                        ErrorCode = ErrorOf(node, partition.PartitionIndex, ListOffsetsRequest.ApiKey),
                        Offset = Cloud.Partitions[partition.PartitionIndex].CommittedEnd,
                    }),
                ],
            }),
        ],
    };

    private ProduceResponse Produce(int node, ProduceRequest request) => new()
    {
        Responses =
        [
            .. request.TopicData.Select(topic => new ProduceResponse.TopicProduceResponse
            {
                Name = topic.Name,
                PartitionResponses = [.. topic.PartitionData.Select(partition => Append(node, partition, request.Incarnation))],
            }),
        ],
    };

    private ProduceResponse.PartitionProduceResponse Append(int node, ProduceRequest.PartitionProduceData data, Guid incarnation)
    {
        ErrorCode error = ErrorOf(node, data.Index, ProduceRequest.ApiKey);
        long offset = -1;
        if (error == ErrorCode.None)
        {
            (error, offset, long end) = Cloud.Partitions[data.Index].Append(data.Records.Span, incarnation);
            Cloud.Partitions[data.Index].Commit(end);
        }
        return new ProduceResponse.PartitionProduceResponse { Index = data.Index, ErrorCode = error, BaseOffset = offset };
    }

    private ErrorCode ErrorOf(int node, int partition, short api) => Errors.TryGetValue(api, out ErrorCode error) ? error
        : Leaders[partition] == node ? ErrorCode.None : ErrorCode.NotLeaderOrFollower;
}

/// <summary>One broker of a <see cref="FakeCluster"/>.</summary>
internal sealed class FakeBroker : IAsyncDisposable
{
    private readonly FakeCluster _cluster;
    private readonly ConcurrentDictionary<Socket, Task> _connections = new();
    private readonly ConcurrentDictionary<short, int> _numbers = new();
    private readonly CancellationTokenSource _stopping = new();
    private TcpListener _listener;
    private Task _accepting;

    public FakeBroker(FakeCluster cluster, int node)
    {
        _cluster = cluster;
        Node = node;
        _listener = Listen(0);
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        _accepting = AcceptAsync();
    }

    public int Node { get; }

    public int Port { get; }

    public int Connections => _connections.Count;

    /// <summary>Closes its port and all connections.</summary>
    public async Task StopAsync()
    {
        _listener.Stop();
        await _accepting;
        foreach ((Socket socket, Task serving) in _connections)
        {
            socket.Dispose();
            await serving;
        }
    }

    /// <summary>Listens again on the same port.</summary>
    public void Restart()
    {
        _listener = Listen(Port);
        _accepting = AcceptAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await StopAsync();
    }

    private static TcpListener Listen(int port)
    {
        var listener = new TcpListener(IPAddress.Loopback, port);
        listener.Server.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        listener.Start();
        return listener;
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                Socket socket = await _listener.AcceptSocketAsync(_stopping.Token);
                socket.NoDelay = true;
                _connections[socket] = Task.Run(() => ServeAsync(socket));
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            // Stopped; the last kind before it accepts.
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        var held = new List<byte[]>();
        try
        {
            await using var stream = new NetworkStream(socket);
            byte[] length = new byte[sizeof(int)];
            while (true)
            {
                await stream.ReadExactlyAsync(length, _stopping.Token);
                byte[] frame = new byte[BinaryPrimitives.ReadInt32BigEndian(length)];
                await stream.ReadExactlyAsync(frame, _stopping.Token);
                (FakeRequest request, Fault fault, byte[] answer) = Handle(frame);
                if (request.ApiKey == ProduceRequest.ApiKey && held.Count + 1 < _cluster.HoldProducesUntil)
                {
                    held.Add(answer);
                    continue;
                }
                _cluster.HoldProducesUntil = request.ApiKey == ProduceRequest.ApiKey ? 0 : _cluster.HoldProducesUntil;
                foreach (byte[] earlier in held)
                {
                    await stream.WriteAsync(earlier, _stopping.Token);
                }
                held.Clear();
                if (!await AnswerAsync(stream, answer, fault))
                {
                    return;
                }
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
        }
        finally
        {
            socket.Dispose();
            _connections.TryRemove(socket, out _);
        }
    }

    private (FakeRequest Request, Fault Fault, byte[] Answer) Handle(byte[] frame)
    {
        var reader = new KafkaReader(frame);
        RequestHeader header = RequestHeader.ReadFixedPart(ref reader);
        KafkaApi api = header.ApiKey switch
        {
            ProduceRequest.ApiKey => ProduceRequest.Api,
            MetadataRequest.ApiKey => MetadataRequest.Api,
            InitProducerIdRequest.ApiKey => InitProducerIdRequest.Api,
            DescribeProducersRequest.ApiKey => DescribeProducersRequest.Api,
            ListOffsetsRequest.ApiKey => ListOffsetsRequest.Api,
            _ => ApiVersionsRequest.Api,
        };
        header.ReadRest(ref reader, api.IsFlexible(header.ApiVersion));
        int number = _numbers.AddOrUpdate(header.ApiKey, 1, (_, before) => before + 1);
        var request = new FakeRequest(Node, header.ApiKey, header.ApiVersion, number);
        Fault fault = _cluster.Script(request);
        byte[] body = fault == Fault.CloseBefore ? [] : _cluster.Serve(request, ref reader);
        if (fault == Fault.Garbage)
        {
            body.AsSpan().Fill(0xFF);
        }
        byte[] answer = new byte[sizeof(int) + sizeof(int) + body.Length];
        BinaryPrimitives.WriteInt32BigEndian(answer, fault == Fault.HugeFrame ? int.MaxValue : answer.Length - sizeof(int));
        BinaryPrimitives.WriteInt32BigEndian(answer.AsSpan(sizeof(int)), header.CorrelationId + (fault == Fault.WrongId ? 1 : 0));
        body.CopyTo(answer, sizeof(int) + sizeof(int));
        _cluster.Requests.Enqueue(request);
        return (request, fault, answer);
    }

    /// <returns>False if the connection is to be closed.</returns>
    private async Task<bool> AnswerAsync(NetworkStream stream, byte[] answer, Fault fault)
    {
        switch (fault)
        {
            case Fault.CloseBefore or Fault.CloseAfter:
                return false;
            case Fault.CutAnswer:
                await stream.WriteAsync(answer.AsMemory(0, answer.Length / 2), _stopping.Token);
                return false;
            case Fault.Silence:
                byte[] unread = new byte[1024];
                while (await stream.ReadAsync(unread, _stopping.Token) > 0)
                {
                }
                return false;
            case Fault.Trickle:
                foreach (byte b in answer)
                {
                    await stream.WriteAsync(new[] { b }, _stopping.Token);
                }
                return true;
            default:
                await stream.WriteAsync(answer, _stopping.Token);
                return true;
        }
    }
}
