using System.Net;
using Tributary.Broker.Groups;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Serves an API about groups: what it has in common is who works for a group and what is said when nobody does.</summary>
internal abstract class GroupHandler<TRequest, TResponse>(BrokerContext broker) : ApiHandler<TRequest, TResponse>(broker)
    where TRequest : IKafkaRequest<TRequest, TResponse>
    where TResponse : IKafkaMessage<TResponse>
{
    protected IGroupCoordinator Groups => Broker.Groups;

    /// <summary>Bits of READ, DELETE and DESCRIBE (KIP-430): nobody is refused anything.</summary>
    protected const int AllGroupOperations = (1 << 3) | (1 << 6) | (1 << 8);

    /// <inheritdoc cref="GroupIds.IsValid"/>
    protected static bool IsValid(string group, bool mayBeEmpty) => GroupIds.IsValid(group, mayBeEmpty);

    /// <summary>Who sends a request; the address as Kafka shows it.</summary>
    protected static GroupCaller CallerOf(Request request, short version)
    {
        string host = request.Client.RemoteEndPoint is IPEndPoint remote ? $"/{remote.Address}" : "";
        return new GroupCaller(request.ClientId ?? "", host, version);
    }

    /// <inheritdoc cref="CallerOf(Request, short)"/>
    protected static GroupCaller CallerOf(Request request) => CallerOf(request, request.Version);

    /// <summary>Asks whoever works for a group. A failure is logged and answered with COORDINATOR_NOT_AVAILABLE, so the client asks again.</summary>
    protected async Task<T> AskAsync<T>(
        string group, Func<IGroupCoordinator, Task<T>> ask, Func<ErrorCode, T> refuse, CancellationToken cancellation)
    {
        try
        {
            return await ask(Groups);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
        {
            Broker.Logger.GroupRequestFailed(e, Name, group.Length <= GroupIds.MaxLength ? group : group[..GroupIds.MaxLength]);
            return refuse(ErrorCode.CoordinatorNotAvailable);
        }
    }
}
