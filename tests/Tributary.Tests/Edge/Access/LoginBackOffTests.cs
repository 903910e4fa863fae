using System.Net;
using Microsoft.Extensions.Time.Testing;
using Tributary.Edge.Access;
using Xunit;

namespace Tributary.Tests.Edge.Access;

public sealed class LoginBackOffTests
{
    private static readonly IPEndPoint There = new(IPAddress.Parse("192.0.2.1"), 1000);
    private readonly FakeTimeProvider _time = new();
    private readonly LoginBackOff _backOff;

    public LoginBackOffTests() => _backOff = new LoginBackOff(_time);

    [Fact]
    public void After_some_wrong_passwords_each_further_one_costs_twice_the_wait_up_to_a_longest_one()
    {
        for (int i = 0; i < LoginBackOff.FreeTries; i++)
        {
            Assert.True(_backOff.MayTry(There, "a"));
            _backOff.Failed(There, "a");
        }
        for (double wait = 1; wait < 200; wait *= 2)
        {
            Assert.False(_backOff.MayTry(There, "a"));
            _time.Advance(TimeSpan.FromSeconds(Math.Min(wait, LoginBackOff.LongestWait.TotalSeconds)) - TimeSpan.FromMilliseconds(1));
            Assert.False(_backOff.MayTry(There, "a"));
            _time.Advance(TimeSpan.FromMilliseconds(1));
            Assert.True(_backOff.MayTry(There, "a"));
            _backOff.Failed(There, "a");
        }
    }

    [Fact]
    public void Others_at_the_address_and_the_user_elsewhere_need_not_wait()
    {
        Fail(There, "a", 10);
        Assert.False(_backOff.MayTry(new IPEndPoint(There.Address, 2), "a"));
        Assert.True(_backOff.MayTry(There, "b"));
        Assert.True(_backOff.MayTry(new IPEndPoint(IPAddress.Parse("192.0.2.2"), 1), "a"));
    }

    [Fact]
    public void A_right_password_or_a_long_time_make_it_forgotten()
    {
        Fail(There, "a", 10);
        _backOff.Succeeded(There, "a");
        Fail(There, "a", LoginBackOff.FreeTries - 1);
        Assert.True(_backOff.MayTry(There, "a"));
        Fail(There, "a", 10);
        _time.Advance(LoginBackOff.Forgotten);
        Fail(There, "a", LoginBackOff.FreeTries - 1);
        Assert.True(_backOff.MayTry(There, "a"));
    }

    [Fact]
    public void What_is_remembered_is_bounded_and_those_with_the_longest_wait_stay()
    {
        Fail(There, "worst", 8);
        for (int i = 0; i < LoginBackOff.MaxEntries + 50; i++)
        {
            _backOff.Failed(There, $"user-{i}");
        }
        Assert.False(_backOff.MayTry(There, "worst"));
    }

    private void Fail(IPEndPoint from, string user, int times)
    {
        for (int i = 0; i < times; i++)
        {
            _backOff.Failed(from, user);
        }
    }
}
