using System.Buffers;
using System.Net;
using System.Net.Sockets;

namespace Tributary.Tests.Fuzz;

/// <summary>A client that sends bytes, closes its half of the connection, and takes what comes until the other side closes too.</summary>
internal static class HostilePeer
{
    /// <summary>Longest time until a connection that was fed to its end is closed: more is a hang.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private const int Addresses = 50;
    private static int _next;

    /// <returns>All that was answered.</returns>
    /// <exception cref="TimeoutException">The connection wasn't closed.</exception>
    public static async Task<byte[]> FeedAsync(IPEndPoint to, ReadOnlyMemory<byte> bytes)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            NoDelay = true,
            LingerState = new LingerOption(true, 0), // leaves no port behind that waits
        };
        // From many addresses: one has not enough ports for so many connections.
        int host = 2 + (Interlocked.Increment(ref _next) % Addresses);
        socket.Bind(new IPEndPoint(new IPAddress([127, 0, 0, (byte)host]), 0));
        using var deadline = new CancellationTokenSource(Patience);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(16 << 10);
        var answered = new ArrayBufferWriter<byte>();
        try
        {
            await socket.ConnectAsync(to, deadline.Token);
            Task sending = SendAsync(socket, bytes, deadline.Token);
            for (int read; (read = await ReceiveAsync(socket, buffer, deadline.Token)) > 0;)
            {
                answered.Write(buffer.AsSpan(0, read));
            }
            await sending;
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"a connection was not closed within {Patience} after {bytes.Length} bytes");
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        return answered.WrittenSpan.ToArray();
    }

    private static async Task SendAsync(Socket socket, ReadOnlyMemory<byte> bytes, CancellationToken deadline)
    {
        try
        {
            while (!bytes.IsEmpty)
            {
                int sent = await socket.SendAsync(bytes, deadline);
                bytes = bytes[sent..];
            }
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // The other side has closed already.
        }
    }

    private static async Task<int> ReceiveAsync(Socket socket, byte[] buffer, CancellationToken deadline)
    {
        try
        {
            return await socket.ReceiveAsync(buffer, deadline);
        }
        catch (SocketException)
        {
            return 0; // aborted
        }
    }
}
