using System.Buffers.Binary;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

/// <summary>The queues of a connection, without one.</summary>
public sealed class QueueTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Acknowledgements_leave_in_order_and_never_before_their_commit(int seed)
    {
        var random = new Random(seed);
        var history = new AckHistory(random);
        for (int step = 0; step < 20_000; step++)
        {
            switch (random.Next(4))
            {
                case 0:
                    history.Stage(random.Next(20));
                    break;
                case 1:
                    history.Publish();
                    break;
                case 2:
                    history.Commit();
                    break;
                default:
                    history.Take(random.Next(65));
                    break;
            }
            history.Check();
        }
    }

    [Fact]
    public async Task A_signal_is_never_lost_and_never_doubled()
    {
        var signal = new AsyncSignal();
        signal.Set();
        signal.Set();
        await signal.WaitAsync();
        ValueTask second = signal.WaitAsync();
        Assert.False(second.IsCompleted);
        signal.Set();
        await second;
        long produced = 0;
        long seen = 0;
        Task producing = Task.Run(() =>
        {
            for (int i = 0; i < 200_000; i++)
            {
                Interlocked.Increment(ref produced);
                signal.Set();
            }
        });
        while (seen < 200_000)
        {
            await signal.WaitAsync().AsTask().WaitAsync(Support.ScriptedClient.Deadline);
            seen = Interlocked.Read(ref produced);
        }
        await producing;
    }

    /// <summary>A queue of acknowledgements beside a list of what must come out of it.</summary>
    private sealed class AckHistory(Random random)
    {
        private readonly AckQueue _queue = new();
        private readonly Queue<PendingAck> _expected = new();
        private readonly TestStream[] _streams = [new(), new(), new()];
        private int _staged;
        private ushort _id;

        public void Stage(int count)
        {
            for (; count > 0; count--)
            {
                TestStream stream = _streams[random.Next(_streams.Length)];
                _id = (ushort)(_id == ushort.MaxValue ? 1 : _id + 1);
                PendingAck entry = random.Next(10) == 0
                    ? new PendingAck(null, -1, null, _id, ReasonCode.QuotaExceeded)
                    : new PendingAck(stream, stream.Next++, null, _id, ReasonCode.Success);
                _queue.Stage(entry);
                _expected.Enqueue(entry);
                _staged++;
            }
        }

        public void Publish()
        {
            _staged = 0;
            Assert.Equal(_expected.TryPeek(out PendingAck first) && first.IsReady, _queue.Publish());
        }

        public void Commit()
        {
            TestStream stream = _streams[random.Next(_streams.Length)];
            stream.Committed += random.Next((int)(stream.Next - stream.Committed) + 1);
        }

        public void Take(int bytes)
        {
            Span<byte> into = new byte[bytes];
            bool found = _queue.TakeReady(into, out int acknowledged, out PendingAck other);
            Assert.True(acknowledged * AckQueue.PubAckBytes <= bytes);
            for (int i = 0; i < acknowledged; i++)
            {
                PendingAck next = _expected.Dequeue();
                Assert.True(next.IsReady && next.IsPlain);
                Assert.Equal(next.PacketId, BinaryPrimitives.ReadUInt16BigEndian(into[((i * AckQueue.PubAckBytes) + 2)..]));
            }
            if (found)
            {
                Assert.Equal(_expected.Dequeue(), other);
                Assert.NotEqual(ReasonCode.Success, other.Refusal);
            }
        }

        public void Check()
        {
            Assert.Equal(_expected.Count, _queue.Count);
            Assert.Equal(_expected.Count, _queue.InFlight);
            // Many that are staged are handed over without being asked.
            if (_expected.Count > _staged && _staged < 200)
            {
                Assert.Equal(_expected.Peek().IsReady, _queue.HasReady);
            }
        }
    }

    private sealed class TestStream : ICommitStream
    {
        public long Next { get; set; }

        public long Committed { get; set; }
    }
}
