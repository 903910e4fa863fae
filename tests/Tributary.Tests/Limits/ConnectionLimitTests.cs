using System.Net;
using Tributary.Contracts.Limits;
using Xunit;

namespace Tributary.Tests.Limits;

public sealed class ConnectionLimitTests
{
    [Fact]
    public void Connections_are_limited_in_all()
    {
        var limit = new ConnectionLimit(most: 2, mostFromAddress: 2);
        Assert.Equal(ConnectionAdmission.Admitted, limit.TryEnter(At("10.0.0.1")));
        Assert.Equal(ConnectionAdmission.Admitted, limit.TryEnter(null));
        Assert.Equal(ConnectionAdmission.TooMany, limit.TryEnter(At("10.0.0.2")));
        limit.Leave(null);
        Assert.Equal(ConnectionAdmission.Admitted, limit.TryEnter(At("10.0.0.2")));
    }

    [Theory]
    [InlineData("10.0.0.1", "10.0.0.1")]
    [InlineData("10.0.0.1", "::ffff:10.0.0.1")]
    [InlineData("2001:db8:1:2::1", "2001:db8:1:2:ffff::9")]
    public void One_machine_has_one_address(string one, string other)
    {
        var limit = new ConnectionLimit(most: 10, mostFromAddress: 1);
        Assert.Equal(ConnectionAdmission.Admitted, limit.TryEnter(At(one)));
        Assert.Equal(ConnectionAdmission.TooManyFromAddress, limit.TryEnter(At(other)));
        limit.Leave(At(one));
        Assert.Equal(ConnectionAdmission.Admitted, limit.TryEnter(At(other)));
        limit.Leave(At(other));
        Assert.Equal(0, limit.Addresses);
    }

    [Theory]
    [InlineData("10.0.0.1", "10.0.0.2")]
    [InlineData("2001:db8:1:2::1", "2001:db8:1:3::1")]
    public void Machines_do_not_share_an_address(string one, string other)
    {
        var limit = new ConnectionLimit(most: 10, mostFromAddress: 1);
        Assert.Equal(ConnectionAdmission.Admitted, limit.TryEnter(At(one)));
        Assert.Equal(ConnectionAdmission.Admitted, limit.TryEnter(At(other)));
        Assert.Equal(2, limit.Addresses);
    }

    [Fact]
    public void A_refused_connection_takes_nobodys_place()
    {
        var limit = new ConnectionLimit(most: 2, mostFromAddress: 1);
        limit.TryEnter(At("10.0.0.1"));
        for (int i = 0; i < 10; i++)
        {
            limit.TryEnter(At("10.0.0.1"));
        }
        Assert.Equal(ConnectionAdmission.Admitted, limit.TryEnter(At("10.0.0.2")));
    }

    private static IPEndPoint At(string address) => new(IPAddress.Parse(address), 1000);
}
