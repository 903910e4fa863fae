using Microsoft.Extensions.Time.Testing;
using Tributary.Broker.Partitions;
using Xunit;

namespace Tributary.Tests.Broker.Partitions;

public sealed class ProgressWaitTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public async Task A_signal_before_the_wait_is_remembered_once()
    {
        using var wait = new ProgressWait(TimeSpan.FromSeconds(1), _time, default);
        wait.Signal();
        wait.Signal();
        Assert.True(await wait.NextAsync());
        Task<bool> next = wait.NextAsync().AsTask();
        Assert.False(next.IsCompleted);
        wait.Signal();
        Assert.True(await next.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public async Task It_ends_at_its_deadline_and_not_before()
    {
        using var wait = new ProgressWait(TimeSpan.FromSeconds(1), _time, default);
        Task<bool> next = wait.NextAsync().AsTask();
        _time.Advance(TimeSpan.FromMilliseconds(999));
        Assert.False(wait.IsOver);
        Assert.False(next.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.False(await next.WaitAsync(TimeSpan.FromSeconds(30)));
        Assert.True(wait.IsOver);
        Assert.False(await wait.NextAsync());
    }

    [Fact]
    public async Task It_ends_when_the_reader_has_gone()
    {
        using var gone = new CancellationTokenSource();
        using var wait = new ProgressWait(TimeSpan.FromSeconds(1), _time, gone.Token);
        Task<bool> next = wait.NextAsync().AsTask();
        await gone.CancelAsync();
        Assert.False(await next.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public async Task No_signal_is_lost_between_looking_and_waiting()
    {
        using var wait = new ProgressWait(TimeSpan.FromHours(1), _time, default);
        const int Last = 100_000;
        int value = 0;
        Task writer = Task.Run(() =>
        {
            for (int i = 1; i <= Last; i++)
            {
                Volatile.Write(ref value, i);
                wait.Signal();
            }
        });
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (Volatile.Read(ref value) < Last)
        {
            Assert.True(await wait.NextAsync().AsTask().WaitAsync(deadline.Token));
        }
        await writer;
    }
}
