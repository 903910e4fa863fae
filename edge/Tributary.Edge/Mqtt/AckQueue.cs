using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt;

/// <summary>A message that was taken and waits for its commit, or was refused and waits for its turn to be told.</summary>
/// <param name="Stream">The stream that it stands in, null if it was refused.</param>
/// <param name="Number">Its number there.</param>
/// <param name="Local">What subscribers get after the commit, null if there are none. Owned by the entry.</param>
/// <param name="PacketId">Packet identifier; 0 for QoS 0, which nobody is told of.</param>
/// <param name="Refusal">Reason code of the refusal, or success.</param>
internal readonly record struct PendingAck(ICommitStream? Stream, long Number, LocalMessage? Local, ushort PacketId, ReasonCode Refusal)
{
    /// <summary>What is sent: PUBACK, or PUBREC or PUBCOMP of a QoS 2 message.</summary>
    public PacketType Answer { get; init; } = PacketType.PubAck;

    /// <summary>Whether its turn has come, if it is the first.</summary>
    public bool IsReady => Stream is null || Stream.Committed > Number;

    /// <summary>
    /// Whether its PUBACK or PUBREC is all that there is to do. (Without subscribers, QoS 0 never gets here.)
    /// </summary>
    public bool IsPlain => Refusal == ReasonCode.Success && Local is null && Answer != PacketType.PubComp;

    /// <summary>Whether it counts as a QoS 1 message without answer.</summary>
    public bool IsQos1 => PacketId != 0 && Answer == PacketType.PubAck;
}

/// <summary>
/// The messages of a connection that are not answered yet, in order of arrival.
/// <para>Invariants: an entry leaves only after those before it, and only when it is committed or was refused; so a PUBACK never
/// overtakes another one or a flush.</para>
/// <para>Threads: one that takes messages (<see cref="Stage"/>, <see cref="Publish"/>), one that answers them. The lock is taken for
/// many messages at a time. Nothing of it survives a crash, nor has to: nobody was told.</para>
/// </summary>
internal sealed class AckQueue
{
    /// <summary>Entries that are handed over at once.</summary>
    private const int MaxStaged = 256;

    /// <summary>Bytes of a PUBACK of success.</summary>
    public const int PubAckBytes = 4;

    private readonly Lock _lock = new();

    // The taking side.
    private PendingAck[] _staged = [];
    private int _stagedCount;
    private long _taken;
    private long _takenQos1;

    // Under the lock.
    private PendingAck[] _ring = [];
    private int _head;
    private int _count;

    // Written by the answering side.
    private long _answered;
    private long _answeredQos1;

    /// <summary>QoS 1 messages without answer. For the taking side.</summary>
    public long InFlight => _takenQos1 - Volatile.Read(ref _answeredQos1);

    /// <summary>All messages that are here. For the taking side.</summary>
    public long Count => _taken - Volatile.Read(ref _answered);

    /// <summary>Whether nothing waits, apart from what is staged. For the answering side.</summary>
    public bool IsEmpty
    {
        get
        {
            lock (_lock)
            {
                return _count == 0;
            }
        }
    }

    /// <summary>Whether the first one's turn has come.</summary>
    public bool HasReady
    {
        get
        {
            lock (_lock)
            {
                return _count > 0 && _ring[_head].IsReady;
            }
        }
    }

    /// <summary>Adds an entry; it counts at once, and is seen by the answering side after <see cref="Publish"/>.</summary>
    public void Stage(in PendingAck entry)
    {
        if (_stagedCount == _staged.Length)
        {
            if (_stagedCount == MaxStaged)
            {
                Publish();
            }
            else
            {
                Array.Resize(ref _staged, Math.Clamp(_stagedCount * 2, 4, MaxStaged));
            }
        }
        _staged[_stagedCount++] = entry;
        _taken++;
        if (entry.IsQos1)
        {
            _takenQos1++;
        }
    }

    /// <summary>Hands over what is staged.</summary>
    /// <returns>
    /// Whether the first entry is ready: the answering side must be woken then, since the commit may have come before the entry did.
    /// </returns>
    public bool Publish()
    {
        lock (_lock)
        {
            if (_stagedCount > 0)
            {
                Reserve(_count + _stagedCount);
                int tail = (_head + _count) & (_ring.Length - 1);
                int first = Math.Min(_stagedCount, _ring.Length - tail);
                _staged.AsSpan(0, first).CopyTo(_ring.AsSpan(tail));
                _staged.AsSpan(first, _stagedCount - first).CopyTo(_ring);
                _count += _stagedCount;
                _staged.AsSpan(0, _stagedCount).Clear();
                _stagedCount = 0;
            }
            return _count > 0 && _ring[_head].IsReady;
        }
    }

    /// <summary>
    /// Takes ready entries from the front and writes their PUBACKs, as long as there is space and nothing else to do for them.
    /// </summary>
    /// <param name="into">Where the packets go.</param>
    /// <param name="acknowledged">How many were written.</param>
    /// <param name="other">The entry that ended it because there is more to do for it than PUBACK; taken too.</param>
    /// <returns>Whether it ended with <paramref name="other"/>.</returns>
    public bool TakeReady(Span<byte> into, out int acknowledged, out PendingAck other)
    {
        acknowledged = 0;
        other = default;
        bool found = false;
        int qos1 = 0;
        lock (_lock)
        {
            int mask = _ring.Length - 1;
            while (_count > 0 && into.Length >= PubAckBytes)
            {
                ref PendingAck entry = ref _ring[_head];
                if (!entry.IsReady)
                {
                    break;
                }
                _head = (_head + 1) & mask;
                _count--;
                if (!entry.IsPlain)
                {
                    other = entry;
                    entry = default;
                    found = true;
                    break;
                }
                into = into[WriteSuccess(into, entry.PacketId, entry.Answer)..];
                acknowledged++;
                qos1 += entry.Answer == PacketType.PubAck ? 1 : 0;
                entry = default;
            }
        }
        int otherQos1 = found && other.IsQos1 ? 1 : 0;
        Volatile.Write(ref _answeredQos1, _answeredQos1 + qos1 + otherQos1);
        Volatile.Write(ref _answered, _answered + acknowledged + (found ? 1 : 0));
        return found;
    }

    /// <summary>
    /// Writes a PUBACK, PUBREC, PUBREL or PUBCOMP of success: the short form, the same in both versions (MQTT 5, 3.4.2.1).
    /// </summary>
    /// <returns>Bytes written.</returns>
    public static int WriteSuccess(Span<byte> into, ushort packetId, PacketType type = PacketType.PubAck)
    {
        into[0] = (byte)(((int)type << 4) | (type == PacketType.PubRel ? 2 : 0));
        into[1] = 2;
        into[2] = (byte)(packetId >> 8);
        into[3] = (byte)packetId;
        return PubAckBytes;
    }

    /// <summary>
    /// Removes everything but entries that subscribers wait for. Called when neither side is active any more, apart from commits.
    /// </summary>
    /// <returns>How many are left.</returns>
    public int KeepLocal()
    {
        Publish();
        lock (_lock)
        {
            int kept = 0;
            var ring = new PendingAck[_ring.Length];
            for (int i = 0; i < _count; i++)
            {
                PendingAck entry = _ring[(_head + i) & (_ring.Length - 1)];
                if (entry.Local is not null)
                {
                    ring[kept++] = entry with { PacketId = 0 };
                }
            }
            (_ring, _head, _count) = (ring, 0, kept);
            return kept;
        }
    }

    /// <summary>Removes entries that never get ready, and releases what was kept for subscribers.</summary>
    /// <returns>How many there were.</returns>
    public int DropLost()
    {
        lock (_lock)
        {
            int kept = 0;
            for (int i = 0; i < _count; i++)
            {
                PendingAck entry = _ring[(_head + i) & (_ring.Length - 1)];
                if (entry is { Stream.IsLost: true, IsReady: false })
                {
                    entry.Local?.Release();
                }
                else
                {
                    _ring[(_head + kept++) & (_ring.Length - 1)] = entry;
                }
            }
            int dropped = _count - kept;
            for (; _count > kept; _count--)
            {
                _ring[(_head + _count - 1) & (_ring.Length - 1)] = default;
            }
            return dropped;
        }
    }

    /// <summary>Removes everything and releases what was kept for subscribers.</summary>
    public void Clear()
    {
        Publish();
        lock (_lock)
        {
            for (; _count > 0; _count--)
            {
                _ring[_head].Local?.Release();
                _head = (_head + 1) & (_ring.Length - 1);
            }
            _ring = [];
            _head = 0;
        }
    }

    private void Reserve(int count)
    {
        if (count <= _ring.Length)
        {
            return;
        }
        var ring = new PendingAck[Math.Max(8, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)count))];
        for (int i = 0; i < _count; i++)
        {
            ring[i] = _ring[(_head + i) & (_ring.Length - 1)];
        }
        (_ring, _head) = (ring, 0);
    }
}
