using System.Text;
using Tributary.Contracts.Telemetry;
using Xunit;

namespace Tributary.Tests.Telemetry;

public sealed class RouteTemplateTests
{
    private static readonly TopicPattern Pattern = TopicPattern.Parse("{site}/x/{device...}");

    [Theory]
    [InlineData("{device}", "d/1")]
    [InlineData("{site}-{device}", "berlin-d/1")]
    [InlineData("constant", "constant")]
    [InlineData("{{{site}}}", "{berlin}")]
    [InlineData("ü{site}ü", "überlinü")]
    public void A_template_becomes_its_text(string template, string text)
    {
        byte[] topic = "berlin/x/d/1"u8.ToArray();
        Assert.True(Pattern.TryMatch(topic, out TopicCaptures captured));
        Assert.Equal(text, Encoding.UTF8.GetString(RouteTemplate.Parse(template, Pattern).Render(topic, captured)));
    }

    [Theory]
    [InlineData("", "1 to 1024 characters")]
    [InlineData("a{b}", "no capture 'b': the pattern '{site}/x/{device...}' has 'site', 'device'")]
    [InlineData("{}", "no capture ''")]
    [InlineData("a{site", "character 2: this '{' is not closed")]
    [InlineData("a}", "character 2: this '}' closes nothing")]
    public void What_is_wrong_is_told(string template, string reason) =>
        Assert.Contains(reason, Assert.Throws<FormatException>(() => RouteTemplate.Parse(template, Pattern)).Message, StringComparison.Ordinal);
}
