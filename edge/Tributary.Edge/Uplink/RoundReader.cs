using System.Buffers;
using Tributary.Contracts.Records;
using Tributary.Edge.Clock;

namespace Tributary.Edge.Uplink;

/// <summary>What the next round should hold.</summary>
/// <param name="From">First local offset.</param>
/// <param name="UpTo">The offset that it must not reach beyond; flushed.</param>
/// <param name="Numbering">How records are numbered.</param>
/// <param name="NextOrdinals">Next ordinal of each target at <paramref name="From"/>.</param>
/// <param name="Covered">By target, the ordinal below which the cloud has everything: such records are counted and not sent.</param>
/// <param name="ProducerId">Producer id.</param>
/// <param name="ProducerEpoch">Its epoch.</param>
/// <param name="MaxBatchRecords">Most records of a batch.</param>
/// <param name="MaxBytes">Most bytes of local log; one record may exceed it.</param>
/// <param name="WireBytes">Bytes that it should have when it is compressed, about: twice as many are too many, unless it is one record.</param>
/// <param name="SendsUndated">Whether records whose time is not known are sent with what the clock said; else the round ends before them.</param>
internal sealed record RoundRequest(
    long From, long UpTo, Numbering Numbering, long[] NextOrdinals, long[] Covered, long ProducerId, short ProducerEpoch,
    int MaxBatchRecords, int MaxBytes, long WireBytes = long.MaxValue / 2, bool SendsUndated = false);

/// <summary>
/// Makes rounds: reads a contiguous range of the local log and merges its records into one batch for each target. Not safe for
/// concurrent use; builders are kept between rounds.
/// </summary>
/// <param name="source">The log.</param>
/// <param name="options">Settings.</param>
/// <param name="clock">Tells the times of records that were stored without.</param>
internal sealed class RoundReader(IUplinkSource source, UplinkOptions options, EdgeClock clock) : IDisposable
{
    private const int MaxIdleBuilders = 16;

    /// <summary>How often a round that is too large is read again.</summary>
    private const int MaxShorter = 3;

    private readonly RecordScanner _scanner = new(source, options.ReadBytes);
    private readonly Stack<RecordBatchBuilder> _idle = new();
    private byte[] _headers = [];

    /// <summary>
    /// Reads a round. It may be shorter than asked for, and empty only at a hole or before a record whose time is not known. One that
    /// compresses much worse than the ones before is read again, shorter, or it would take the link for longer than its turn is.
    /// </summary>
    /// <exception cref="IOException">The log can't be read at the moment.</exception>
    public Round Read(RoundRequest request)
    {
        Round round = ReadOnce(request);
        for (int again = 0; again < MaxShorter && IsTooLarge(round, request.WireBytes); again++)
        {
            round.ReleaseBytes();
            request = request with { MaxBytes = (int)Math.Max(1, round.Bytes * request.WireBytes / WireBytesOf(round)) };
            round = ReadOnce(request);
        }
        return round;
    }

    private static bool IsTooLarge(Round round, long wireBytes) => WireBytesOf(round) > 2 * wireBytes && round.Batches.Sum(batch => batch.Records) > 1;

    private static long WireBytesOf(Round round) => round.Batches.Sum(batch => (long)batch.Size);

    private Round ReadOnce(RoundRequest request)
    {
        var gathering = new Gathering(this, request);
        try
        {
            ScanEnd end = _scanner.Scan(request.From, request.UpTo, gathering);
            if (end.IsCorrupt)
            {
                // Damage between the disk and here may be gone at a second look; only what stays is a hole.
                source.ReportDamage(end.Next);
                gathering.Clear();
                end = _scanner.Scan(request.From, request.UpTo, gathering);
            }
            return new Round(request.From, end.Next, gathering.Build(), gathering.NextOrdinals, end.HoleEnd, gathering.Bytes)
            {
                IsHeld = gathering.IsHeld,
            };
        }
        finally
        {
            gathering.Clear();
        }
    }

    /// <summary>
    /// Finds, by target, the offset below which all counted records between <paramref name="from"/> and <paramref name="upTo"/> are
    /// covered: ordinals below <paramref name="covered"/>. Also counts what is held of each target, as far as it looks. Stops at a hole
    /// and, with <paramref name="stopsWhenCovered"/>, behind the last record that is covered.
    /// </summary>
    public (long[] Resume, long[] Held, ScanEnd End) Locate(
        long from, long upTo, Numbering numbering, long[] ordinals, long[] covered, bool stopsWhenCovered)
    {
        var locating = new Locating(numbering, from, ordinals, covered, stopsWhenCovered);
        ScanEnd end = _scanner.Scan(from, upTo, locating);
        return (locating.Resume, locating.Held, end);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _scanner.Dispose();
        while (_idle.TryPop(out RecordBatchBuilder? builder))
        {
            builder.Dispose();
        }
    }

    private RecordBatchBuilder RentBuilder() => _idle.TryPop(out RecordBatchBuilder? builder) ? builder : new RecordBatchBuilder();

    private void ReturnBuilder(RecordBatchBuilder builder)
    {
        builder.Reset();
        if (_idle.Count < MaxIdleBuilders)
        {
            _idle.Push(builder);
        }
        else
        {
            builder.Dispose();
        }
    }

    /// <summary>Gathers a round's records by target.</summary>
    private sealed class Gathering(RoundReader owner, RoundRequest request) : IRecordVisitor
    {
        private readonly Part?[] _parts = new Part?[request.Numbering.Targets];

        /// <summary>Bytes of the records visited.</summary>
        public long Bytes { get; private set; }

        /// <summary>Whether it ended before a record whose time is not known.</summary>
        public bool IsHeld { get; private set; }

        public long[] NextOrdinals { get; private set; } = [.. request.NextOrdinals];

        public bool Visit(long offset, long timestamp, in Record record)
        {
            int size = record.Key.Length + record.Value.Length + record.EncodedHeaders.Length;
            if (Bytes > 0 && Bytes + size > request.MaxBytes)
            {
                return false;
            }
            int target = request.Numbering.Target(offset, record.HasKey, record.Key);
            if (target < 0)
            {
                Bytes += size;
                return true;
            }
            long ordinal = NextOrdinals[target];
            if (ordinal >= request.Covered[target])
            {
                if (!owner.Clock.TryDate(timestamp, request.SendsUndated, out RecordTime time))
                {
                    IsHeld = true;
                    return false;
                }
                if (!TryAdd(target, ordinal, offset, time, record, size))
                {
                    return false;
                }
            }
            NextOrdinals[target] = ordinal + 1;
            Bytes += size;
            return true;
        }

        public List<RoundBatch> Build()
        {
            var batches = new List<RoundBatch>();
            for (int target = 0; target < _parts.Length; target++)
            {
                if (_parts[target] is not { } part)
                {
                    continue;
                }
                var producer = new BatchProducer(request.ProducerId, request.ProducerEpoch, Sequence.FromOrdinal(part.BaseOrdinal));
                int records = part.Builder.Count;
                Memory<byte> batch = part.Builder.Build(producer, owner.Options.Codec, owner.Options.CompressionLevel);
                byte[] pooled = ArrayPool<byte>.Shared.Rent(batch.Length);
                batch.Span.CopyTo(pooled);
                batches.Add(new RoundBatch(target, part.BaseOrdinal, records, part.FirstOffset, part.LastOffset, pooled, batch.Length)
                {
                    Dated = part.Dated,
                });
            }
            return batches;
        }

        public void Clear()
        {
            for (int i = 0; i < _parts.Length; i++)
            {
                if (_parts[i] is { } part)
                {
                    owner.ReturnBuilder(part.Builder);
                    _parts[i] = null;
                }
            }
            NextOrdinals = [.. request.NextOrdinals];
            Bytes = 0;
            IsHeld = false;
        }

        private bool TryAdd(int target, long ordinal, long offset, in RecordTime time, in Record record, int size)
        {
            Part part = _parts[target] ??= new Part(owner.RentBuilder(), ordinal, offset);
            RecordBatchBuilder builder = part.Builder;
            int more = time.Mark == TimeMark.None ? 0 : RecordTime.MaxHeaderBytes;
            if (builder.Count > 0 && (builder.Count >= request.MaxBatchRecords || builder.Size + size + more > owner.Options.MaxBatchBytes))
            {
                return false;
            }
            ReadOnlySpan<byte> headers = owner.HeadersOf(record, time, out int headerCount);
            builder.Add(time.Timestamp, record.Key, record.HasKey, record.Value, record.HasValue, headers, headerCount);
            part.Dated = part.Dated.With(time.Mark);
            part.LastOffset = offset;
            return true;
        }
    }

    private UplinkOptions Options => options;

    private EdgeClock Clock => clock;

    /// <summary>The headers of a record, and those that tell of its time.</summary>
    private ReadOnlySpan<byte> HeadersOf(in Record record, in RecordTime time, out int count)
    {
        count = record.HeaderCount;
        if (time.Mark == TimeMark.None)
        {
            return record.EncodedHeaders;
        }
        int size = record.EncodedHeaders.Length;
        if (_headers.Length < size + RecordTime.MaxHeaderBytes)
        {
            _headers = new byte[Math.Max(1024, 2 * (size + RecordTime.MaxHeaderBytes))];
        }
        record.EncodedHeaders.CopyTo(_headers);
        int more = time.WriteHeaders(_headers.AsSpan(size), out int added);
        count += added;
        return _headers.AsSpan(0, size + more);
    }

    private sealed class Part(RecordBatchBuilder builder, long baseOrdinal, long firstOffset)
    {
        public RecordBatchBuilder Builder { get; } = builder;

        public long BaseOrdinal { get; } = baseOrdinal;

        public long FirstOffset { get; } = firstOffset;

        public long LastOffset { get; set; } = firstOffset;

        public DatedCounts Dated { get; set; }
    }

    private sealed class Locating(Numbering numbering, long from, long[] ordinals, long[] covered, bool stopsWhenCovered) : IRecordVisitor
    {
        private readonly long[] _next = [.. ordinals];
        private long _coveredLeft = ordinals.Select((first, i) => Math.Max(0, covered[i] - first)).Sum();

        public long[] Resume { get; } = [.. Enumerable.Repeat(from, ordinals.Length)];

        public long[] Held { get; } = new long[ordinals.Length];

        public bool Visit(long offset, long timestamp, in Record record)
        {
            if (stopsWhenCovered && _coveredLeft == 0)
            {
                return false;
            }
            int target = numbering.Target(offset, record.HasKey, record.Key);
            if (target >= 0)
            {
                Held[target]++;
                if (_next[target]++ < covered[target])
                {
                    _coveredLeft--;
                    Resume[target] = offset + 1;
                }
            }
            return true;
        }
    }
}
