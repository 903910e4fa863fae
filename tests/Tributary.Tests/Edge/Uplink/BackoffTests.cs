using Tributary.Edge.Uplink;
using Xunit;

namespace Tributary.Tests.Edge.Uplink;

/// <summary>Waits that keep many agents from coming back at once.</summary>
public sealed class BackoffTests
{
    private static readonly TimeSpan First = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Most = TimeSpan.FromSeconds(32);
    private static readonly TimeSpan Stable = TimeSpan.FromMinutes(1);

    [Fact]
    public void Agents_that_lost_the_cloud_together_come_back_spread_over_the_whole_bound()
    {
        double[] waits = [.. Enumerable.Range(0, 1000).Select(agent =>
        {
            var backoff = new Backoff(First, Most, Stable, new Random(agent));
            for (int i = 0; i < 6; i++)
            {
                backoff.Next(TimeSpan.FromSeconds(i));
            }
            return backoff.Next(TimeSpan.FromSeconds(6)) / Most;
        })];

        Assert.All(waits, wait => Assert.InRange(wait, 0, 1));
        Assert.All(waits.GroupBy(wait => (int)(wait * 10)), tenth => Assert.InRange(tenth.Count(), 50, 200));
    }

    [Fact]
    public void The_bound_doubles_up_to_the_most_and_a_success_alone_does_not_reset_it()
    {
        var backoff = new Backoff(First, Most, Stable, new Longest());
        TimeSpan now = TimeSpan.Zero;
        foreach (int seconds in new[] { 1, 2, 4, 8, 16, 32, 32 })
        {
            Assert.Equal(TimeSpan.FromSeconds(seconds), backoff.Next(now));
            now += TimeSpan.FromSeconds(seconds) + (Stable / 2); // it works for a while, and not for long enough
        }
        Assert.Equal(First, backoff.Next(now + Stable + Most));
    }

    private sealed class Longest : Random
    {
        public override double NextDouble() => 1;
    }
}
