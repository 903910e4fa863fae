using Tributary.Edge.Ingest;
using Xunit;

namespace Tributary.Tests.Edge.Ingest;

public sealed class IngestRoomTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [Fact]
    public void There_is_room_below_the_bound()
    {
        var room = new IngestRoom(100);
        Assert.True(room.HasRoom);
        room.Take(99);
        Assert.True(room.HasRoom);
        room.Take(1);
        Assert.False(room.HasRoom);
        room.Take(50); // what a reader has in hand is still taken
        Assert.Equal(150, room.Used);
        room.Give(50);
        Assert.False(room.HasRoom);
        room.Give(1);
        Assert.True(room.HasRoom);
        Assert.Equal(99, room.Used);
    }

    [Fact]
    public void Waiting_is_over_at_once_while_there_is_room() =>
        Assert.True(new IngestRoom(1).WaitAsync(CancellationToken.None).IsCompletedSuccessfully);

    [Fact]
    public async Task All_who_wait_go_on_when_there_is_room()
    {
        var room = new IngestRoom(100);
        room.Take(200);
        Task[] waiting = [.. Enumerable.Range(0, 10).Select(_ => room.WaitAsync(CancellationToken.None).AsTask())];
        room.Give(100);
        Assert.All(waiting, wait => Assert.False(wait.IsCompleted));

        room.Give(1);

        await Task.WhenAll(waiting).WaitAsync(Deadline);
    }

    [Fact]
    public async Task One_who_gives_up_disturbs_no_other()
    {
        var room = new IngestRoom(100);
        room.Take(100);
        using var cancellation = new CancellationTokenSource();
        Task gaveUp = room.WaitAsync(cancellation.Token).AsTask();
        Task waiting = room.WaitAsync(CancellationToken.None).AsTask();

        cancellation.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => gaveUp.WaitAsync(Deadline));
        Assert.False(waiting.IsCompleted);
        room.Give(100);

        await waiting.WaitAsync(Deadline);
    }

    [Fact]
    public async Task Nobody_is_left_waiting_when_takers_and_givers_meet()
    {
        var room = new IngestRoom(1000);
        using var deadline = new CancellationTokenSource(Deadline);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(seed => Task.Run(async () =>
        {
            var random = new Random(seed);
            for (int i = 0; i < 20_000; i++)
            {
                await room.WaitAsync(deadline.Token);
                int bytes = random.Next(1, 1000);
                room.Take(bytes);
                if (i % 16 == 0)
                {
                    await Task.Yield();
                }
                room.Give(bytes);
            }
        })));

        Assert.Equal(0, room.Used);
    }
}
