using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Load;

/// <summary>
/// The messages that one publisher has in flight, whatever carries them. Frames are encoded once, in a ring of twice the window with a
/// packet id for each; before one is sent again, only the message's number at the start of its payload is written. Expects the answers in
/// the order of the messages.
/// </summary>
internal sealed class PublishWindow
{
    /// <summary>Smallest payload: the number, big-endian.</summary>
    public const int NumberSize = sizeof(long);

    private const int AnswerSize = 4;
    private const byte PubAck = 0x40;
    private const byte PubRec = 0x50;
    private const byte PubRel = 0x62;
    private const byte PubComp = 0x70;
    private readonly string _clientId;
    private readonly long _firstNumber;
    private readonly int _window;
    private readonly bool _isQos2;
    private readonly int _frameSize;
    private readonly int _numberOffset;
    private readonly byte[] _ring;
    private readonly long[] _queuedAt;
    private readonly byte[] _partialAnswer = new byte[AnswerSize];
    private readonly byte[] _releases;
    private int _releaseBytes;
    private int _releaseSent;
    private int _partial;
    private long _sentBytes;
    private long _received;

    /// <param name="clientId">Who publishes, for errors.</param>
    /// <param name="topic">Topic of all messages.</param>
    /// <param name="firstNumber">Number of the first message.</param>
    /// <param name="load">Window, payload and QoS.</param>
    public PublishWindow(string clientId, string topic, long firstNumber, LoadOptions load)
    {
        _clientId = clientId;
        _firstNumber = firstNumber;
        _window = load.Window;
        _isQos2 = load.Qos == 2;
        byte[] frame = EncodePublish(topic, load, out int packetIdOffset);
        _frameSize = frame.Length;
        _numberOffset = packetIdOffset + sizeof(ushort);
        _ring = new byte[2 * load.Window * _frameSize];
        _queuedAt = new long[2 * load.Window];
        _releases = new byte[2 * load.Window * AnswerSize];
        for (int slot = 0; slot < _queuedAt.Length; slot++)
        {
            Span<byte> at = _ring.AsSpan(slot * _frameSize, _frameSize);
            frame.CopyTo(at);
            BinaryPrimitives.WriteUInt16BigEndian(at[packetIdOffset..], (ushort)(slot + 1));
        }
    }

    /// <summary>Messages taken since it was made.</summary>
    public long Queued { get; private set; }

    /// <summary>Messages acknowledged for good since it was made.</summary>
    public long Acked { get; private set; }

    /// <summary>What is to be sent next, in one piece; empty if there is nothing. PUBRELs go first, but not into the midst of a frame.</summary>
    public ReadOnlyMemory<byte> Unsent
    {
        get
        {
            if (IsReleaseNext)
            {
                return _releases.AsMemory(_releaseSent, _releaseBytes - _releaseSent);
            }
            int into = (int)(_sentBytes % _frameSize);
            long most = into > 0 && _releaseBytes > 0 ? _frameSize - into : (Queued * _frameSize) - _sentBytes;
            int at = (int)(_sentBytes % _ring.Length);
            return _ring.AsMemory(at, (int)Math.Min(most, _ring.Length - at));
        }
    }

    private bool IsReleaseNext => _releaseBytes > 0 && _sentBytes % _frameSize == 0;

    /// <summary>Takes messages up to the window, and up to <paramref name="limit"/> since it was made.</summary>
    public void Fill(long limit, long now)
    {
        for (limit = Math.Min(limit, Acked + _window); Queued < limit; Queued++)
        {
            int slot = (int)(Queued % _queuedAt.Length);
            BinaryPrimitives.WriteInt64BigEndian(_ring.AsSpan((slot * _frameSize) + _numberOffset), _firstNumber + Queued);
            _queuedAt[slot] = now;
        }
    }

    /// <summary>So much of <see cref="Unsent"/> was sent.</summary>
    public void OnSent(int bytes)
    {
        if (!IsReleaseNext)
        {
            _sentBytes += bytes;
            return;
        }
        _releaseSent += bytes;
        if (_releaseSent == _releaseBytes)
        {
            _releaseSent = _releaseBytes = 0;
        }
    }

    /// <summary>Answers came.</summary>
    public void OnReceived(ReadOnlySpan<byte> bytes, Histogram latencies)
    {
        long now = Stopwatch.GetTimestamp();
        while (_partial > 0 && !bytes.IsEmpty)
        {
            _partialAnswer[_partial++] = bytes[0];
            bytes = bytes[1..];
            if (_partial == AnswerSize)
            {
                OnAnswer(_partialAnswer, now, latencies);
                _partial = 0;
            }
        }
        while (bytes.Length >= AnswerSize)
        {
            OnAnswer(bytes, now, latencies);
            bytes = bytes[AnswerSize..];
        }
        bytes.CopyTo(_partialAnswer.AsSpan(_partial));
        _partial += bytes.Length;
    }

    private void OnAnswer(ReadOnlySpan<byte> packet, long now, Histogram latencies)
    {
        bool isReceived = _isQos2 && packet[0] == PubRec;
        long due = isReceived ? _received : Acked;
        int slot = (int)(due % _queuedAt.Length);
        byte last = _isQos2 ? PubComp : PubAck;
        if ((!isReceived && packet[0] != last) || packet[1] != 2 || BinaryPrimitives.ReadUInt16BigEndian(packet[2..]) != slot + 1 || due == Queued)
        {
            throw new IOException($"the server sent {Convert.ToHexString(packet[..AnswerSize])} to {_clientId} where the answer to {slot + 1} was due");
        }
        if (isReceived)
        {
            _received++;
            Release(slot + 1);
            return;
        }
        latencies.Add(now - _queuedAt[slot]);
        Acked++;
    }

    private void Release(int packetId)
    {
        if (_releaseBytes == _releases.Length)
        {
            _releases.AsSpan(_releaseSent, _releaseBytes - _releaseSent).CopyTo(_releases);
            (_releaseBytes, _releaseSent) = (_releaseBytes - _releaseSent, 0);
        }
        Span<byte> at = _releases.AsSpan(_releaseBytes);
        at[0] = PubRel;
        at[1] = 2;
        BinaryPrimitives.WriteUInt16BigEndian(at[2..], (ushort)packetId);
        _releaseBytes += AnswerSize;
    }

    private static byte[] EncodePublish(string topic, LoadOptions load, out int packetIdOffset)
    {
        byte[] name = Encoding.UTF8.GetBytes(topic);
        int length = 2 + name.Length + 2 + load.PayloadBytes;
        var frame = new List<byte> { (byte)(0x30 | (load.Qos << 1)) };
        for (int rest = length; ; rest >>= 7)
        {
            frame.Add((byte)(rest < 0x80 ? rest : (rest & 0x7F) | 0x80));
            if (rest < 0x80)
            {
                break;
            }
        }
        frame.AddRange([(byte)(name.Length >> 8), (byte)name.Length]);
        frame.AddRange(name);
        packetIdOffset = frame.Count;
        frame.AddRange(new byte[2 + NumberSize]);
        // A text, so that what compresses it has something to do but not too little.
        for (int i = NumberSize; i < load.PayloadBytes; i++)
        {
            frame.Add((byte)"{\"temperature\":21.5,\"unit\":\"C\",\"status\":\"ok\"}"[i % 45]);
        }
        return [.. frame];
    }
}
