using System.Text;
using Tributary.Edge.Access;
using Xunit;

namespace Tributary.Tests.Edge.Access;

public sealed class TopicGrantTests
{
    [Theory]
    [InlineData("devices/%u/#", "devices/pump/#")]
    [InlineData("devices/%c/+", "devices/client-1/+")]
    [InlineData("%u-%c/%%u", "pump-client-1/%u")]
    [InlineData("plain/+/#", "plain/+/#")]
    public void Placeholders_stand_for_user_and_client(string pattern, string filter) =>
        Assert.Equal(filter, Encoding.UTF8.GetString(TopicGrant.Parse(pattern).For("pump", "client-1")!));

    [Theory]
    [InlineData("a/b")]
    [InlineData("+")]
    [InlineData("a#")]
    [InlineData("$SYS")]
    [InlineData("")]
    public void A_name_that_is_more_than_part_of_a_level_gets_nothing(string name)
    {
        Assert.Null(TopicGrant.Parse("devices/%c/#").For("pump", name));
        Assert.Null(TopicGrant.Parse("devices/%u/#").For(name, "c"));
        Assert.NotNull(TopicGrant.Parse("devices/%u/#").For("pump", name));
    }

    [Fact]
    public void An_anonymous_client_has_no_user() => Assert.Null(TopicGrant.Parse("devices/%u/#").For(null, "c"));

    [Theory]
    [InlineData("")]
    [InlineData("a/b#")]
    [InlineData("#/a")]
    [InlineData("a/+b")]
    [InlineData("a/%x")]
    [InlineData("a/%")]
    [InlineData("a/%%%")]
    [InlineData("+%u/a")]
    [InlineData("$share/g/a")]
    [InlineData("a\0b")]
    public void What_is_no_filter_is_refused(string pattern) => Assert.Throws<FormatException>(() => TopicGrant.Parse(pattern));
}
