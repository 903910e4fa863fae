using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Tributary.Edge.Status;
using Xunit;

namespace Tributary.Tests.Edge.Status;

public sealed class RecentProblemsTests
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));

    [Fact]
    public void Warnings_and_worse_are_kept_even_if_nothing_is_logged()
    {
        using var problems = new RecentProblems(NullLoggerFactory.Instance, _time);
        ILogger logger = problems.CreateLogger("Tributary.Test");
        logger.Log(LogLevel.Information, new EventId(1), "fine", null, (text, _) => text);
        logger.Log(LogLevel.Warning, new EventId(2), "hm", null, (text, _) => text);
        logger.Log(LogLevel.Error, new EventId(3), "bad", new IOException("why"), (text, _) => text);

        Assert.Equal(
            [new ProblemStatus(_time.GetUtcNow(), "warning", 2, "hm", 1), new ProblemStatus(_time.GetUtcNow(), "error", 3, "bad: why", 1)], problems.Latest);
        Assert.False(logger.IsEnabled(LogLevel.Information));
        Assert.True(logger.IsEnabled(LogLevel.Warning));
    }

    [Fact]
    public void Equal_ones_in_a_row_are_one_with_a_count_and_the_last_time()
    {
        using var problems = new RecentProblems(NullLoggerFactory.Instance, _time);
        ILogger logger = problems.CreateLogger("Tributary.Test");
        for (int i = 0; i < 3; i++)
        {
            _time.Advance(TimeSpan.FromMinutes(1));
            logger.Log(LogLevel.Warning, new EventId(2), "away", null, (text, _) => text);
        }
        Assert.Equal([new ProblemStatus(_time.GetUtcNow(), "warning", 2, "away", 3)], problems.Latest);
    }

    [Fact]
    public void They_have_limits()
    {
        using var problems = new RecentProblems(NullLoggerFactory.Instance, _time);
        ILogger logger = problems.CreateLogger("Tributary.Test");
        for (int i = 0; i < RecentProblems.MostKept + 3; i++)
        {
            logger.Log(LogLevel.Warning, new EventId(i), new string('x', 10_000), null, (text, _) => text);
        }
        Assert.Equal(Enumerable.Range(3, RecentProblems.MostKept), problems.Latest.Select(problem => problem.Event));
        Assert.All(problems.Latest, problem => Assert.Equal(RecentProblems.MaxChars + 1, problem.Message.Length));
    }
}
