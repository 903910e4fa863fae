using System.Net;
using System.Net.Sockets;
using Xunit;

namespace Tributary.Conformance.Harness;

/// <summary>The link does to connections what it says.</summary>
public sealed class LinkTests : IAsyncDisposable
{
    private readonly TcpListener _server = new(IPAddress.Loopback, 0);
    private readonly Link _link = new();

    public LinkTests()
    {
        _server.Start();
        _link.Target = (IPEndPoint)_server.LocalEndpoint;
    }

    [Fact]
    public async Task Bytes_pass_both_ways()
    {
        (Stream near, Stream far) = await ConnectAsync();
        await near.WriteAsync(new byte[] { 1, 2, 3 });
        Assert.Equal([1, 2, 3], await ReadAsync(far, 3));
        await far.WriteAsync(new byte[] { 4 });
        Assert.Equal([4], await ReadAsync(near, 1));
        await Until.TrueAsync(() => Task.FromResult(_link.PassedBytes == 4)); // counted when they are on their way
    }

    [Fact]
    public async Task What_is_said_before_an_end_arrives_and_the_other_side_may_still_speak()
    {
        (NetworkStream near, NetworkStream far) = await ConnectAsync();
        byte[] much = new byte[4 << 20];
        Task writing = near.WriteAsync(much).AsTask().ContinueWith(_ => near.Socket.Shutdown(SocketShutdown.Send), TaskScheduler.Default);
        Assert.Equal(much.Length, (await ReadAsync(far, much.Length)).Length);
        await writing.WaitAsync(Until.Deadline);
        Assert.Equal(0, await far.ReadAsync(new byte[1]).AsTask().WaitAsync(Until.Deadline));
        await far.WriteAsync(new byte[] { 5 });
        far.Close();
        Assert.Equal([5], await ReadAsync(near, 1));
        Assert.Equal(0, await near.ReadAsync(new byte[1]).AsTask().WaitAsync(Until.Deadline));
    }

    [Fact]
    public async Task A_cut_resets_what_is_connected_and_what_tries_to()
    {
        (Stream near, Stream far) = await ConnectAsync();
        _link.State = LinkState.Cut;
        await Assert.ThrowsAnyAsync<IOException>(() => ReadAsync(near, 1));
        await Assert.ThrowsAnyAsync<IOException>(() => ReadAsync(far, 1));
        Exception? late = await Record.ExceptionAsync(async () =>
        {
            using var client = new TcpClient();
            await client.ConnectAsync(_link.Address);
            await ReadAsync(client.GetStream(), 1);
        });
        Assert.True(late is IOException or SocketException, $"{late}");
        _link.State = LinkState.Up;
        await ConnectAsync();
    }

    [Fact]
    public async Task A_black_hole_holds_bytes_back_until_it_is_gone()
    {
        (Stream near, Stream far) = await ConnectAsync();
        _link.State = LinkState.Blackholed;
        await near.WriteAsync(new byte[] { 7 });
        Task<byte[]> reading = ReadAsync(far, 1);
        await Task.WhenAny(reading, Task.Delay(100));
        Assert.False(reading.IsCompleted);
        _link.State = LinkState.Up;
        Assert.Equal([7], await reading);
    }

    [Fact]
    public async Task It_leads_to_another_place_when_told_to()
    {
        var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        _link.Target = (IPEndPoint)other.LocalEndpoint;
        using var client = new TcpClient();
        await client.ConnectAsync(_link.Address);
        using TcpClient accepted = await other.AcceptTcpClientAsync().WaitAsync(Until.Deadline);
        await client.GetStream().WriteAsync(new byte[] { 9 });
        Assert.Equal([9], await ReadAsync(accepted.GetStream(), 1));
        other.Stop();
    }

    public async ValueTask DisposeAsync()
    {
        await _link.DisposeAsync();
        _server.Dispose();
    }

    private static async Task<byte[]> ReadAsync(Stream stream, int count)
    {
        byte[] bytes = new byte[count];
        await stream.ReadExactlyAsync(bytes).AsTask().WaitAsync(Until.Deadline);
        return bytes;
    }

    private async Task<(NetworkStream Near, NetworkStream Far)> ConnectAsync()
    {
        var client = new TcpClient();
        await client.ConnectAsync(_link.Address);
        TcpClient accepted = await _server.AcceptTcpClientAsync().WaitAsync(Until.Deadline);
        return (client.GetStream(), accepted.GetStream());
    }
}
