using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Tributary.Broker.Gateway;
using Tributary.Log;
using Xunit;

namespace Tributary.Tests.Broker.Gateway;

public sealed class ResponseFrameTests
{
    private readonly Pipe _pipe = new(new PipeOptions(pauseWriterThreshold: 0, useSynchronizationContext: false));

    [Fact]
    public async Task Batches_stand_where_they_were_put_and_the_length_counts_them()
    {
        using var frame = new ResponseFrame();
        frame.Write((byte[])[1, 2]);
        frame.Splice(ReadOf([3, 4, 5]));
        frame.Splice(ReadOf([6]));
        frame.Write((byte[])[7]);
        frame.Splice(ReadOf([8]));
        await frame.WriteToAsync(_pipe.Writer, () => ValueTask.CompletedTask);
        Assert.Equal((byte[])[0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8], await ReadAllAsync());
    }

    [Fact]
    public async Task A_frame_is_used_again_after_it_was_written()
    {
        using var frame = new ResponseFrame();
        frame.Write(new byte[300_000]);
        frame.WriteTo(_pipe.Writer);
        frame.Write((byte[])[9]);
        frame.WriteTo(_pipe.Writer);
        byte[] sent = await ReadAllAsync();
        Assert.Equal(300_000 + 4 + 5, sent.Length);
        Assert.Equal(9, sent[^1]);
    }

    [Fact]
    public async Task A_large_response_is_flushed_piece_by_piece()
    {
        byte[] batches = new byte[1_000_000];
        new Random(1).NextBytes(batches);
        using var frame = new ResponseFrame();
        frame.Splice(ReadOf(batches));
        long unread = 0;
        var gathered = new MemoryStream();
        await frame.WriteToAsync(_pipe.Writer, async () =>
        {
            await _pipe.Writer.FlushAsync();
            ReadResult read = await _pipe.Reader.ReadAsync();
            unread = Math.Max(unread, read.Buffer.Length);
            gathered.Write(read.Buffer.ToArray());
            _pipe.Reader.AdvanceTo(read.Buffer.End);
        });
        gathered.Write(await ReadAllAsync());
        Assert.InRange(unread, 1, 70_000);
        byte[] sent = gathered.ToArray();
        Assert.Equal(batches.Length, BinaryPrimitives.ReadInt32BigEndian(sent));
        Assert.True(sent.AsSpan(4).SequenceEqual(batches));
    }

    [Fact]
    public async Task Claimed_memory_is_given_back_when_it_is_sent_cleared_or_its_sending_fails()
    {
        var budget = new ByteBudget(100);
        var frame = new ResponseFrame();
        foreach (string end in (string[])["sent", "cleared", "failed"])
        {
            await budget.AcquireAsync(3, default);
            frame.Splice(ReadOf(new byte[200_000]));
            frame.Charge(budget, 3);
            switch (end)
            {
                case "sent":
                    await frame.WriteToAsync(_pipe.Writer, () => ValueTask.CompletedTask);
                    break;
                case "cleared":
                    frame.Clear();
                    break;
                default:
                    await Assert.ThrowsAsync<IOException>(() => frame.WriteToAsync(_pipe.Writer, () => throw new IOException()).AsTask());
                    frame.Clear();
                    break;
            }
            Assert.Equal(0, budget.Held);
        }
        frame.Dispose();
    }

    private static LogRead ReadOf(byte[] bytes)
    {
        LogRead read = LogRead.At(0);
        byte[] rented = ArrayPool<byte>.Shared.Rent(bytes.Length);
        bytes.CopyTo(rented, 0);
        read.Own(rented, 0, bytes.Length, 1);
        return read;
    }

    private async Task<byte[]> ReadAllAsync()
    {
        await _pipe.Writer.FlushAsync();
        ReadResult read = await _pipe.Reader.ReadAsync();
        byte[] bytes = read.Buffer.ToArray();
        _pipe.Reader.AdvanceTo(read.Buffer.End);
        return bytes;
    }
}
