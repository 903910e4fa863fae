using System.Text;
using Tributary.Edge.Access;
using Xunit;

namespace Tributary.Tests.Edge.Access;

public sealed class TopicCoverTests
{
    [Theory]
    [InlineData("devices/d1/#", "devices/d1/temperature", true)]
    [InlineData("devices/d1/#", "devices/d1", true)]
    [InlineData("devices/d1/#", "devices/d11", false)]
    [InlineData("devices/+/temperature", "devices//temperature", true)]
    [InlineData("devices/+/temperature", "devices/d1/a/temperature", false)]
    [InlineData("#", "a", true)]
    [InlineData("#", "$SYS/a", false)]
    [InlineData("+/a", "$SYS/a", false)]
    [InlineData("$SYS/#", "$SYS/a", true)]
    [InlineData("a/+", "a", false)]
    [InlineData("a/+", "a/", true)]
    [InlineData("a", "a/", false)]
    [InlineData("a/#", "b", false)]
    public void A_topic_is_matched(string allowed, string topic, bool expected) =>
        Assert.Equal(expected, TopicCover.Matches([Bytes(allowed)], Bytes(topic)));

    [Theory]
    [InlineData("a/#", "a/#", true)]
    [InlineData("a/#", "a/b/#", true)]
    [InlineData("a/#", "a/+/c", true)]
    [InlineData("a/#", "a", true)]
    [InlineData("a/#", "+/b", false)]
    [InlineData("a/#", "#", false)]
    [InlineData("a/+", "a/#", false)]
    [InlineData("a/+", "a/+", true)]
    [InlineData("a/+", "a/b", true)]
    [InlineData("a/b", "a/+", false)]
    [InlineData("+/+", "+/b", true)]
    [InlineData("+/b", "+/+", false)]
    [InlineData("#", "#", true)]
    [InlineData("#", "+/#", true)]
    [InlineData("#", "$SYS/#", false)]
    [InlineData("$SYS/#", "$SYS/+/x", true)]
    [InlineData("+/#", "#", true)]
    [InlineData("+/+/#", "#", false)]
    // What one filter alone does not cover, several may.
    [InlineData("a a/+/#", "a/#", true)]
    [InlineData("a a/+ a/+/+/#", "a/#", true)]
    [InlineData("a a/+ a/+/+", "a/#", false)]
    [InlineData("a/b a/c", "a/+", false)]
    [InlineData("+ +/+/#", "#", true)]
    [InlineData("", "a", false)]
    public void A_filter_is_contained_only_if_every_topic_it_matches_is(string allowed, string asked, bool expected) =>
        Assert.Equal(expected, TopicCover.Contains(Filters(allowed), Bytes(asked)));

    /// <summary>Against the definition: all topics of up to four levels over the words of the filters and one more.</summary>
    [Fact]
    public void Containment_is_what_the_topics_say()
    {
        string[] words = ["a", "b", "$s", "z"];
        string[] topics = [.. Enumerable.Range(1, 4).SelectMany(levels => All(levels, words))];
        var random = new Random(7);
        int contained = 0;
        for (int i = 0; i < 3000; i++)
        {
            byte[][] allowed = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => Bytes(RandomFilter(random)))];
            byte[] asked = Bytes(RandomFilter(random));
            bool expected = topics.Where(topic => TopicCover.Matches([asked], Bytes(topic)))
                .All(topic => TopicCover.Matches(allowed, Bytes(topic)));
            Assert.True(
                expected == TopicCover.Contains(allowed, asked),
                $"{string.Join(' ', allowed.Select(Encoding.UTF8.GetString))} and {Encoding.UTF8.GetString(asked)}: {expected}");
            contained += expected ? 1 : 0;
        }
        Assert.InRange(contained, 200, 2800);
    }

    private static IEnumerable<string> All(int levels, string[] words) => levels == 1
        ? words
        : All(levels - 1, words).SelectMany(head => words.Select(word => $"{head}/{word}"));

    private static string RandomFilter(Random random)
    {
        string[] levels = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => random.Next(5) switch
        {
            0 or 1 => "+",
            2 => "b",
            3 => "$s",
            _ => "a",
        })];
        return random.Next(2) == 0 ? string.Join('/', levels) : random.Next(4) == 0 ? "#" : string.Join('/', levels[..^1].Append("#"));
    }

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private static byte[][] Filters(string text) => [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Bytes)];
}
