using Microsoft.Extensions.Time.Testing;
using Tributary.Contracts.Limits;
using Xunit;

namespace Tributary.Tests.Limits;

public sealed class LineLimitTests
{
    private readonly FakeTimeProvider _time = new();

    private enum Kind
    {
        One,
        Other,
    }

    [Fact]
    public void A_few_lines_of_each_kind_are_let_through_in_a_minute()
    {
        var limit = new LineLimit<Kind>(_time);
        foreach (Kind kind in (Kind[])[Kind.One, Kind.Other])
        {
            for (int i = 0; i < LineLimit<Kind>.LinesPerMinute; i++)
            {
                Assert.True(limit.TryPass(kind, out string note));
                Assert.Equal("", note);
            }
            Assert.False(limit.TryPass(kind, out _));
        }
    }

    [Fact]
    public void The_next_line_says_how_many_were_not()
    {
        var limit = new LineLimit<Kind>(_time);
        for (int i = 0; i < LineLimit<Kind>.LinesPerMinute + 3; i++)
        {
            limit.TryPass(Kind.One, out _);
        }
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.True(limit.TryPass(Kind.One, out string note));
        Assert.Equal(" (3 more like it were not logged)", note);
        Assert.True(limit.TryPass(Kind.One, out note));
        Assert.Equal("", note);
    }
}
