using System.Buffers;

namespace Tributary.Edge.Mqtt;

/// <summary>
/// Packets of a connection that are sent as soon as possible: CONNACK, SUBACK, PINGRESP and the like. They don't wait for PUBACKs.
/// Threads: one adds, one writes.
/// </summary>
internal sealed class ControlQueue
{
    /// <summary>Bytes beyond which the connection is not read any more.</summary>
    public const int MaxBytes = 64 << 10;
    private const int KeptBytes = 1024;

    private readonly Lock _lock = new();
    private byte[] _bytes = [];
    private int _count;
    private bool _hasWelcome;

    /// <summary>Bytes that wait.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Whether CONNACK of success was written.</summary>
    public bool WelcomeWritten { get; private set; }

    /// <param name="packet">A whole packet.</param>
    /// <param name="isWelcome">Whether it is CONNACK of success.</param>
    public void Add(ReadOnlySpan<byte> packet, bool isWelcome = false)
    {
        lock (_lock)
        {
            if (_count + packet.Length > _bytes.Length)
            {
                Array.Resize(ref _bytes, Math.Max(_count + packet.Length, Math.Max(64, _bytes.Length * 2)));
            }
            packet.CopyTo(_bytes.AsSpan(_count));
            Volatile.Write(ref _count, _count + packet.Length);
            _hasWelcome |= isWelcome;
        }
    }

    /// <summary>Writes and removes all packets.</summary>
    /// <returns>Bytes written.</returns>
    public int WriteTo(IBufferWriter<byte> output)
    {
        if (Count == 0)
        {
            return 0;
        }
        lock (_lock)
        {
            int written = _count;
            output.Write(_bytes.AsSpan(0, written));
            Volatile.Write(ref _count, 0);
            if (_bytes.Length > KeptBytes)
            {
                _bytes = [];
            }
            WelcomeWritten = _hasWelcome;
            return written;
        }
    }
}
