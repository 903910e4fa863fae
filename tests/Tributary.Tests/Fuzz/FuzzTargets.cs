using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Tributary.Cloud.Cli;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Access;
using Tributary.Edge.Host;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Record = Tributary.Contracts.Records.Record;

namespace Tributary.Tests.Fuzz;

/// <summary>
/// One entry point for each decoder of bytes that others wrote, for fuzzers from outside as for the tests here: <c>Name(bytes)</c> returns,
/// whatever the bytes are, and throws only if there is a bug. (SharpFuzz: <c>Fuzzer.LibFuzzer.Run(FuzzTargets.KafkaRequest)</c>.) Those of
/// files are in <see cref="FileFuzzTargets"/>.
/// </summary>
internal static class FuzzTargets
{
    private const int MostDecompressed = 1 << 20;
    private const int MostElements = 65_536;

    private delegate void ReadMessage(ReadOnlyMemory<byte> bytes, int position, short version);

    private static readonly (KafkaApi Api, ReadMessage Request, Action<ReadOnlyMemory<byte>, short> Response)[] Apis =
    [
        Of<ApiVersionsRequest, ApiVersionsResponse>(), Of<CreateTopicsRequest, CreateTopicsResponse>(),
        Of<DescribeProducersRequest, DescribeProducersResponse>(), Of<FetchRequest, FetchResponse>(),
        Of<InitProducerIdRequest, InitProducerIdResponse>(), Of<ListOffsetsRequest, ListOffsetsResponse>(),
        Of<MetadataRequest, MetadataResponse>(), Of<ProduceRequest, ProduceResponse>(),
        Of<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse>(),
    ];

    /// <summary>A request's frame without its length, as the broker reads it.</summary>
    public static void KafkaRequest(ReadOnlySpan<byte> bytes)
    {
        byte[] frame = bytes.ToArray();
        try
        {
            var reader = new KafkaReader(frame);
            var header = RequestHeader.ReadFixedPart(ref reader);
            (KafkaApi? api, ReadMessage? read, _) = Apis.FirstOrDefault(known => known.Api.Key == header.ApiKey);
            if (api is not null && header.ApiVersion >= api.MinVersion && header.ApiVersion <= api.MaxVersion)
            {
                header.ReadRest(ref reader, api.IsFlexible(header.ApiVersion));
                read(frame, reader.Position, header.ApiVersion);
            }
        }
        catch (KafkaProtocolException)
        {
            // Said so.
        }
    }

    /// <summary>An API by its place here, a version, and a response from behind the correlation id on, as the agent reads it.</summary>
    public static void KafkaResponse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < 2)
        {
            return;
        }
        (KafkaApi api, _, Action<ReadOnlyMemory<byte>, short> read) = Apis[bytes[0] % Apis.Length];
        try
        {
            read(bytes[2..].ToArray(), (short)(api.MinVersion + (bytes[1] % (api.MaxVersion - api.MinVersion + 1))));
        }
        catch (KafkaProtocolException)
        {
            // Said so.
        }
    }

    /// <summary>A record batch and its records, whatever its CRC is.</summary>
    public static void Batch(ReadOnlySpan<byte> bytes)
    {
        if (RecordBatch.TryRead(bytes, out RecordBatch batch) != BatchStatus.Ok)
        {
            return;
        }
        _ = batch.IsCrcValid();
        if (batch.Codec == CompressionCodec.None)
        {
            Records(batch.Payload, batch.RecordCount);
        }
        else if (batch.Codec <= CompressionCodec.Zstd)
        {
            Decompressed(batch.Codec, batch.Payload, batch.RecordCount);
        }
    }

    /// <summary>A codec, and what it shall decompress.</summary>
    public static void Codec(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > 0)
        {
            Decompressed((CompressionCodec)(1 + (bytes[0] % 4)), bytes[1..], count: 1);
        }
    }

    /// <summary>A version (even 3.1.1, odd 5), and packets of a client one behind the other.</summary>
    public static void MqttPackets(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
        {
            return;
        }
        ProtocolLevel level = bytes[0] % 2 == 0 ? ProtocolLevel.V311 : ProtocolLevel.V5;
        ReadOnlySpan<byte> rest = bytes[1..];
        try
        {
            while (FixedHeader.TryRead(rest, out FixedHeader header) && header.PacketLength <= rest.Length)
            {
                MqttPacket(header, rest.Slice(header.Length, header.BodyLength), level);
                rest = rest[header.PacketLength..];
            }
        }
        catch (MqttProtocolException)
        {
            // Said so.
        }
    }

    /// <summary>Topic filters in lines, the last of which is a topic: it is matched as each filter says, alone and by the trie.</summary>
    public static void MqttFilters(ReadOnlySpan<byte> bytes)
    {
        var trie = new SubscriptionTrie();
        var metrics = new MqttMetrics();
        var session = new Session(-1, new("c"), new OutboundQueue(1 << 20, 1 << 20, metrics), trie, metrics);
        while (bytes.IndexOf((byte)'\n') is >= 0 and var end)
        {
            ReadOnlySpan<byte> filter = bytes[..end];
            if (TopicRules.IsFilter(filter) && !session.HasSubscription(filter))
            {
                session.Subscribe(filter, default, 0);
            }
            bytes = bytes[(end + 1)..];
        }
        if (TopicRules.IsName(bytes))
        {
            var matches = new Matches();
            trie.Match(bytes, matches);
            Require(trie.HasMatch(bytes) == !matches.Subscriptions.IsEmpty, "whether a filter matches is said in two ways");
        }
        session.End();
        Require(trie.Count == 0 && metrics.SubscriptionBytes == 0, "subscriptions are left over");
        metrics.Dispose();
    }

    /// <summary>A pattern of a route in the first line, and an MQTT topic that it may match.</summary>
    public static void Route(ReadOnlySpan<byte> bytes)
    {
        int end = Math.Max(0, bytes.IndexOf((byte)'\n'));
        ReadOnlySpan<byte> topic = bytes[end..].TrimStart((byte)'\n');
        try
        {
            TopicPattern pattern = TopicPattern.Parse(Encoding.UTF8.GetString(bytes[..end]));
            if (pattern.TryMatch(topic, out TopicCaptures captures))
            {
                for (int i = 0; i < pattern.Captures.Count; i++)
                {
                    _ = topic[captures[i]].Length;
                }
            }
        }
        catch (FormatException)
        {
            // Said so.
        }
        if (TopicRules.IsName(topic))
        {
            Require(KafkaTopicName.IsValid(RouteTable.Default.Resolve(topic, "edge").Topic), "a route leads to no valid topic");
        }
    }

    /// <summary>The settings file of the agent.</summary>
    public static void EdgeSettings(ReadOnlySpan<byte> bytes) => WithFile(bytes, path =>
    {
        try
        {
            var values = new SettingValues();
            values.AddFile(path);
            _ = EdgeOptions.From(values);
            values.CheckUnknown();
        }
        catch (ArgumentException)
        {
            // Said so.
        }
    });

    /// <summary>The users file of the agent.</summary>
    public static void UsersFile(ReadOnlySpan<byte> bytes)
    {
        try
        {
            Users users = Tributary.Edge.Access.UsersFile.Parse(bytes, "users.json");
            Require(users.All.All(user => users.Find(user.Name) == user), "a user is not found");
        }
        catch (UsersFileException)
        {
            // Said so.
        }
    }

    /// <summary>The settings file of the cloud's program.</summary>
    public static void CloudSettings(ReadOnlySpan<byte> bytes) => WithFile(bytes, path =>
    {
        try
        {
            SettingSources.Apply(SettingSources.ReadFile(path));
        }
        catch (SettingException)
        {
            // Said so.
        }
    });

    internal static void Require(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new InvalidOperationException(otherwise);
        }
    }

    private static void MqttPacket(FixedHeader header, ReadOnlySpan<byte> body, ProtocolLevel level)
    {
        switch (header.Type)
        {
            case PacketType.Connect:
                var reader = new PacketReader(body);
                byte asked = ConnectPacket.ReadLevel(ref reader);
                ConnectPacket.Read(ref reader, asked == (byte)ProtocolLevel.V5 ? ProtocolLevel.V5 : ProtocolLevel.V311);
                break;
            case PacketType.Publish:
                PublishPacket.Read(header, body, level);
                break;
            case PacketType.PubAck or PacketType.PubRec or PacketType.PubRel or PacketType.PubComp:
                Acknowledgement.Read(body, level);
                break;
            case PacketType.Subscribe:
                var subscribe = new SubscribePacket(body, level);
                while (subscribe.Next())
                {
                    _ = TopicRules.IsFilter(subscribe.Filter);
                }
                break;
            case PacketType.Unsubscribe:
                var unsubscribe = new UnsubscribePacket(body, level);
                while (unsubscribe.Next())
                {
                    _ = TopicRules.IsFilter(unsubscribe.Filter);
                }
                break;
            case PacketType.Disconnect:
                DisconnectPacket.Read(body, level);
                break;
        }
    }

    private static void Decompressed(CompressionCodec codec, ReadOnlySpan<byte> payload, int count)
    {
        byte[]? pooled = null;
        try
        {
            int size = Compression.Decompress(codec, payload, ref pooled, MostDecompressed);
            Require(size <= MostDecompressed, "more was decompressed than allowed");
            Records(pooled.AsSpan(0, size), count);
        }
        catch (InvalidDataException)
        {
            // Said so.
        }
        finally
        {
            if (pooled is not null)
            {
                ArrayPool<byte>.Shared.Return(pooled);
            }
        }
    }

    private static void Records(ReadOnlySpan<byte> payload, int count)
    {
        var reader = new RecordReader(payload, count);
        int read = 0;
        while (reader.Read(out Record record))
        {
            Require(++read <= count, "more records were read than the batch has");
            HeaderReader headers = record.ReadHeaders();
            while (headers.Read(out _, out _, out _))
            {
                // Walked to its end.
            }
        }
    }

    private static void WithFile(ReadOnlySpan<byte> bytes, Action<string> use)
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, bytes);
            use(path);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static (KafkaApi Api, ReadMessage Request, Action<ReadOnlyMemory<byte>, short> Response) Of<TRequest, TResponse>()
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse> => (
        TRequest.Api,
        static (bytes, position, version) =>
        {
            var reader = new KafkaReader(bytes, position, MostElements);
            TRequest.Read(ref reader, version);
        },
        static (bytes, version) => KafkaFrame.ReadResponse<TResponse>(bytes, version));
}
