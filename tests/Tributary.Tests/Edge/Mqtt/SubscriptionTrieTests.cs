using System.Text;
using Tributary.Edge.Ingest;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt;

public sealed class SubscriptionTrieTests
{
    private readonly SubscriptionTrie _trie = new();
    private readonly MqttMetrics _metrics = new();
    private long _sessions;

    [Theory]
    [InlineData("sport/tennis/player1/#", "sport/tennis/player1", true)]
    [InlineData("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true)]
    [InlineData("sport/#", "sport", true)]
    [InlineData("#", "/", true)]
    [InlineData("sport/tennis/+", "sport/tennis/player1", true)]
    [InlineData("sport/tennis/+", "sport/tennis/player1/ranking", false)]
    [InlineData("sport/+", "sport", false)]
    [InlineData("sport/+", "sport/", true)]
    [InlineData("+/+", "/finance", true)]
    [InlineData("/+", "/finance", true)]
    [InlineData("+", "/finance", false)]
    [InlineData("#", "$SYS/a", false)]
    [InlineData("+/monitor/Clients", "$SYS/monitor/Clients", false)]
    [InlineData("$SYS/#", "$SYS/", true)]
    [InlineData("$SYS/monitor/+", "$SYS/monitor/Clients", true)]
    [InlineData("a/+/#", "a/$b", true)]
    [InlineData("ACCOUNTS", "Accounts", false)]
    public void Topics_match_as_the_standard_says(string filter, string topic, bool matches)
    {
        NewSession().Subscribe(Encoding.UTF8.GetBytes(filter), default, 0);
        Assert.Equal(matches, _trie.HasMatch(Encoding.UTF8.GetBytes(topic)));
        Assert.Equal(matches ? 1 : 0, Match(topic).Count);
        Assert.Equal(matches, NaivelyMatches(filter, topic));
    }

    [Fact]
    public void Subscribing_again_replaces_and_unsubscribing_removes()
    {
        Session session = NewSession();
        session.Subscribe("a/+"u8, new SubscriptionOptions(0, false, false), 1);
        session.Subscribe("a/+"u8, new SubscriptionOptions(2, true, true), 2);
        Subscription found = Assert.Single(Match("a/b"));
        Assert.Equal((2, true, true, 2u), (found.Qos, found.NoLocal, found.RetainAsPublished, found.Identifier));
        Assert.Equal(1, _metrics.Subscriptions);
        Assert.False(session.Unsubscribe("a/b"u8));
        Assert.True(session.Unsubscribe("a/+"u8));
        Assert.False(session.Unsubscribe("a/+"u8));
        Assert.Empty(Match("a/b"));
        Assert.Equal(0, _trie.Count);
        Assert.Equal(0, _metrics.Subscriptions);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void Any_history_of_subscriptions_matches_like_a_list_of_them(int seed)
    {
        var random = new Random(seed);
        Session[] sessions = [.. Enumerable.Range(0, 6).Select(_ => NewSession())];
        HashSet<(Session Session, string Filter)> expected = [];
        for (int step = 0; step < 4000; step++)
        {
            int which = random.Next(sessions.Length);
            Session session = sessions[which];
            string filter = RandomTopic(random, wildcards: true);
            switch (random.Next(20))
            {
                case < 9:
                    session.Subscribe(Encoding.UTF8.GetBytes(filter), default, 0);
                    expected.Add((session, filter));
                    break;
                case < 18:
                    Assert.Equal(expected.Remove((session, filter)), session.Unsubscribe(Encoding.UTF8.GetBytes(filter)));
                    break;
                case 18:
                    break;
                default:
                    session.End();
                    expected.RemoveWhere(entry => ReferenceEquals(entry.Session, session));
                    sessions[which] = NewSession();
                    break;
            }
            string topic = RandomTopic(random, wildcards: false);
            IEnumerable<string> naive = expected.Where(e => NaivelyMatches(e.Filter, topic)).Select(e => $"{e.Session.Number} {e.Filter}");
            IEnumerable<string> found = Match(topic).Select(s => $"{s.Session.Number} {Encoding.UTF8.GetString(s.Filter)}");
            Assert.Equal(naive.Order(), found.Order());
            Assert.Equal(expected.Count, _trie.Count);
        }
    }

    [Fact]
    public async Task Matching_while_others_subscribe_finds_what_stays()
    {
        Session stays = NewSession();
        stays.Subscribe("a/b/c"u8, default, 0);
        stays.Subscribe("a/#"u8, default, 0);
        using var stop = new CancellationTokenSource();
        Task[] others = [.. Enumerable.Range(0, 2).Select(i => Task.Run(() =>
        {
            Session session = NewSession();
            var random = new Random(i);
            while (!stop.IsCancellationRequested)
            {
                byte[] filter = Encoding.UTF8.GetBytes(RandomTopic(random, wildcards: true));
                session.Subscribe(filter, default, 0);
                session.Unsubscribe(filter);
            }
        }))];
        for (int i = 0; i < 20_000; i++)
        {
            Assert.Equal(2, Match("a/b/c").Count(s => ReferenceEquals(s.Session, stays)));
        }
        await stop.CancelAsync();
        await Task.WhenAll(others);
        Assert.Equal(2, _trie.Count);
    }

    private static string RandomTopic(Random random, bool wildcards)
    {
        string[] names = ["a", "b", "", "$c"];
        string[] levels = [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => names[random.Next(names.Length)])];
        for (int i = 0; wildcards && i < levels.Length; i++)
        {
            levels[i] = random.Next(3) == 0 ? "+" : levels[i];
        }
        if (wildcards && random.Next(3) == 0)
        {
            levels[^1] = "#";
        }
        string topic = string.Join('/', levels);
        return topic.Length > 0 ? topic : "a";
    }

    /// <summary>The rules of MQTT 5, 4.7, word by word.</summary>
    private static bool NaivelyMatches(string filter, string topic)
    {
        string[] filters = filter.Split('/');
        string[] names = topic.Split('/');
        if (topic[0] == '$' && filters[0] is ("+" or "#"))
        {
            return false;
        }
        for (int i = 0; i < filters.Length; i++)
        {
            if (filters[i] == "#")
            {
                return true;
            }
            if (i >= names.Length || (filters[i] != "+" && filters[i] != names[i]))
            {
                return false;
            }
        }
        return filters.Length == names.Length;
    }

    private Session NewSession() =>
        new(-Interlocked.Increment(ref _sessions), new IngestClient("c"), new OutboundQueue(1 << 20, long.MaxValue, _metrics), _trie, _metrics);

    private List<Subscription> Match(string topic)
    {
        var matches = new Matches();
        _trie.Match(Encoding.UTF8.GetBytes(topic), matches);
        matches.Group();
        return [.. matches.Subscriptions];
    }
}
