using System.Net;
using System.Net.Sockets;
using Xunit;

namespace Tributary.Tests.Support;

/// <summary>
/// Counts what the whole process allocates while a client, which allocates nothing itself, talks to a port of it. Only for tests that
/// run alone.
/// </summary>
internal sealed class SocketAllocations : IDisposable
{
    private const int Tries = 3;
    private readonly Socket _socket =
        new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 60_000 };

    public SocketAllocations(IPEndPoint port) => _socket.Connect(port);

    public void Send(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[_socket.Send(bytes)..];
        }
    }

    public void Receive(Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            int read = _socket.Receive(into);
            Assert.True(read > 0, "the connection was closed");
            into = into[read..];
        }
    }

    /// <summary>Bytes for a round in steady state, the least of some tries: timers and thread pool take some now and then.</summary>
    public static double PerRound(int warmUps, int rounds, Action round)
    {
        for (int i = 0; i < warmUps; i++)
        {
            round();
        }
        double least = double.MaxValue;
        for (int tried = 0; tried < Tries; tried++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            for (int i = 0; i < rounds; i++)
            {
                round();
            }
            least = Math.Min(least, (double)(GC.GetTotalAllocatedBytes(precise: true) - before) / rounds);
        }
        return least;
    }

    public void Dispose() => _socket.Dispose();
}
