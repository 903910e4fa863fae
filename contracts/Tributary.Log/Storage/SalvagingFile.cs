namespace Tributary.Log.Storage;

/// <summary>
/// Reads a file that the disk can't read everywhere: blocks that fail twice read as zero, so that they are met as damage and the rest is
/// not lost with them. A file of which nothing at all can be read is no damage but a disk that is away, and throws. Not safe for
/// concurrent use; the file stays the caller's.
/// </summary>
internal sealed class SalvagingFile(IStorageFile file)
{
    private const int BlockBytes = 4096;
    private bool _hasRead;

    /// <summary>Bytes that read as zero because they can't be read.</summary>
    public long Unreadable { get; private set; }

    /// <inheritdoc cref="IStorageFile.Read"/>
    public int Read(long position, Span<byte> into)
    {
        try
        {
            int read = file.Read(position, into);
            _hasRead |= read > 0;
            return read;
        }
        catch (IOException e)
        {
            return ReadBlocks(position, into[..(int)Math.Clamp(file.Length - position, 0, into.Length)], e);
        }
    }

    private int ReadBlocks(long position, Span<byte> into, IOException failure)
    {
        long unreadable = 0;
        for (int done = 0; done < into.Length;)
        {
            int size = Math.Min(into.Length - done, BlockBytes - (int)((position + done) % BlockBytes));
            Span<byte> block = into.Slice(done, size);
            if (!TryRead(position + done, block) && !TryRead(position + done, block))
            {
                block.Clear();
                unreadable += size;
            }
            done += size;
        }
        _hasRead |= unreadable < into.Length;
        if (!_hasRead)
        {
            throw new IOException($"nothing can be read: {failure.Message}", failure);
        }
        Unreadable += unreadable;
        return into.Length;
    }

    private bool TryRead(long position, Span<byte> block)
    {
        try
        {
            return file.Read(position, block) == block.Length;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
