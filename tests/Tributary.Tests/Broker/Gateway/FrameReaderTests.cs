using System.Buffers.Binary;
using System.IO.Pipelines;
using Microsoft.Extensions.Time.Testing;
using Tributary.Broker;
using Tributary.Broker.Gateway;
using Xunit;

namespace Tributary.Tests.Broker.Gateway;

public sealed class FrameReaderTests : IDisposable
{
    private readonly Pipe _pipe = new(new PipeOptions(useSynchronizationContext: false));
    private readonly FakeTimeProvider _time = new();
    private readonly BrokerOptions _options = new() { MaxFrameBytes = 4 << 20, MaxListenerRequestBytes = 8 << 20 };
    private readonly BrokerMetrics _metrics = new();
    private readonly RequestMemory _memory;
    private readonly FrameReader _reader;

    public FrameReaderTests()
    {
        _memory = new RequestMemory(_options, _metrics);
        _reader = new FrameReader(_pipe.Reader, _options, _memory, _time);
    }

    public void Dispose() => _metrics.Dispose();

    [Fact]
    public async Task A_frame_that_comes_byte_by_byte_is_read_as_one()
    {
        byte[] content = [1, 2, 3, 4, 5];
        ValueTask<bool> reading = _reader.ReadAsync(default);
        foreach (byte b in Framed(content))
        {
            await _pipe.Writer.WriteAsync(new[] { b });
        }
        Assert.True(await reading);
        Assert.Equal(content, _reader.Frame.ToArray());
        _reader.Release();
        Assert.Equal(0, _memory.Held);
    }

    [Fact]
    public async Task Frames_that_come_together_are_read_one_by_one()
    {
        await _pipe.Writer.WriteAsync((byte[])[.. Framed([1, 2]), .. Framed([3]), .. Framed([4, 5, 6])]);
        await _pipe.Writer.CompleteAsync();
        foreach (byte[] expected in (byte[][])[[1, 2], [3], [4, 5, 6]])
        {
            Assert.True(await _reader.ReadAsync(default));
            Assert.Equal(expected, _reader.Frame.ToArray());
            _reader.Release();
        }
        Assert.False(await _reader.ReadAsync(default));
    }

    [Fact]
    public async Task A_frame_larger_than_any_piece_of_the_pipe_is_gathered_and_counted_while_it_is_held()
    {
        byte[] content = new byte[700_000];
        Random.Shared.NextBytes(content);
        Task writing = Task.Run(async () =>
        {
            byte[] framed = Framed(content);
            for (int at = 0; at < framed.Length; at += 10_000)
            {
                await _pipe.Writer.WriteAsync(framed.AsMemory(at, Math.Min(10_000, framed.Length - at)));
            }
        });
        Assert.True(await _reader.ReadAsync(default));
        await writing;
        Assert.True(content.AsSpan().SequenceEqual(_reader.Frame.Span));
        Assert.Equal(content.Length, _metrics.RequestBytesHeld);
        _reader.Release();
        Assert.Equal(0, _metrics.RequestBytesHeld);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    [InlineData((4 << 20) + 1)]
    [InlineData(int.MaxValue)]
    public async Task A_length_that_cannot_be_is_refused(int length)
    {
        byte[] field = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(field, length);
        await _pipe.Writer.WriteAsync(field);
        ConnectionRefusedException refused = await Assert.ThrowsAsync<ConnectionRefusedException>(
            () => _reader.ReadAsync(default).AsTask());
        Assert.Equal(CloseReason.FrameLength, refused.Reason);
    }

    [Fact]
    public async Task A_connection_that_ends_within_a_frame_is_refused()
    {
        await _pipe.Writer.WriteAsync(Framed([1, 2, 3]).AsMemory(0, 5));
        await _pipe.Writer.CompleteAsync();
        ConnectionRefusedException refused = await Assert.ThrowsAsync<ConnectionRefusedException>(
            () => _reader.ReadAsync(default).AsTask());
        Assert.Equal(CloseReason.Broken, refused.Reason);
        _reader.Release();
        Assert.Equal(0, _memory.Held);
    }

    [Fact]
    public async Task A_frame_is_overdue_after_its_grace_and_the_time_that_its_size_allows()
    {
        await _pipe.Writer.WriteAsync(Framed(new byte[_options.MinFrameBytesPerSecond * 10]).AsMemory(0, 6));
        ValueTask<bool> reading = _reader.ReadAsync(default);
        await Until(() => _metrics.RequestBytesHeld > 0);
        _time.Advance(_options.FrameGrace + TimeSpan.FromSeconds(9.9));
        Assert.Null(_reader.Overdue(_time.GetTimestamp()));
        _time.Advance(TimeSpan.FromSeconds(0.2));
        Assert.Equal(CloseReason.FrameTimeout, _reader.Overdue(_time.GetTimestamp()));
        await _pipe.Writer.CompleteAsync();
        await Assert.ThrowsAsync<ConnectionRefusedException>(() => reading.AsTask());
    }

    [Fact]
    public async Task A_length_field_claims_no_more_than_a_first_buffer_until_bytes_come()
    {
        await _pipe.Writer.WriteAsync(Framed(new byte[3 << 20]).AsMemory(0, 6));
        ValueTask<bool> reading = _reader.ReadAsync(default);
        await Until(() => _memory.Held > 0);
        Assert.Equal(64 << 10, _memory.Held);
        await _pipe.Writer.WriteAsync(new byte[200_000]);
        await Until(() => _memory.Held > 64 << 10);
        Assert.InRange(_memory.Held, 200_000, 512 << 10);
        await _pipe.Writer.CompleteAsync();
        await Assert.ThrowsAsync<ConnectionRefusedException>(() => reading.AsTask());
        _reader.Release();
        Assert.Equal(0, _memory.Held);
        Assert.Equal(0, _metrics.RequestBytesHeld);
    }

    [Fact]
    public async Task A_large_request_without_memory_for_its_rest_gives_up_and_small_ones_never_wait_for_it()
    {
        await _memory.AcquireAsync(4 << 20, default); // somebody else's large request
        byte[] framed = Framed(new byte[3 << 20]);
        ValueTask<bool> reading = _reader.ReadAsync(default);
        Task writing = Task.Run(async () =>
        {
            for (int at = 0; at < framed.Length; at += 4096)
            {
                await _pipe.Writer.WriteAsync(framed.AsMemory(at, Math.Min(4096, framed.Length - at)));
            }
        });
        TimeSpan grace = _options.FrameGrace;
        await Until(() => _reader.Overdue(In(grace + TimeSpan.FromSeconds(1))) == CloseReason.RequestMemory);
        Assert.Null(_reader.Overdue(In(grace)));
        await _memory.AcquireAsync(RequestMemory.SmallBytes, default);
        _memory.Release(RequestMemory.SmallBytes);
        _memory.Release(4 << 20);
        Assert.True(await reading);
        Assert.Null(_reader.Overdue(In(TimeSpan.FromDays(1))));
        await _pipe.Reader.CompleteAsync();
        await writing;
        _reader.Release();
        Assert.Equal(0, _memory.Held);

        long In(TimeSpan time) => _time.GetTimestamp() + (long)(time.TotalSeconds * _time.TimestampFrequency);
    }

    [Fact]
    public void A_connection_without_a_first_request_is_overdue_after_the_grace()
    {
        _time.Advance(_options.FrameGrace);
        Assert.Null(_reader.Overdue(_time.GetTimestamp()));
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(CloseReason.FrameTimeout, _reader.Overdue(_time.GetTimestamp()));
    }

    [Fact]
    public void However_large_a_request_its_time_has_a_limit() =>
        Assert.Equal(_options.FrameGrace + _options.MaxFrameTime, _options.TransferLimit(_options.MaxFrameBytes));

    private static byte[] Framed(byte[] content)
    {
        byte[] framed = new byte[4 + content.Length];
        BinaryPrimitives.WriteInt32BigEndian(framed, content.Length);
        content.CopyTo(framed, 4);
        return framed;
    }

    private static async Task Until(Func<bool> condition)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (!condition())
        {
            deadline.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
