using Tributary.Broker.Metadata;
using Tributary.Contracts.Kafka;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Changes of topics through the control plane, as several handlers ask for them.</summary>
internal static class TopicChange
{
    /// <summary>Changes of a request that are made beside each other: their writes and flushes are shared.</summary>
    private const int AtATime = 16;

    /// <summary>What clients are told of a topic that isn't there, in the words of Kafka.</summary>
    public const string UnknownTopic = "This server does not host this topic-partition.";

    /// <summary>Makes a change. A control plane that fails, or is slow, gives an error that clients try again.</summary>
    public static Task<TopicOutcome> TryAsync(BrokerContext broker, string topic, Func<Task<TopicOutcome>> change) =>
        TryAsync(change, e => broker.Logger.TopicChangeFailed(e, topic));

    /// <summary>Makes a change of anything, and has it logged if it fails.</summary>
    public static async Task<TopicOutcome> TryAsync(Func<Task<TopicOutcome>> change, Action<Exception> log)
    {
        try
        {
            return await change();
        }
        catch (OperationCanceledException)
        {
            return new TopicOutcome(ErrorCode.RequestTimedOut, "it wasn't done in time; it may still be");
        }
        catch (Exception e)
        {
            log(e);
            return new TopicOutcome(ErrorCode.RequestTimedOut, "it could not be done now; try again");
        }
    }

    /// <summary>Answers each item of a request, in its place.</summary>
    public static async Task<TResult[]> ForEachAsync<TItem, TResult>(IReadOnlyList<TItem> items, Func<TItem, int, Task<TResult>> answer)
    {
        var results = new TResult[items.Count];
        await Parallel.ForAsync(
            0, results.Length, new ParallelOptions { MaxDegreeOfParallelism = AtATime },
            async (i, _) => results[i] = await answer(items[i], i));
        return results;
    }
}
