using System.Diagnostics;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using Tributary.Benchmarks.Harness;

namespace Tributary.Benchmarks.Load;

/// <summary>
/// Publishers over TLS. OpenSSL wants a stream, so each has a loop of its own here; that costs more than <see cref="PublishLoad"/> does,
/// for both servers alike.
/// </summary>
internal sealed class TlsPublishLoad : IPublishLoad
{
    private readonly Publisher[] _publishers;

    private TlsPublishLoad(Publisher[] publishers) => _publishers = publishers;

    /// <summary>Connects.</summary>
    public static async Task<TlsPublishLoad> ConnectAsync(IPEndPoint server, LoadOptions load)
    {
        var publishers = new Publisher[load.Connections];
        for (int i = 0; i < publishers.Length; i++)
        {
            publishers[i] = new Publisher(PublishLoad.WindowOf(i, load));
            await publishers[i].ConnectAsync(server, $"load-{i}");
        }
        return new TlsPublishLoad(publishers);
    }

    /// <inheritdoc/>
    public LoadResult RunFor(TimeSpan time)
    {
        long before = _publishers.Sum(publisher => publisher.Window.Acked);
        var latencies = new Histogram();
        long start = Stopwatch.GetTimestamp();
        Task.WaitAll([.. _publishers.Select(publisher => Task.Run(() => publisher.RunAsync(start, time)))]);
        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        foreach (Publisher publisher in _publishers)
        {
            latencies.Add(publisher.TakeLatencies());
        }
        return new LoadResult(_publishers.Sum(publisher => publisher.Window.Acked) - before, elapsed, latencies);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Publisher publisher in _publishers)
        {
            publisher.Dispose();
        }
    }

    private sealed class Publisher(PublishWindow window) : IDisposable
    {
        private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        private readonly byte[] _buffer = new byte[16 << 10];
        private Histogram _latencies = new();
        private SslStream? _stream;

        public PublishWindow Window => window;

        public async Task ConnectAsync(IPEndPoint server, string clientId)
        {
            await _socket.ConnectAsync(server);
            _stream = new SslStream(new NetworkStream(_socket));
            await _stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = "localhost",
                RemoteCertificateValidationCallback = (_, _, _, _) => true, // it was made a moment ago
            });
            await _stream.WriteAsync(MqttSocket.EncodeConnect(clientId));
            await _stream.ReadExactlyAsync(_buffer.AsMemory(0, 4));
            if (_buffer[3] != 0)
            {
                throw new IOException($"the server answered CONNECT with {Convert.ToHexString(_buffer.AsSpan(0, 4))}");
            }
        }

        public async Task RunAsync(long start, TimeSpan time)
        {
            while (true)
            {
                long now = Stopwatch.GetTimestamp();
                if (Stopwatch.GetElapsedTime(start, now) < time)
                {
                    window.Fill(long.MaxValue, now);
                }
                while (window.Unsent is { IsEmpty: false } unsent)
                {
                    await _stream!.WriteAsync(unsent);
                    window.OnSent(unsent.Length);
                }
                if (window.Acked == window.Queued)
                {
                    return;
                }
                int read = await _stream!.ReadAsync(_buffer);
                if (read == 0)
                {
                    throw new IOException($"the server closed a connection after {window.Acked} acknowledgements");
                }
                window.OnReceived(_buffer.AsSpan(0, read), _latencies);
            }
        }

        public Histogram TakeLatencies()
        {
            Histogram taken = _latencies;
            _latencies = new Histogram();
            return taken;
        }

        public void Dispose()
        {
            _stream?.Dispose();
            _socket.Dispose();
        }
    }
}
