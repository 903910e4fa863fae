using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;

namespace Tributary.Edge.Listeners;

/// <summary>
/// A connection's pipes as a stream, for what only takes streams. Reads and writes may go on at the same time, one of each. Disposing does
/// nothing: the pipes belong to the connection.
/// </summary>
internal sealed class TransportStream(IDuplexPipe pipes) : Stream
{
    /// <summary>
    /// Whether what follows a read takes long, as the steps of a handshake do: the thread may be the one that waits for all sockets.
    /// </summary>
    public bool IsSlow { get; set; }

    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (true)
        {
            ReadResult result = await pipes.Input.ReadAsync(cancellationToken).ConfigureAwait(false);
            if (IsSlow)
            {
                await Task.Yield();
            }
            ReadOnlySequence<byte> read = result.Buffer;
            int count = (int)Math.Min(read.Length, buffer.Length);
            bool isAnswer = !read.IsEmpty || result.IsCompleted; // also of a read of no bytes, which waits until there are some
            read = read.Slice(0, count);
            read.CopyTo(buffer.Span);
            pipes.Input.AdvanceTo(read.End);
            if (isAnswer)
            {
                return count;
            }
            if (result.IsCanceled)
            {
                throw new OperationCanceledException("the read was cancelled");
            }
        }
    }

    /// <inheritdoc/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        FlushResult result = await pipes.Output.WriteAsync(buffer, cancellationToken).ConfigureAwait(false);
        if (result.IsCompleted)
        {
            throw new IOException("the connection is gone");
        }
    }

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("only asynchronously");

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("only asynchronously");

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();
}
