using System.Buffers;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;

namespace Tributary.Cloud.Grains;

/// <summary>Requests about groups as bytes, between the broker that a client talks to and the grain of the group.</summary>
internal static class GroupWire
{
    /// <summary>Whether the answer may need other members to come.</summary>
    public static bool MayWait(short apiKey) => apiKey == JoinGroupRequest.Api.Key || apiKey == SyncGroupRequest.Api.Key;

    public static GroupCall Encode<TRequest, TResponse>(IKafkaRequest<TRequest, TResponse> request, GroupCaller caller)
        where TRequest : IKafkaRequest<TRequest, TResponse>
        where TResponse : IKafkaMessage<TResponse> =>
        new(TRequest.Api.Key, caller.Version, caller.ClientId, caller.Host, ToBytes((TRequest)request, caller.Version));

    public static T Decode<T>(byte[] body, short version)
        where T : IKafkaMessage<T>
    {
        var reader = new KafkaReader(body);
        return T.Read(ref reader, version);
    }

    /// <summary>Has a host serve a call.</summary>
    public static async Task<byte[]> ServeAsync(GroupHost host, GroupCall call)
    {
        short version = call.Version;
        var caller = new GroupCaller(call.ClientId, call.ClientHost, version);
        return call.ApiKey switch
        {
            _ when Is<JoinGroupRequest>(call) => ToBytes(await host.JoinAsync(Of<JoinGroupRequest>(call), caller), version),
            _ when Is<SyncGroupRequest>(call) => ToBytes(await host.SyncAsync(Of<SyncGroupRequest>(call)), version),
            _ when Is<HeartbeatRequest>(call) => ToBytes(host.Heartbeat(Of<HeartbeatRequest>(call)), version),
            _ when Is<ConsumerGroupHeartbeatRequest>(call) =>
                ToBytes(await host.HeartbeatAsync(Of<ConsumerGroupHeartbeatRequest>(call), caller), version),
            _ when Is<ConsumerGroupDescribeRequest>(call) => ToBytes(host.Describe(Of<ConsumerGroupDescribeRequest>(call)), version),
            _ when Is<LeaveGroupRequest>(call) => ToBytes(await host.LeaveAsync(Of<LeaveGroupRequest>(call)), version),
            _ when Is<OffsetCommitRequest>(call) => ToBytes(await host.CommitAsync(Of<OffsetCommitRequest>(call), caller), version),
            _ when Is<TxnOffsetCommitRequest>(call) => ToBytes(await host.CommitAsync(Of<TxnOffsetCommitRequest>(call), caller), version),
            _ when Is<OffsetFetchRequest>(call) => ToBytes(host.FetchOffsets(Of<OffsetFetchRequest>(call)), version),
            _ when Is<OffsetDeleteRequest>(call) => ToBytes(await host.DeleteOffsetsAsync(Of<OffsetDeleteRequest>(call)), version),
            _ when Is<DescribeGroupsRequest>(call) => ToBytes(host.Describe(Of<DescribeGroupsRequest>(call)), version),
            _ when Is<DeleteGroupsRequest>(call) => ToBytes(await host.DeleteAsync(Of<DeleteGroupsRequest>(call)), version),
            _ => throw new ArgumentException($"API {call.ApiKey} is not about one group", nameof(call)),
        };
    }

    private static bool Is<T>(GroupCall call)
        where T : IKafkaMessage<T> => T.Api.Key == call.ApiKey;

    private static T Of<T>(GroupCall call)
        where T : IKafkaMessage<T> => Decode<T>(call.Body, call.Version);

    private static byte[] ToBytes<T>(T message, short version)
        where T : IKafkaMessage<T>
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new KafkaWriter(output);
        message.Write(ref writer, version);
        return output.WrittenSpan.ToArray();
    }
}
