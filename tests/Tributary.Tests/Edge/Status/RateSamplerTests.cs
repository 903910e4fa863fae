using Microsoft.Extensions.Time.Testing;
using Tributary.Edge.Status;
using Xunit;

namespace Tributary.Tests.Edge.Status;

public sealed class RateSamplerTests
{
    private readonly FakeTimeProvider _time = new();
    private RateCounts _counts = new(1000, 2000, 3000, 4000);

    [Fact]
    public void Rates_are_of_the_last_ten_seconds_and_what_was_before_the_start_counts_for_nothing()
    {
        using var sampler = new RateSampler(() => _counts, _time);
        Assert.Equal(new RateStatus(0, 0, 0, 0, 0), sampler.Rates);
        Pass(seconds: 2, messages: 10);
        Assert.Equal(new RateStatus(2, 10, 20, 30, 40), sampler.Rates);
        Pass(seconds: 60, messages: 3);
        Assert.Equal(new RateStatus(10, 3, 6, 9, 12), sampler.Rates);
        Pass(seconds: 5, messages: 0);
        Assert.Equal(new RateStatus(10, 1.5, 3, 4.5, 6), sampler.Rates);
        Pass(seconds: 60, messages: 0);
        Assert.Equal(new RateStatus(10, 0, 0, 0, 0), sampler.Rates);
    }

    private void Pass(int seconds, int messages)
    {
        for (int i = 0; i < seconds; i++)
        {
            _counts = new RateCounts(
                _counts.Messages + messages, _counts.PayloadBytes + (2 * messages), _counts.Acknowledged + (3 * messages), _counts.SentBytes + (4 * messages));
            _time.Advance(TimeSpan.FromSeconds(1));
        }
    }
}
