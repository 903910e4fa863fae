namespace Tributary.Cloud.Grains;

/// <summary>
/// Works for one consumer group. Requests and answers travel as Kafka's bytes, so that any broker can hand its client's to the one grain.
/// </summary>
[Alias("Tributary.IGroupGrain")]
internal interface IGroupGrain : IGrainWithStringKey
{
    private const string Prefix = "group/";

    /// <summary>The grain's key for a group.</summary>
    static string KeyOf(string group) => Prefix + group;

    /// <summary>The group that a key is of.</summary>
    static string GroupOf(string key) => key[Prefix.Length..];

    /// <summary>Serves a request.</summary>
    /// <returns>The answer; or a ticket, if it isn't there within a short while: then <see cref="WaitAsync"/> asks on.</returns>
    [Alias("Serve")]
    Task<GroupReply> ServeAsync(GroupCall call);

    /// <summary>Waits on for the answer to a ticket, as <see cref="ServeAsync"/> does.</summary>
    [Alias("Wait")]
    Task<GroupReply> WaitAsync(long ticket);

    /// <summary>Loads the group, so that sessions of its members begin.</summary>
    [Alias("Wake")]
    Task WakeAsync();

    /// <summary>A transaction has ended that was to commit offsets of the group; durable when it returns.</summary>
    [Alias("EndTransaction")]
    Task EndTransactionAsync(long producerId, short producerEpoch, bool isCommit, int coordinatorEpoch);

    /// <summary>Takes out what is kept no longer.</summary>
    [Alias("Expire")]
    Task ExpireAsync();

    /// <summary>A topic is gone, and its offsets with it.</summary>
    [Alias("ForgetTopic")]
    Task ForgetTopicAsync(string topic);
}

/// <summary>A request about one group.</summary>
/// <param name="ApiKey">Kafka's number of the API.</param>
/// <param name="Version">Version of the body, and of the answer's.</param>
/// <param name="ClientId">What the client calls itself.</param>
/// <param name="ClientHost">Where it is.</param>
/// <param name="Body">The request without its header.</param>
[GenerateSerializer, Immutable, Alias("Tributary.GroupCall")]
internal sealed record GroupCall(
    [property: Id(0)] short ApiKey,
    [property: Id(1)] short Version,
    [property: Id(2)] string ClientId,
    [property: Id(3)] string ClientHost,
    [property: Id(4)] byte[] Body);

/// <summary>An answer, or where to wait for it.</summary>
/// <param name="Body">The response without its header, null if it isn't there yet.</param>
/// <param name="Ticket">What to wait with; 0 if nobody knows of the request any more.</param>
[GenerateSerializer, Immutable, Alias("Tributary.GroupReply")]
internal sealed record GroupReply([property: Id(0)] byte[]? Body, [property: Id(1)] long Ticket);
