using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka;
using Tributary.Contracts.Records;

namespace Tributary.Broker.Gateway.Handlers;

/// <summary>Why a batch is refused because of one of its records (KIP-467).</summary>
/// <param name="Index">Which record of the batch, from 0.</param>
/// <param name="Message">What is wrong with it.</param>
internal readonly record struct RecordFault(int Index, string Message);

/// <summary>
/// What a topic's configs ask of each record: a key where it is compacted, and a timestamp that isn't too far from the broker's clock.
/// Used by one thread for one batch; it allocates nothing until a record is wrong.
/// </summary>
internal struct RecordRules(TopicSettings settings, long nowMs, long baseTimestamp)
{
    /// <summary>More wrong records of a batch are not listed.</summary>
    internal const int MaxFaults = 1_000;

    private const long NoTimestamp = -1;

    /// <summary>The records that are wrong, null if none is.</summary>
    public List<RecordFault>? Faults { get; private set; }

    /// <summary>What the client is told of the batch.</summary>
    public ErrorCode Error { get; private set; }

    /// <summary>The sentence for it.</summary>
    public readonly string? Message => Error switch
    {
        ErrorCode.None => null,
        ErrorCode.InvalidTimestamp => "One or more records have been rejected due to invalid timestamp",
        _ => "One or more records have been rejected due to a missing key: the topic is compacted",
    };

    /// <summary>Checks a record.</summary>
    public void Check(in Record record, int index)
    {
        if (!settings.ChecksRecords)
        {
            return;
        }
        if (settings.Compact && !record.HasKey)
        {
            Add(ErrorCode.InvalidRecord, index, "Compacted topic cannot accept message without key.");
        }
        else if (!settings.LogAppendTime && !IsInTime(baseTimestamp + record.TimestampDelta))
        {
            Add(
                ErrorCode.InvalidTimestamp, index,
                $"Timestamp {baseTimestamp + record.TimestampDelta} of message is out of range. The timestamp should be within "
                + $"{settings.TimestampBeforeMaxMs} ms before and {settings.TimestampAfterMaxMs} ms after {nowMs}.");
        }
    }

    private readonly bool IsInTime(long timestamp) => timestamp == NoTimestamp
        || (timestamp <= nowMs
            ? (ulong)nowMs - (ulong)timestamp <= (ulong)settings.TimestampBeforeMaxMs
            : (ulong)timestamp - (ulong)nowMs <= (ulong)settings.TimestampAfterMaxMs);

    private void Add(ErrorCode error, int index, string message)
    {
        // A batch has one error: the first one that is found, as with Kafka.
        Error = Error == ErrorCode.None ? error : Error;
        Faults ??= [];
        if (Error == error && Faults.Count < MaxFaults)
        {
            Faults.Add(new RecordFault(index, message));
        }
    }
}
