using Tributary.Contracts.Telemetry;

namespace Tributary.Edge.Ingest;

/// <summary>
/// What a filter remembers of one MQTT topic. Invariant: a deadband compares only with a value that is stored or still on its way to the
/// disk; one that was refused or lost counts as never come, so that it goes on when it comes again. Forgetting lets a message through.
/// <para>Used under its own lock, which is held until the message is accepted or left out: the lock of a partition may be taken within it.
/// Nothing of it survives a restart.</para>
/// </summary>
internal sealed class FilterState(MessageFilter filter, TimeProvider time)
{
    /// <summary>What one takes in memory, about.</summary>
    public const int Bytes = 96;

    private long _count;
    private bool _hasLast;
    private bool _hasValue;
    private double _value;
    private long _passedAt;
    private ICommitStream? _stream;
    private long _number;

    /// <summary>Whether a message goes on. Its <paramref name="judgement"/> is given to <see cref="Passed"/> or <see cref="LeftOut"/>.</summary>
    public bool Judge(ReadOnlySpan<byte> payload, out FilterJudgement judgement)
    {
        if (_stream is { IsLost: true } stream && stream.Committed <= _number)
        {
            (_hasLast, _count) = (false, 0);
        }
        long now = time.GetTimestamp();
        judgement = new FilterJudgement(now, false, 0);
        switch (filter)
        {
            case MessageFilter.Every every:
                return _count % every.Count == 0;
            case MessageFilter.AtMostEvery period:
                return !_hasLast || time.GetElapsedTime(_passedAt, now) >= period.Period;
            case MessageFilter.Deadband deadband:
                bool isNumber = deadband.Path.TryNumber(payload, out double value);
                judgement = new FilterJudgement(now, isNumber, value);
                return !isNumber || !_hasLast || !_hasValue || deadband.IsEnough(_value, value)
                    || (deadband.AtLeastEvery is { } longest && time.GetElapsedTime(_passedAt, now) >= longest);
            default:
                throw new InvalidOperationException($"there is no such filter: {filter.GetType().Name}");
        }
    }

    /// <summary>The message was accepted.</summary>
    public void Passed(in FilterJudgement judgement, in IngestTicket ticket)
    {
        _count++;
        (_hasLast, _passedAt) = (true, judgement.At);
        (_hasValue, _value) = (judgement.HasValue, judgement.Value);
        (_stream, _number) = (ticket.Stream, ticket.Number);
    }

    /// <summary>The message does not go on.</summary>
    public void LeftOut() => _count++;
}

/// <summary>What was seen of a message.</summary>
/// <param name="At">When, a timestamp of the clock.</param>
/// <param name="HasValue">Whether it has a number.</param>
/// <param name="Value">The number.</param>
internal readonly record struct FilterJudgement(long At, bool HasValue, double Value);
