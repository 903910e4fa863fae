using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Telemetry;
using Tributary.Log;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>
/// Tells which producers have written to a partition and how far they came (KIP-664). Stronger than Kafka: what is told is committed, so
/// that a producer in doubt may go on behind it. Where a last batch isn't committed yet, the answer waits until it is; when that takes too
/// long, or the batch is lost, the client is told to ask again. Whoever asks may claim the producers first: <see cref="ProducerClaims"/>.
/// </summary>
internal sealed class DescribeProducersHandler(BrokerContext broker)
    : ApiHandler<DescribeProducersRequest, DescribeProducersResponse>(broker)
{
    /// <summary>About what a producer takes in the answer.</summary>
    private const int ProducerBytes = 40;

    /// <inheritdoc/>
    protected override long Prepare(DescribeProducersRequest body)
    {
        long most = Broker.Options.MaxDescribedProducers;
        long named = (long)body.ProducerIds.Length * body.Topics.Sum(topic => (long)topic.PartitionIndexes.Length);
        return ProducerBytes * (body.ProducerIds.Length > 0 ? Math.Min(most, named) : most);
    }

    /// <inheritdoc/>
    protected override async ValueTask<DescribeProducersResponse> AnswerAsync(
        Request request, DescribeProducersRequest body, CancellationToken cancellation)
    {
        List<Asked> asked = Distinct(body);
        long[] wanted = [.. body.ProducerIds.Distinct()];
        var wait = new CommitWait(asked.Count);
        Claimant? claimant = body.Claim is { Incarnation: var incarnation, Start: var start } && incarnation != Guid.Empty
            ? new Claimant(incarnation, start)
            : null;
        var found = new DescribedProducers[asked.Count];
        long room = Broker.Options.MaxDescribedProducers;
        for (int slot = 0; slot < found.Length; slot++)
        {
            cancellation.ThrowIfCancellationRequested();
            found[slot] = Find(asked[slot], wanted, claimant, wait, slot, ref room);
        }
        await wait.WaitAsync(Broker.Options.DescribeProducersWait, Broker.Time, cancellation);
        return Answer(asked, found, wait);
    }

    /// <summary>Each partition once, however often it is named, those of a topic together.</summary>
    private static List<Asked> Distinct(DescribeProducersRequest body)
    {
        var seen = new HashSet<Asked>();
        var asked = new List<Asked>();
        foreach (DescribeProducersRequest.TopicRequest topic in body.Topics)
        {
            foreach (int index in topic.PartitionIndexes)
            {
                var one = new Asked(topic.Name, index);
                if (seen.Add(one))
                {
                    asked.Add(one);
                }
            }
        }
        return asked;
    }

    /// <param name="asked">The partition.</param>
    /// <param name="wanted">Whom to look for, each once; all, if empty.</param>
    /// <param name="claimant">Who claims them first, null for nobody.</param>
    /// <param name="wait">Completes when what is returned is committed.</param>
    /// <param name="slot">The partition's slot of it.</param>
    /// <param name="room">Producers that the request may still look up or be told of. The first partition is answered whatever it
    /// has.</param>
    private DescribedProducers Find(Asked asked, long[] wanted, Claimant? claimant, CommitWait wait, int slot, ref long room)
    {
        ErrorCode error = KafkaTopicName.IsValid(asked.Topic)
            ? Broker.Partitions.Get(asked.Topic, asked.Index, out Partition? partition)
            : Fail(ErrorCode.InvalidTopicException, out partition);
        if (error == ErrorCode.None && (room <= 0 || wanted.Length > room))
        {
            error = ErrorCode.PolicyViolation;
        }
        if (error != ErrorCode.None)
        {
            wait.Complete(slot, error);
            return new DescribedProducers([], Guid.Empty);
        }
        DescribedProducers found = partition!.DescribeProducers(wanted, claimant, wait, slot);
        room -= Math.Max(wanted.Length, found.Producers.Length);
        return found;
    }

    private DescribeProducersResponse Answer(List<Asked> asked, DescribedProducers[] found, CommitWait wait)
    {
        int slot = 0;
        return new DescribeProducersResponse
        {
            Topics =
            [
                .. asked.GroupBy(one => one.Topic, StringComparer.Ordinal).Select(topic => new DescribeProducersResponse.TopicResponse
                {
                    Name = topic.Key,
                    Partitions = [.. topic.Select(one => Answer(one.Index, Counted(wait.Outcome(slot)), found[slot++]))],
                }),
            ],
        };
    }

    private DescribeProducersResponse.PartitionResponse Answer(int index, ErrorCode error, DescribedProducers found) =>
        error != ErrorCode.None
            ? new() { PartitionIndex = index, ErrorCode = error, ErrorMessage = MessageOf(error) }
            : new()
            {
                PartitionIndex = index,
                ClaimedBy = found.ClaimedBy,
                ActiveProducers =
                [
                    .. found.Producers.Select(producer => new DescribeProducersResponse.ProducerState
                    {
                        ProducerId = producer.ProducerId,
                        ProducerEpoch = producer.Epoch,
                        LastSequence = producer.LastSequence,
                        LastTimestamp = producer.LastTimestamp,
                        CoordinatorEpoch = producer.CoordinatorEpoch,
                        CurrentTxnStartOffset = producer.TransactionStart,
                    }),
                ],
            };

    private string? MessageOf(ErrorCode error) => error switch
    {
        ErrorCode.PolicyViolation =>
            $"a request may look up {Broker.Options.MaxDescribedProducers} producers in all (broker:maxDescribedProducers); "
            + "ask for fewer at a time",
        ErrorCode.RequestTimedOut => "the last batches are not committed yet",
        ErrorCode.KafkaStorageError => "the last batches could not be stored",
        _ => null,
    };

    private static ErrorCode Fail(ErrorCode error, out Partition? partition)
    {
        partition = null;
        return error;
    }

    /// <summary>A partition that is asked about.</summary>
    private readonly record struct Asked(string Topic, int Index);
}
