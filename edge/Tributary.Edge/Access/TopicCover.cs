using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Access;

/// <summary>
/// Whether the topics that somebody asks for are all among the topics of a list of filters (MQTT 5, 4.7). Pure.
/// </summary>
internal static class TopicCover
{
    /// <summary>Whether one of the filters matches the topic.</summary>
    /// <param name="allowed">Valid topic filters.</param>
    /// <param name="topic">A topic name, without wildcards.</param>
    public static bool Matches(byte[][] allowed, ReadOnlySpan<byte> topic) => AnyMatches(allowed, topic, 0);

    /// <summary>Whether the filters together match every topic that the filter asked for matches.</summary>
    /// <param name="allowed">Valid topic filters.</param>
    /// <param name="asked">A valid topic filter.</param>
    /// <remarks>
    /// There are more words than any list of filters names, so a wildcard is covered if a word that none of them has is: <c>+</c> is tried
    /// as one such level, <c>#</c> as any number of them. Beyond the levels of the longest filter only <c>#</c> can match, and it does so for
    /// each further number alike.
    /// </remarks>
    public static bool Contains(byte[][] allowed, ReadOnlySpan<byte> asked)
    {
        if (asked[^1] != TopicRules.MultiLevel)
        {
            return AnyMatches(allowed, asked, 0);
        }
        int longest = 0;
        foreach (byte[] filter in allowed)
        {
            longest = Math.Max(longest, filter.AsSpan().Count(TopicRules.Separator) + 1);
        }
        // A topic has at least one level: '#' alone never stands for none.
        for (int further = asked.Length == 1 ? 1 : 0; further <= longest + 1; further++)
        {
            if (!AnyMatches(allowed, asked, further))
            {
                return false;
            }
        }
        return true;
    }

    private static bool AnyMatches(byte[][] allowed, ReadOnlySpan<byte> asked, int further)
    {
        foreach (byte[] filter in allowed)
        {
            if (Matches(filter, asked, further))
            {
                return true;
            }
        }
        return false;
    }

    private static bool Matches(ReadOnlySpan<byte> allowed, ReadOnlySpan<byte> asked, int further)
    {
        bool isReserved = asked[0] == TopicRules.Reserved;
        var have = new Levels(allowed, -1);
        var want = new Levels(asked, further);
        for (bool isFirst = true; ; isFirst = false)
        {
            bool hasAllowed = have.Next();
            // It also matches the level above [MQTT 5, 4.7.1.2], and no wildcard a first level that begins with '$' [MQTT-4.7.2-1].
            if (hasAllowed && have.Current is [TopicRules.MultiLevel])
            {
                return !(isFirst && isReserved);
            }
            bool hasAsked = want.Next();
            if (!hasAllowed || !hasAsked)
            {
                return hasAllowed == hasAsked;
            }
            if (have.Current is [TopicRules.SingleLevel] ? isFirst && isReserved : want.IsAny || !have.Current.SequenceEqual(want.Current))
            {
                return false;
            }
        }
    }

    /// <summary>The levels of a topic or filter.</summary>
    /// <param name="text">The topic or filter.</param>
    /// <param name="further">How many levels <c>#</c> stands for; −1 to take wildcards as they are.</param>
    private ref struct Levels(ReadOnlySpan<byte> text, int further)
    {
        private ReadOnlySpan<byte> _rest = text;
        private bool _isOver;
        private int _further = further;

        /// <summary>The level, unless it is any.</summary>
        public ReadOnlySpan<byte> Current { get; private set; }

        /// <summary>Whether it is a word that no filter has.</summary>
        public bool IsAny { get; private set; }

        public bool Next()
        {
            if (_isOver)
            {
                return false;
            }
            int end = _rest.IndexOf(TopicRules.Separator);
            Current = end < 0 ? _rest : _rest[..end];
            if (_further >= 0 && Current is [TopicRules.MultiLevel])
            {
                IsAny = true;
                return _further-- > 0;
            }
            IsAny = _further >= 0 && Current is [TopicRules.SingleLevel];
            _isOver = end < 0;
            _rest = end < 0 ? default : _rest[(end + 1)..];
            return true;
        }
    }
}
