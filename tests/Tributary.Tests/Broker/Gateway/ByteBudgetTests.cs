using Tributary.Broker.Gateway;
using Xunit;

namespace Tributary.Tests.Broker.Gateway;

public sealed class ByteBudgetTests
{
    [Fact]
    public async Task A_claim_that_fits_is_granted_at_once_and_one_that_does_not_waits()
    {
        var budget = new ByteBudget(100);
        Assert.True(budget.AcquireAsync(60, default).IsCompletedSuccessfully);
        Task second = budget.AcquireAsync(50, default).AsTask();
        Assert.False(second.IsCompleted);
        budget.Release(60);
        await second.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(50, budget.Held);
    }

    [Fact]
    public async Task A_large_claim_is_not_overtaken_by_small_ones()
    {
        var budget = new ByteBudget(100);
        await budget.AcquireAsync(50, default);
        Task large = budget.AcquireAsync(90, default).AsTask();
        Task small = budget.AcquireAsync(10, default).AsTask();
        Assert.False(small.IsCompleted);
        budget.Release(50);
        await large.WaitAsync(TimeSpan.FromSeconds(30));
        await small.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(100, budget.Held);
    }

    [Fact]
    public void A_claim_above_the_whole_budget_is_granted_when_nobody_else_holds_any()
    {
        var budget = new ByteBudget(100);
        Assert.True(budget.AcquireAsync(500, default).IsCompletedSuccessfully);
        Assert.False(budget.AcquireAsync(1, default).IsCompleted);
    }

    [Fact]
    public async Task A_cancelled_claim_makes_room_for_those_behind_it()
    {
        var budget = new ByteBudget(100);
        await budget.AcquireAsync(50, default);
        using var cancel = new CancellationTokenSource();
        Task large = budget.AcquireAsync(90, cancel.Token).AsTask();
        Task small = budget.AcquireAsync(10, default).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => large);
        await small.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(60, budget.Held);
    }

    [Fact]
    public async Task A_share_leaves_the_larger_part_to_others_and_is_never_below_the_least()
    {
        var budget = new ByteBudget(800);
        Assert.Equal(100, budget.Share(wanted: 500, least: 10));
        Assert.Equal(60, budget.Share(wanted: 60, least: 10));
        await budget.AcquireAsync(400, default);
        Assert.Equal(50, budget.Share(wanted: 500, least: 10));
        await budget.AcquireAsync(400, default);
        Assert.Equal(10, budget.Share(wanted: 500, least: 10));
    }

    [Fact]
    public async Task What_exceeds_a_claim_is_held_until_it_is_given_back()
    {
        var budget = new ByteBudget(100);
        await budget.AcquireAsync(50, default);
        budget.Exceed(100);
        Task next = budget.AcquireAsync(1, default).AsTask();
        budget.Release(50);
        Assert.False(next.IsCompleted);
        budget.Release(100);
        await next.WaitAsync(TimeSpan.FromSeconds(30));
    }

    [Fact]
    public void Giving_back_more_than_is_held_is_refused() =>
        Assert.Throws<InvalidOperationException>(() => new ByteBudget(1).Release(1));
}
