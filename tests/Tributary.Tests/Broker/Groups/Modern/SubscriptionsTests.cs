using Tributary.Broker.Groups;
using Tributary.Broker.Groups.Modern;
using Tributary.Broker.Metadata;
using Tributary.Tests.Broker.Support;
using Xunit;

namespace Tributary.Tests.Broker.Groups.Modern;

public sealed class SubscriptionsTests
{
    private static readonly string[] Names = ["a", "ab", "b", "bc", "c", "cd"];
    private static readonly string[] Patterns = ["", "", "a.*", "b.*", ".*c", "x"];
    private static readonly Dictionary<string, TopicPattern> Parsed = Patterns.Distinct().ToDictionary(pattern => pattern, Parse);

    [Fact]
    public void Members_that_say_the_same_have_one_subscription_and_the_last_takes_it_along()
    {
        var subscriptions = new Subscriptions();
        Subscription first = subscriptions.Take(["a", "b"], "c.*");
        Assert.Same(first, subscriptions.Take(["a", "b"], "c.*"));
        Subscription other = subscriptions.Take(["a"], "c.*");
        Assert.Equal((2, 1), (subscriptions.Count, subscriptions.Expressions));
        subscriptions.Release(first);
        subscriptions.Release(other);
        Assert.Equal((1, 1), (subscriptions.Count, subscriptions.Expressions));
        subscriptions.Release(first);
        Assert.Equal((0, 0, false), (subscriptions.Count, subscriptions.Expressions, subscriptions.Has("a")));
    }

    [Fact]
    public void An_expression_more_than_allowed_is_one_that_nobody_has_and_that_takes_no_other_ones_place()
    {
        var subscriptions = new Subscriptions();
        Subscription shared = subscriptions.Take([], "a");
        subscriptions.Take([], "a");
        Subscription own = subscriptions.Take([], "b");
        Assert.False(subscriptions.WouldExceed("c", 3, null));
        Assert.True(subscriptions.WouldExceed("c", 2, null));
        Assert.False(subscriptions.WouldExceed("a", 2, null));
        Assert.False(subscriptions.WouldExceed("", 0, null));
        Assert.False(subscriptions.WouldExceed("c", 2, own));
        Assert.True(subscriptions.WouldExceed("c", 2, shared));
    }

    [Fact]
    public void Whatever_comes_and_goes_it_says_what_a_look_at_everything_says()
    {
        for (int seed = 0; seed < 100; seed++)
        {
            var random = new Random(seed);
            var subscriptions = new Subscriptions();
            var taken = new List<Subscription>();
            var now = new Moment(0, 0);
            long hash = subscriptions.Hash;
            AssignableTopic[] read = [];
            for (int step = 0; step < 60; step++)
            {
                switch (random.Next(5))
                {
                    case 0 when taken.Count > 0:
                        int gone = random.Next(taken.Count);
                        subscriptions.Release(taken[gone]);
                        taken.RemoveAt(gone);
                        break;
                    case 1:
                        subscriptions.Topics = Topics(random);
                        now = now with { Elapsed = now.Elapsed + 10_000 };
                        subscriptions.Refresh(now);
                        break;
                    default:
                        taken.Add(subscriptions.Take([.. Names.Where(_ => random.Next(3) == 0)], Patterns[random.Next(Patterns.Length)]));
                        break;
                }
                Assert.All(taken, one => Assert.Equal(Expected(subscriptions.Topics, [one]).Select(topic => topic.Id), subscriptions.IdsOf(one).Order()));
                AssignableTopic[] expected =
                [
                    .. Expected(subscriptions.Topics, taken).OrderBy(topic => topic.Name, StringComparer.Ordinal)
                        .Select(topic => new AssignableTopic(topic.Id, topic.Partitions.Length)),
                ];
                Assert.Equal(expected, subscriptions.Read);
                Assert.Equal(expected.SequenceEqual(read), subscriptions.Hash == hash);
                Assert.All(Names, name => Assert.Equal(taken.Any(one => Has(one, name, subscriptions.Topics)), subscriptions.Has(name)));
                (read, hash) = (expected, subscriptions.Hash);
            }
        }
    }

    private static bool Has(Subscription subscription, string name, IReadOnlyDictionary<string, TopicInfo> topics) =>
        subscription.Topics.Contains(name) || (topics.ContainsKey(name) && Matches(subscription.Pattern, name));

    private static bool Matches(string pattern, string name) => pattern.Length > 0 && Parsed[pattern].Matches(name);

    private static TopicPattern Parse(string pattern) =>
        TopicPattern.TryParse(pattern, out TopicPattern? parsed, out string? fault) ? parsed : throw new ArgumentException(fault);

    private static IEnumerable<TopicInfo> Expected(IReadOnlyDictionary<string, TopicInfo> topics, IReadOnlyCollection<Subscription> all) =>
        topics.Values.Where(topic => all.Any(one => Has(one, topic.Name, topics))).OrderBy(topic => topic.Id);

    private static Dictionary<string, TopicInfo> Topics(Random random) => Names.Where(_ => random.Next(3) > 0)
        .Select(name => TestControlPlane.Make(name, new Guid(Array.IndexOf(Names, name), 0, 0, new byte[8]), random.Next(1, 3)))
        .ToDictionary(topic => topic.Name);
}
