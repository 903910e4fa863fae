using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Peers;

/// <summary>The ceiling of any server on this machine: bytes from one thread to another over TCP on the loopback address.</summary>
internal static class Loopback
{
    private const int ChunkBytes = 1 << 20;

    /// <param name="time">How long.</param>
    /// <param name="isPinned">Whether the sender is on the server's core.</param>
    /// <returns>Bytes per second.</returns>
    public static double Run(TimeSpan time, bool isPinned)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var sender = new Socket(SocketType.Stream, ProtocolType.Tcp);
        sender.Connect(listener.LocalEndpoint);
        using Socket receiver = listener.AcceptSocket();
        long start = Stopwatch.GetTimestamp();
        var sending = new Thread(() =>
        {
            if (isPinned)
            {
                Cores.PinThread(Cores.Server);
            }
            byte[] chunk = new byte[ChunkBytes];
            while (Stopwatch.GetElapsedTime(start) < time)
            {
                sender.Send(chunk);
            }
            sender.Shutdown(SocketShutdown.Send);
        });
        sending.Start();
        byte[] buffer = new byte[ChunkBytes];
        long received = 0;
        for (int read; (read = receiver.Receive(buffer)) > 0;)
        {
            received += read;
        }
        sending.Join();
        return received / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
