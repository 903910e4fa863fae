using System.Buffers;
using System.IO.Pipelines;
using System.Threading.Channels;
using Tributary.Edge.Mqtt;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt.Support;

/// <summary>A client that sends the bytes it is told to, and hands over the packets it gets.</summary>
internal sealed class ScriptedClient
{
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private readonly Channel<byte[]> _packets = Channel.CreateUnbounded<byte[]>();
    private readonly Task _reading;
    private readonly TaskCompletionSource _mayRead = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ScriptedClient(MqttServer server, MqttPipes pipes, int level, bool reads)
    {
        Pipes = pipes;
        Level = level;
        // As Kestrel does it: without the synchronization context of the test.
        Serving = Task.Run(() => server.Connections.OnConnectedAsync(pipes));
        if (reads)
        {
            _mayRead.SetResult();
        }
        _reading = Task.Run(PumpAsync);
    }

    public MqttPipes Pipes { get; }

    public int Level { get; }

    /// <summary>Completes when the broker is done with the connection.</summary>
    public Task Serving { get; }

    /// <summary>A connection on which nothing was sent.</summary>
    public static ScriptedClient Open(MqttServer server, int level, MqttPipes? pipes = null, bool reads = true) =>
        new(server, pipes ?? new MqttPipes(), level, reads);

    /// <summary>A client that was let in.</summary>
    public static async Task<ScriptedClient> ConnectAsync(
        MqttServer server, int level, string clientId, MqttPipes? pipes = null, byte[]? properties = null, int keepAlive = 60)
    {
        ScriptedClient client = Open(server, level, pipes);
        await client.SendAsync(Packets.Connect(level, clientId, keepAlive, properties: properties));
        byte[] answer = await client.ReceiveAsync();
        Assert.Equal(0x20, answer[0]);
        Assert.Equal(0, answer[3]);
        return client;
    }

    /// <summary>A client that was let in and whose session is kept for an hour.</summary>
    public static async Task<ScriptedClient> KeptAsync(MqttServer server, int level, string clientId, bool isPresent)
    {
        ScriptedClient client = Open(server, level);
        await client.SendAsync(Packets.Connect(level, clientId, clean: false, properties: [0x11, 0, 0, 0x0E, 0x10]));
        byte[] answer = await client.ReceiveAsync();
        Assert.Equal((0x20, 0, isPresent ? 1 : 0), (answer[0], answer[3], answer[2]));
        return client;
    }

    public async Task SendAsync(params byte[][] packets)
    {
        foreach (byte[] packet in packets)
        {
            Pipes.ToServer.Write(packet);
        }
        await Pipes.ToServer.FlushAsync().AsTask().WaitAsync(Deadline);
    }

    /// <summary>A client that did not read begins to.</summary>
    public void Read() => _mayRead.TrySetResult();

    /// <summary>The next packet.</summary>
    public async Task<byte[]> ReceiveAsync() => await _packets.Reader.ReadAsync().AsTask().WaitAsync(Deadline);

    /// <summary>The next packet is this one.</summary>
    public async Task ExpectAsync(params byte[] packet) =>
        Assert.Equal(Convert.ToHexString(packet), Convert.ToHexString(await ReceiveAsync()));

    /// <summary>The next packets are PUBACKs of success with these identifiers.</summary>
    public async Task ExpectPubAcksAsync(params int[] ids)
    {
        foreach (int id in ids)
        {
            await ExpectAsync(0x40, 2, (byte)(id >> 8), (byte)id);
        }
    }

    /// <summary>
    /// Nothing is on its way: the answer to a second ping comes after whatever was ready when the first one was answered.
    /// </summary>
    public async Task ExpectNothingAsync()
    {
        for (int i = 0; i < 2; i++)
        {
            await SendAsync(Packets.PingReq);
            await ExpectAsync(Packets.PingResp);
        }
    }

    /// <summary>The broker closes the connection without another packet.</summary>
    public async Task ExpectClosedAsync()
    {
        Assert.False(await _packets.Reader.WaitToReadAsync().AsTask().WaitAsync(Deadline), "a packet came instead of the end");
        await Serving.WaitAsync(Deadline);
    }

    /// <summary>The client hangs up without a word.</summary>
    public async Task HangUpAsync()
    {
        Pipes.HangUp();
        await Serving.WaitAsync(Deadline);
    }

    private async Task PumpAsync()
    {
        await _mayRead.Task;
        PipeReader reader = Pipes.FromServer;
        try
        {
            while (true)
            {
                ReadResult result = await reader.ReadAsync();
                ReadOnlySequence<byte> buffer = result.Buffer;
                while (TryCut(ref buffer, out byte[] packet))
                {
                    _packets.Writer.TryWrite(packet);
                }
                reader.AdvanceTo(buffer.Start, buffer.End);
                if (result.IsCompleted || result.IsCanceled)
                {
                    break;
                }
            }
        }
        catch (InvalidOperationException)
        {
            // The connection was broken meanwhile.
        }
        finally
        {
            _packets.Writer.Complete();
            Pipes.HangUp();
        }
    }

    private static bool TryCut(ref ReadOnlySequence<byte> buffer, out byte[] packet)
    {
        byte[] bytes = buffer.ToArray();
        packet = [];
        int length = 0;
        for (int i = 1; i < bytes.Length; i++)
        {
            length |= (bytes[i] & 0x7F) << (7 * (i - 1));
            if (bytes[i] < 0x80)
            {
                if (bytes.Length < 1 + i + length)
                {
                    return false;
                }
                packet = bytes[..(1 + i + length)];
                buffer = buffer.Slice(packet.Length);
                return true;
            }
        }
        return false;
    }
}
