using System.IO.Pipelines;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Http.Features;

namespace Tributary.Edge.Listeners;

/// <summary>
/// The pipes of a connection within TLS. Completing the output says goodbye within TLS and then completes the socket's output, so that
/// the client gets what was written last, and the end of it.
/// <para>Threads: as of other pipes, one that reads and one that writes.</para>
/// </summary>
internal sealed class TlsTransport : IDuplexPipe, ITlsConnectionFeature
{
    /// <summary>Most bytes of a record of TLS (RFC 8446, 5.1): what is read and written at once.</summary>
    private const int RecordBytes = 16 << 10;

    private readonly SslStream _stream;

    /// <param name="stream">TLS over the socket's pipes, after the handshake.</param>
    /// <param name="socket">The socket's pipes.</param>
    public TlsTransport(SslStream stream, IDuplexPipe socket)
    {
        _stream = stream;
        // Reads of no bytes first: a connection on which nothing comes holds no memory.
        Input = PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: RecordBytes, leaveOpen: true, useZeroByteReads: true));
        Output = new TlsOutput(
            PipeWriter.Create(stream, new StreamPipeWriterOptions(minimumBufferSize: RecordBytes, leaveOpen: true)), stream, socket.Output);
        ClientCertificate = stream.RemoteCertificate as X509Certificate2;
    }

    /// <inheritdoc/>
    public PipeReader Input { get; }

    /// <inheritdoc/>
    public PipeWriter Output { get; }

    /// <inheritdoc/>
    public X509Certificate2? ClientCertificate { get; set; }

    /// <inheritdoc/>
    public Task<X509Certificate2?> GetClientCertificateAsync(CancellationToken cancellationToken) => Task.FromResult(ClientCertificate);

    /// <summary>Gives everything free. Neither side is used any more.</summary>
    public async ValueTask EndAsync()
    {
        await Input.CompleteAsync();
        await Output.CompleteAsync();
        await _stream.DisposeAsync();
    }

    private sealed class TlsOutput(PipeWriter writer, SslStream stream, PipeWriter socket) : PipeWriter
    {
        private bool _isCompleted;

        public override bool CanGetUnflushedBytes => writer.CanGetUnflushedBytes;

        public override long UnflushedBytes => writer.UnflushedBytes;

        public override void Advance(int bytes) => writer.Advance(bytes);

        public override Memory<byte> GetMemory(int sizeHint = 0) => writer.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => writer.GetSpan(sizeHint);

        public override void CancelPendingFlush()
        {
            // What a cancelled flush had written already would be written again by the next one: let it end, or the connection be aborted.
        }

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) => writer.FlushAsync(cancellationToken);

        public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default) =>
            writer.WriteAsync(source, cancellationToken);

        public override void Complete(Exception? exception = null)
        {
            if (!_isCompleted)
            {
                _isCompleted = true;
                writer.Complete(exception);
                socket.Complete(exception);
            }
        }

        public override async ValueTask CompleteAsync(Exception? exception = null)
        {
            if (_isCompleted)
            {
                return;
            }
            _isCompleted = true;
            try
            {
                await writer.CompleteAsync(exception);
                await stream.ShutdownAsync();
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException or OperationCanceledException)
            {
                // The client has gone without a goodbye.
            }
            await socket.CompleteAsync(exception);
        }
    }
}
